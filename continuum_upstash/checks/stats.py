"""Checks of CONTINUUM_STATS. None of these mistakes keeps the site from running."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.checks import CheckMessage
from django.utils.translation import gettext

from continuum_upstash.checks.catalogue import check_message
from continuum_upstash.checks.entries import resolve_entries
from continuum_upstash.config.budget import read_amount
from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.stats.conf import (
    MULTIPROC_DIR,
    get_setting,
    is_unwritable,
    list_missing_packages,
    validate,
)
from continuum_upstash.stats.pricing import (
    count_affordable,
    get_pricing_plan_name,
    get_terms,
    read_prices,
)


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
        text = gettext(
            "CONTINUUM_STATS['{name}'] is on, but {package} is not installed: {command}"
        ).format(
            name=name,
            package=package,
            command=f"pip install 'continuum-upstash[{name.lower()}]'",
        )
        found.append(check_message("E007", text))
    if get_setting("PROMETHEUS") and is_unwritable():
        text = gettext("{variable} is '{folder}', where this process cannot write.")
        text = text.format(variable=MULTIPROC_DIR, folder=os.environ[MULTIPROC_DIR])
        found.append(check_message("E009", text))
    return found


def check_budgets(**_: Any) -> list[CheckMessage]:
    """Check what the budgets of the CACHES entries need."""
    configs, _errors = resolve_entries()
    guarded = {alias: config for alias, config in configs.items() if config.budget is not None}
    return [message for config in guarded.values() for message in _check_budget(config, configs)]


def _check_budget(config: Config, configs: Mapping[str, Config]) -> Iterator[CheckMessage]:
    budget, alias = config.budget, config.alias
    if budget is not None and budget.unit == "dollars":
        try:
            count_affordable(alias, read_amount(budget))
        except Exception as error:  # noqa: BLE001 a user's function may raise anything
            yield check_message("E025", str(error), alias)
    if not get_setting("SHARED"):
        text = gettext(
            "BUDGET does not include what was sent before its counter: statistics are not shared."
        )
        yield check_message("W026", text, alias)
    for other in configs.values():
        is_same = other.server_identity == config.server_identity != ()
        if is_same and other.budget is None:
            text = gettext("the budget does not limit '{other}', which uses the same database.")
            yield check_message("W027", text.format(other=other.alias), alias)
