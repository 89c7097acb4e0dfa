"""The setting CONTINUUM_STATS, read when it is needed so that tests may override it."""

from __future__ import annotations

import difflib
from typing import Any, Final

from django.conf import settings

from continuum_upstash.errors import ConfigurationError

DEFAULTS: Final[dict[str, Any]] = {
    "SHARED": True,  # keep sums of all processes in the database
    "INTERVAL": 10.0,  # seconds: the least time between two writes of a process
    "SHARE": 0.05,  # the most that the statistics may cost, as a share of the commands
    "PLAN": "free",  # a name of cost.PLANS, or of your own in {"PLAN": {"alias": "payg"}}
}


def setting(name: str) -> Any:
    """Return an entry of CONTINUUM_STATS, or its default.

    Raises:
        ConfigurationError: the setting has an entry that does not exist.
    """
    given = getattr(settings, "CONTINUUM_STATS", {})
    for unknown in given.keys() - DEFAULTS.keys():
        close = difflib.get_close_matches(unknown, DEFAULTS, n=1)
        hint = f" Did you mean {close[0]}?" if close else f" There is {', '.join(DEFAULTS)}."
        raise ConfigurationError(f"CONTINUUM_STATS has no entry {unknown}.{hint}")
    return given.get(name, DEFAULTS[name])
