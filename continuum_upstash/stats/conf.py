"""The setting CONTINUUM_STATS, read on each use so that tests may override it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from django.conf import settings

from continuum_upstash.errors import ConfigurationError, suggest_similar

DEFAULTS: Final[dict[str, Any]] = {
    "SHARED": True,  # store the totals of all processes in the database
    "INTERVAL": 10.0,  # seconds: the minimum time between two writes of a process
    "SHARE": 0.05,  # the maximum cost of the statistics as a fraction of the billed commands
    "PROMETHEUS": False,  # needs the extra of that name
    "OTEL": False,  # needs the extra of that name
    "SAMPLE": 0,  # examine one of so many round trips for the savings report; 0: none
    "PLAN": "free",  # a name in PRICING_PLANS, or one for each alias: {"default": "payg"}
    "REGIONS": 0,  # read regions, or a number for each alias
    "PROD_PACK": False,  # or a bool for each alias
    "ACCOUNT": {},  # EMAIL and API_KEY of Upstash's Developer API, instead of the environment
    "PRICES": {},  # prices that differ from those in pricing.py
}

_PACKAGES: Final[Mapping[str, str]] = {
    "PROMETHEUS": "prometheus_client",
    "OTEL": "opentelemetry",
}
MULTIPROC_DIR: Final = "PROMETHEUS_MULTIPROC_DIR"


def get_setting(name: str) -> Any:
    """Return an entry of CONTINUUM_STATS, or its default."""
    return _get_entries().get(name, DEFAULTS[name])


def is_enabled(name: str) -> bool:
    """Return whether PROMETHEUS or OTEL is switched on and has what it needs."""
    if not get_setting(name) or name in list_missing_packages():
        return False
    return not (name == "PROMETHEUS" and is_unwritable())


def list_missing_packages() -> dict[str, str]:
    """Return the entries that are switched on and the packages that they lack."""
    return {
        name: package
        for name, package in _PACKAGES.items()
        if get_setting(name) and find_spec(package) is None
    }


def is_unwritable() -> bool:
    """Return whether PROMETHEUS_MULTIPROC_DIR is set to a directory that cannot be written."""
    directory = os.environ.get(MULTIPROC_DIR)
    if directory is None:
        return False
    return not (directory and Path(directory).is_dir() and os.access(directory, os.W_OK))


def validate() -> None:
    """Reject unknown entries and invalid values, except for those that pricing.py reads.

    A system check calls this, so that a wrong value does not stop the site.

    Raises:
        ConfigurationError: an entry does not exist or has an invalid value.
    """
    entries = getattr(settings, "CONTINUUM_STATS", {})
    if not isinstance(entries, Mapping):
        raise ConfigurationError(
            f"CONTINUUM_STATS is {entries!r}: write a dict, for example {{'PLAN': 'payg'}}."
        )
    for unknown in entries.keys() - DEFAULTS.keys():
        hint = suggest_similar(str(unknown), DEFAULTS) or f" Entries: {', '.join(DEFAULTS)}."
        raise ConfigurationError(f"CONTINUUM_STATS has no entry {unknown}.{hint}")
    for name, (is_valid, advice) in _RULES.items():
        if not is_valid(get_setting(name)):
            raise ConfigurationError(f"CONTINUUM_STATS[{name!r}] is {_describe(name)}: {advice}.")


def _describe(name: str) -> str:
    value = get_setting(name)
    return f"a {type(value).__name__}" if name == "ACCOUNT" else repr(value)  # it has a secret


def _get_entries() -> Mapping[str, Any]:
    entries = getattr(settings, "CONTINUUM_STATS", {})
    return entries if isinstance(entries, Mapping) else {}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_bool(value: object) -> bool:
    return isinstance(value, bool)


_BOOL: Final = (_is_bool, "write True or False")
_RULES: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "SHARED": _BOOL,
    "INTERVAL": (
        lambda value: _is_number(value) and 0 <= value < math.inf,
        "write seconds, 0 or more, for example 10.0",
    ),
    "SHARE": (
        lambda value: _is_number(value) and 0 < value <= 1,
        "write a fraction above 0 and up to 1, for example 0.05 ('SHARED': False switches it off)",
    ),
    "SAMPLE": (
        lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 0,
        "write a whole number, for example 100: one of 100 round trips is examined",
    ),
    "PROMETHEUS": _BOOL,
    "OTEL": _BOOL,
    "ACCOUNT": (
        lambda value: isinstance(value, Mapping) and value.keys() <= {"EMAIL", "API_KEY", "URL"},
        "write a dict with EMAIL and API_KEY",
    ),
}
