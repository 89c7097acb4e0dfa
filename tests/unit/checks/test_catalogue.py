"""The registration and the catalogue of the checks."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.checks import registry
from django.utils.translation import override

from continuum_upstash.checks.catalogue import CATALOGUE, check_message
from continuum_upstash.checks.rate_limits import check_ratelimit

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


@pytest.mark.parametrize("language", ["de", "es", "fr"])
def test_hints_are_in_the_active_language_and_lead_to_the_same_section(language):
    for check_id, (_level, hint) in CATALOGUE.items():
        english = check_message(check_id, "x", "default", "MY_")
        with override(language):
            message = check_message(check_id, "x", "default", "MY_")
        assert (message.id, message.msg) == (english.id, english.msg)
        assert message.hint.split()[-1] == english.hint.split()[-1]  # the URL
        assert message.hint.count("MY_UPSTASH") == english.hint.count("MY_UPSTASH")
        is_command = str(hint).startswith("pip install")
        assert (str(hint) in message.hint) == (is_command or not hint), check_id


def test_what_is_wrong_is_in_the_active_language(settings):
    settings.CONTINUUM_RATELIMIT = {"MODUS": "strict"}
    with override("de"):
        [message] = check_ratelimit()
    assert message.msg.startswith("CONTINUUM_RATELIMIT: Unbekannter Eintrag „MODUS“. Gültige ")
