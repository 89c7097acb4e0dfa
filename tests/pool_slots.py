"""What tests look up in a connection pool."""

from __future__ import annotations

from typing import Any
from weakref import getweakrefcount

from continuum_upstash.transports.pool import SlotQueue


def count_free(pool: SlotQueue[Any]) -> int:
    """Return how many slots of the pool can be acquired now."""
    return pool.size - getweakrefcount(pool._anchor)
