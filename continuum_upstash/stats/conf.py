"""The setting CONTINUUM_STATS, read when it is needed so that tests may override it."""

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
FOLDER: Final = "PROMETHEUS_MULTIPROC_DIR"


def setting(name: str) -> Any:
    """Return an entry of CONTINUUM_STATS, or its default."""
    return _given().get(name, DEFAULTS[name])


def exports(name: str) -> bool:
    """Return whether to measure for PROMETHEUS or OTEL: it is on, and has what it needs."""
    return bool(setting(name)) and name not in lacking() and not (name == "PROMETHEUS" and shut())


def lacking() -> dict[str, str]:
    """Return what is on without its package: the entry of CONTINUUM_STATS, and the package."""
    return {
        name: package
        for name, package in _PACKAGES.items()
        if setting(name) and find_spec(package) is None
    }


def shut() -> bool:
    """Return whether the variable names a directory where prometheus_client cannot write."""
    folder = os.environ.get(FOLDER)
    if folder is None:
        return False
    return not (folder and Path(folder).is_dir() and os.access(folder, os.W_OK))


def reject_wrong() -> None:
    """Look for what nobody can go by; a system check does, so that no boot fails for it.

    PLAN is `cost.plan_of`'s.

    Raises:
        ConfigurationError: an entry does not exist, or has a value that it cannot have.
    """
    whole = getattr(settings, "CONTINUUM_STATS", {})
    if not isinstance(whole, Mapping):
        raise ConfigurationError(
            f"CONTINUUM_STATS is {whole!r}: write a dict, such as {{'PLAN': 'payg'}}."
        )
    for unknown in whole.keys() - DEFAULTS.keys():
        hint = suggest_similar(str(unknown), DEFAULTS) or f" It has {', '.join(DEFAULTS)}."
        raise ConfigurationError(f"CONTINUUM_STATS has no entry {unknown}.{hint}")
    for name, (right, advice) in _RULES.items():
        if not right(setting(name)):
            raise ConfigurationError(f"CONTINUUM_STATS[{name!r}] is {setting(name)!r}: {advice}.")


def _given() -> Mapping[str, Any]:
    given = getattr(settings, "CONTINUUM_STATS", {})
    return given if isinstance(given, Mapping) else {}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_switch(value: object) -> bool:
    return isinstance(value, bool)


_SWITCH: Final = (_is_switch, "write True or False")
_RULES: Final[Mapping[str, tuple[Callable[[Any], bool], str]]] = {
    "SHARED": _SWITCH,
    "INTERVAL": (
        lambda value: _is_number(value) and 0 <= value < math.inf,
        "write seconds from 0 on, such as 10.0",
    ),
    "SHARE": (
        lambda value: _is_number(value) and 0 < value <= 1,
        "write a share above 0 and up to 1, such as 0.05; 'SHARED': False switches sharing off",
    ),
    "PROMETHEUS": _SWITCH,
    "OTEL": _SWITCH,
}
