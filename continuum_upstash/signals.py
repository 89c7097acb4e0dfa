"""Django signals about the database of a cache.

Receivers run in the thread or event loop that noticed the change. They must return quickly and
must not be coroutines. Both signals have these arguments:

    alias    the cache alias, or the client's name
    backend  what serves the cache now: ``upstash-rest``, ``upstash-redis`` or ``local``
    state    of the circuit breaker: ``closed``, ``open``, ``half_open``, ``forced_open`` or
             ``disabled``
    reason   the cause of the change, in one line without secrets
"""

from __future__ import annotations

from django.dispatch import Signal

from continuum_upstash.observe import Record, StateChange
from continuum_upstash.transports.failover.circuit_breaker import CALLING_STATES

backend_changed = Signal()
"""The backend changed: to the local store, or back to the database."""

upstash_unavailable = Signal()
"""The breaker opened: calls no longer use the database. FALLBACK decides whether they fail."""


def send_signals(record: Record) -> None:
    """Send the signals for a record; an observer, which the app subscribes."""
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
