"""Whether logins live in a database, how many, and whether they are safe there."""

from __future__ import annotations

from dataclasses import dataclass, replace

from django.conf import settings

from continuum_upstash.errors import ContinuumError
from continuum_upstash.health.report import Server
from continuum_upstash.panel.key_sample import PAGES
from continuum_upstash.sessions.conf import conf
from continuum_upstash.sessions.index import SessionCounts, count_sessions


@dataclass(frozen=True, slots=True)
class Sessions:
    """
    Attributes:
        policy: what the server does when it is full; empty: it does not tell.
        safe: whether it keeps sessions then; None: it does not tell.
        accepted: whether SESSION_ALLOW_EVICTION says that it need not.
        fallback: the engine that serves during an outage; empty: none.
        counts: None: not counted.
        problem: why not, without secrets.
    """

    policy: str
    safe: bool | None
    accepted: bool
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
    if not conf.is_active or alias != settings.SESSION_CACHE_ALIAS:
        return None
    policy = server.policy if server else ""
    safe = not server.evicts if server and policy else None
    known = Sessions(policy, safe, conf.allow_eviction, conf.fallback_engine or "")
    if not count:
        return known
    try:
        return replace(known, counts=count_sessions(PAGES))
    except ContinuumError as error:
        return replace(known, problem=str(error))


def logins_need(alias: str) -> bool:
    """Return whether nobody is logged in any more when an alias' database is not asked."""
    return conf.are_stored_in(alias) and not (conf.is_active and conf.fallback_engine)
