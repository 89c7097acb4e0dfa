"""Work and messages shared by processes and services, in a database that does not evict.

    from continuum_upstash.federation import Channel, Queue

Nothing is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from continuum_upstash.federation.channels.channel import Channel
    from continuum_upstash.federation.queue.queue import Queue

__all__ = ["Channel", "Queue"]


def __getattr__(name: str) -> Any:
    if name == "Queue":
        from continuum_upstash.federation.queue.queue import Queue  # noqa: PLC0415

        return Queue
    if name == "Channel":
        from continuum_upstash.federation.channels.channel import Channel  # noqa: PLC0415

        return Channel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
