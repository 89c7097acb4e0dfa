"""The last changes of each breaker's state, as this process saw them."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass
from time import time
from typing import Final

from continuum_upstash.observe import Record, StateChange

KEPT: Final = 20  # of each alias


@dataclass(frozen=True, slots=True)
class Change:
    """
    Attributes:
        at: Unix seconds.
        details: what changed.
    """

    at: float
    details: StateChange


class Changes:
    """Remembers what it is told of; `observe.subscribe` takes it."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew, as a forked child must: its breakers have no past."""
        self._by_alias: dict[str, deque[Change]] = {}

    def __call__(self, record: Record) -> None:
        if type(record) is StateChange:
            kept = self._by_alias.setdefault(record.alias, deque(maxlen=KEPT))
            kept.appendleft(Change(time(), record))

    def of(self, alias: str) -> list[Change]:
        """Return them, the last one first."""
        return list(self._by_alias.get(alias, ()))


changes = Changes()

if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=changes.forget)
