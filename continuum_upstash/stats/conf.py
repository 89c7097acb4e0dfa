"""The setting CONTINUUM_STATS, read when it is needed so that tests may override it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any, Final

from django.conf import settings

from continuum_upstash.errors import ConfigurationError

DEFAULTS: Final[dict[str, Any]] = {
    "SHARED": True,  # keep sums of all processes in the database
    "INTERVAL": 10.0,  # seconds: the least time between two writes of a process
    "SHARE": 0.05,  # the most that the statistics may cost, as a share of the commands
    "PROMETHEUS": False,  # needs the extra of that name
    "OTEL": False,  # needs the extra of that name
    "PLAN": "free",  # a name of cost.PLANS, or one for each alias: {"default": "payg"}
}

_PACKAGES: Final[Mapping[str, str]] = {
    "PROMETHEUS": "prometheus_client",
    "OTEL": "opentelemetry",
}


def setting(name: str) -> Any:
    """Return an entry of CONTINUUM_STATS, or its default."""
    return getattr(settings, "CONTINUUM_STATS", {}).get(name, DEFAULTS[name])


def exports(name: str) -> bool:
    """Return whether to measure for PROMETHEUS or OTEL: it is on, and its package is there."""
    return bool(setting(name)) and find_spec(_PACKAGES[name]) is not None


def lacking() -> dict[str, str]:
    """Return what is on without its package: the entry of CONTINUUM_STATS, and the package."""
    return {
        name: package for name, package in _PACKAGES.items() if setting(name) and not exports(name)
    }


def reject_unknown() -> None:
    """Look for entries that do not exist; a system check does, so that no boot fails for it.

    Raises:
        ConfigurationError: there is one.
    """
    for unknown in getattr(settings, "CONTINUUM_STATS", {}).keys() - DEFAULTS.keys():
        close = difflib.get_close_matches(unknown, DEFAULTS, n=1)
        hint = f" Did you mean {close[0]}?" if close else f" There is {', '.join(DEFAULTS)}."
        raise ConfigurationError(f"CONTINUUM_STATS has no entry {unknown}.{hint}")
