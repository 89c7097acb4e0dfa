"""Checks of CONTINUUM_STATS. None of these mistakes keeps the site from running."""

from __future__ import annotations

import os
from typing import Any

from django.core.checks import CheckMessage

from continuum_upstash.checks.catalogue import check_message
from continuum_upstash.checks.entries import resolve_entries
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.stats.conf import FOLDER, lacking, reject_wrong, setting, shut
from continuum_upstash.stats.pricing import plan_of


def check_statistics(**_: Any) -> list[CheckMessage]:
    """Check the entries of CONTINUUM_STATS, and what they require."""
    found = []
    configs, _errors = resolve_entries()  # check_caches reports the errors
    try:
        reject_wrong()
        for alias in configs:
            plan_of(alias)
    except ConfigurationError as error:
        found.append(check_message("E006", str(error)))
    for name, package in lacking().items():
        text = (
            f"CONTINUUM_STATS['{name}'] is on, but {package} is not installed: "
            f"pip install 'continuum-upstash[{name.lower()}]'"
        )
        found.append(check_message("E007", text))
    if setting("PROMETHEUS") and shut():
        text = f"{FOLDER} is {os.environ[FOLDER]!r}, where this process cannot write."
        found.append(check_message("E009", text))
    return found
