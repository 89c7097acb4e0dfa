"""Whether logins live in a database, how many, and whether they are safe there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from django.conf import settings

from continuum_upstash.errors import ContinuumError
from continuum_upstash.health import Server
from continuum_upstash.panel.sample import PAGES
from continuum_upstash.sessions.conf import conf
from continuum_upstash.sessions.index import SessionCounts, count_sessions

OURS: Final = "continuum_upstash.sessions"
_DJANGOS: Final = "django.contrib.sessions.backends.cache"


@dataclass(frozen=True, slots=True)
class Sessions:
    """
    Attributes:
        policy: what the server does when it is full; empty: it does not tell.
        safe: whether it keeps sessions then; None: it does not tell.
        fallback: the engine that serves during an outage; empty: none.
        counts: None: not counted.
        problem: why not, without secrets.
    """

    policy: str
    safe: bool | None
    fallback: str
    counts: SessionCounts | None = None
    problem: str = ""


def sessions(alias: str, server: Server | None, *, count: bool) -> Sessions | None:
    """Return what is known of the sessions in an alias' database; None: there are none of ours.

    Args:
        alias: of CACHES.
        server: what INFO said.
        count: whether to count, by a billed command for each thousand keys.
    """
    if settings.SESSION_ENGINE != OURS or alias != settings.SESSION_CACHE_ALIAS:
        return None
    policy = server.policy if server else ""
    safe = not server.evicts if server and policy else None
    known = Sessions(policy, safe, conf.fallback_engine or "")
    if not count:
        return known
    try:
        return Sessions(policy, safe, known.fallback, count_sessions(PAGES))
    except ContinuumError as error:
        return Sessions(policy, safe, known.fallback, problem=str(error))


def logins_need(alias: str) -> bool:
    """Return whether nobody is logged in any more when an alias' database is not asked."""
    if alias != settings.SESSION_CACHE_ALIAS:
        return False
    if settings.SESSION_ENGINE == OURS:
        return not conf.fallback_engine
    return bool(settings.SESSION_ENGINE == _DJANGOS)
