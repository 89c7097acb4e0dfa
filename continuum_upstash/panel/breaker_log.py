"""The last changes of each breaker's state, and of each budget's stage, in this process."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from time import time
from typing import Final

from continuum_upstash.observe import BudgetChange, Record, StateChange
from continuum_upstash.transports.registry import get_process_state

MAX_CHANGES: Final = 20  # of each alias


@dataclass(frozen=True, slots=True)
class LoggedChange:
    """One change of the breaker's state, or of the budget's stage.

    Attributes:
        at: Unix seconds.
        details: what changed.
    """

    at: float
    details: StateChange | BudgetChange


class BreakerLog:
    """The log of one process, see `log_state_change`."""

    def __init__(self) -> None:
        self._by_alias: dict[str, deque[LoggedChange]] = {}

    def add(self, change: StateChange | BudgetChange) -> None:
        changes = self._by_alias.setdefault(change.alias, deque(maxlen=MAX_CHANGES))
        changes.appendleft(LoggedChange(time(), change))

    def for_alias(self, alias: str) -> list[LoggedChange]:
        """Return the changes of an alias, the latest first."""
        return list(self._by_alias.get(alias, ()))


def log_state_change(record: Record) -> None:
    """Log a change of a breaker's state or a budget's stage; the app subscribes this observer."""
    if isinstance(record, (StateChange, BudgetChange)):
        get_process_state(BreakerLog).add(record)
