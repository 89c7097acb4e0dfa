"""Django signals about the database behind a cache.

Receivers are called in the thread, or the event loop, in which the change was noticed: they have
to be quick, and no coroutines. The arguments of both signals are

    alias    the cache alias, or the client's name
    backend  who answers from now on: ``upstash-rest``, ``upstash-redis`` or ``local``
    state    of the breaker: ``closed``, ``open``, ``half_open``, ``forced_open``, ``disabled``
    reason   why, in one line without secrets
"""

from __future__ import annotations

from django.dispatch import Signal

from continuum_upstash.observe import Record, StateChange
from continuum_upstash.transports.failover.circuit_breaker import CALLING_STATES

backend_changed = Signal()
"""Somebody else answers from now on: the local store, or the database again."""

upstash_unavailable = Signal()
"""The database is not asked from now on, whether the local store answers for it or nobody."""


def send_signals(record: Record) -> None:
    """Send what a record stands for; an observer, which the app subscribes."""
    if not isinstance(record, StateChange):
        return
    details = {
        "alias": record.alias,
        "backend": record.backend,
        "state": record.new,
        "reason": record.reason,
    }
    if record.backend != record.previous_backend:
        backend_changed.send_robust(StateChange, **details)
    if record.old in CALLING_STATES and record.new not in CALLING_STATES:
        upstash_unavailable.send_robust(StateChange, **details)
