"""The sessions in a database: how many there are, and whether they are safe there."""

from __future__ import annotations

from dataclasses import dataclass, replace

from django.conf import settings

from continuum_upstash.errors import ContinuumError
from continuum_upstash.health.probe import ServerInfo
from continuum_upstash.panel.key_sample import MAX_PAGES
from continuum_upstash.sessions.conf import conf
from continuum_upstash.sessions.index import SessionCounts, count_sessions


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """The sessions of one database.

    Attributes:
        policy: the server's eviction policy; empty: unknown.
        safe: whether the server keeps sessions when it is full; None: unknown.
        accepted: whether SESSION_ALLOW_EVICTION allows their eviction.
        fallback: the engine that stores sessions during an outage; empty: none.
        counts: None: not counted.
        problem: why they could not be counted, without secrets.
    """

    policy: str
    safe: bool | None
    accepted: bool
    fallback: str
    counts: SessionCounts | None = None
    problem: str = ""


def summarize_sessions(
    alias: str, server: ServerInfo | None, *, count: bool
) -> SessionSummary | None:
    """Return a summary of the sessions in an alias's database; None: it stores none.

    Args:
        alias: of CACHES.
        server: the reply to INFO.
        count: whether to count them, which costs one billed command per thousand keys.
    """
    if not conf.is_active or alias != settings.SESSION_CACHE_ALIAS:
        return None
    policy = server.policy if server else ""
    safe = not server.evicts if server and policy else None
    summary = SessionSummary(policy, safe, conf.allow_eviction, conf.fallback_engine or "")
    if not count:
        return summary
    try:
        return replace(summary, counts=count_sessions(MAX_PAGES))
    except ContinuumError as error:
        return replace(summary, problem=str(error))


def is_login_store(alias: str) -> bool:
    """Return whether users lose their login while an alias's database is not used."""
    return conf.are_stored_in(alias) and not (conf.is_active and conf.fallback_engine)
