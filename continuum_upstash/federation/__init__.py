"""Work and messages shared by processes and services, in a database that does not evict.

    from continuum_upstash.federation import Queue

Nothing is imported before it is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from continuum_upstash.federation.queue.queue import Queue

__all__ = ["Queue"]


def __getattr__(name: str) -> Any:
    if name == "Queue":
        from continuum_upstash.federation.queue.queue import Queue  # noqa: PLC0415

        return Queue
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
