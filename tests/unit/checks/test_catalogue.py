"""The registration and the catalogue of the checks."""

from __future__ import annotations

import re
from pathlib import Path

from django.core.checks import registry

from continuum_upstash.checks.catalogue import CATALOGUE

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "checks.md"


def test_django_runs_all_checks():
    always = {check.__name__ for check in registry.registry.get_checks()}
    in_production = {check.__name__ for check in registry.registry.get_checks(True)} - always
    assert {
        "check_caches",
        "check_sessions",
        "check_statistics",
        "check_ratelimit",
        "check_live",
    } <= always
    assert {"check_caches_in_production", "check_session_middleware", "check_probes"} <= (
        in_production
    )


def test_each_check_has_a_section_in_the_documentation():
    sections = re.findall(r"^## ([A-Z]\d{3})$", PAGE.read_text(), re.MULTILINE)
    assert sections == list(CATALOGUE)
