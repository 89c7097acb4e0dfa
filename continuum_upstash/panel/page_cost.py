"""What a page costs: the commands that were asked while it was made, by anybody in its context."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from continuum_upstash.observe import CommandDetails, Record
from continuum_upstash.stats.billing import count_billed_in_batch


@dataclass(slots=True)
class Spent:
    """
    Attributes:
        billed: commands that the service bills.
        round_trips: to a database, not to a local store.
    """

    billed: int = 0
    round_trips: int = 0


_spent: ContextVar[Spent | None] = ContextVar("continuum_upstash_panel_spent", default=None)


@contextmanager
def spending() -> Iterator[Spent]:
    """Count what the block asks; the figures are right at any time in it."""
    spent = Spent()
    token = _spent.set(spent)
    try:
        yield spent
    finally:
        _spent.reset(token)


def note(record: Record) -> None:
    """Count a round trip; an observer, which the app subscribes."""
    spent = _spent.get()
    if spent is None or type(record) is not CommandDetails or record.backend == "local":
        return
    spent.round_trips += 1
    spent.billed += count_billed_in_batch(record)
