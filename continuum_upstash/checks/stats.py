"""Checks of CONTINUUM_STATS. None of these mistakes keeps the site from running."""

from __future__ import annotations

import os
from typing import Any

from django.core.checks import CheckMessage

from continuum_upstash.checks.catalogue import check_message
from continuum_upstash.checks.entries import resolve_entries
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.stats.conf import (
    MULTIPROC_DIR,
    get_setting,
    is_unwritable,
    list_missing_packages,
    validate,
)
from continuum_upstash.stats.pricing import get_pricing_plan_name, get_terms, read_prices


def check_statistics(**_: Any) -> list[CheckMessage]:
    """Check the entries of CONTINUUM_STATS, and what they require."""
    found = []
    configs, _errors = resolve_entries()  # check_caches reports the errors
    try:
        validate()
        read_prices()
        for alias in configs:
            get_pricing_plan_name(alias)
            get_terms(alias)
    except ConfigurationError as error:
        found.append(check_message("E006", str(error)))
    for name, package in list_missing_packages().items():
        text = (
            f"CONTINUUM_STATS['{name}'] is on, but {package} is not installed: "
            f"pip install 'continuum-upstash[{name.lower()}]'"
        )
        found.append(check_message("E007", text))
    if get_setting("PROMETHEUS") and is_unwritable():
        text = f"{MULTIPROC_DIR} is {os.environ[MULTIPROC_DIR]!r}, where this process cannot write."
        found.append(check_message("E009", text))
    return found
