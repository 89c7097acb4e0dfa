"""The last changes of each breaker's state in this process."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from time import time
from typing import Final

from continuum_upstash.observe import Record, StateChange
from continuum_upstash.transports.registry import get_process_state

MAX_CHANGES: Final = 20  # of each alias


@dataclass(frozen=True, slots=True)
class LoggedChange:
    """One change of state.

    Attributes:
        at: Unix seconds.
        details: what changed.
    """

    at: float
    details: StateChange


class BreakerLog:
    """The log of one process, see `log_state_change`."""

    def __init__(self) -> None:
        self._by_alias: dict[str, deque[LoggedChange]] = {}

    def add(self, change: StateChange) -> None:
        changes = self._by_alias.setdefault(change.alias, deque(maxlen=MAX_CHANGES))
        changes.appendleft(LoggedChange(time(), change))

    def for_alias(self, alias: str) -> list[LoggedChange]:
        """Return the changes of an alias, the latest first."""
        return list(self._by_alias.get(alias, ()))


def log_state_change(record: Record) -> None:
    """Log a change of a breaker's state; an observer, which the app subscribes."""
    if type(record) is StateChange:
        get_process_state(BreakerLog).add(record)
