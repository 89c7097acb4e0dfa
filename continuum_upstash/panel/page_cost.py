"""The cost of a page: the commands that are sent in its context while it is made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from continuum_upstash.observe import CommandDetails, Record
from continuum_upstash.plans.billing import count_billed_in_batch
from continuum_upstash.stats.labels import LOCAL


@dataclass(slots=True)
class PageCost:
    """What a page has cost so far.

    Attributes:
        billed: billed commands.
        round_trips: to a database; batches served by the local store do not count.
        served_locally: batches that the local store has served.
    """

    billed: int = 0
    round_trips: int = 0
    served_locally: int = 0


_cost: ContextVar[PageCost | None] = ContextVar("continuum_upstash_panel_cost", default=None)


@contextmanager
def track_cost() -> Iterator[PageCost]:
    """Count the commands of the block; the result is up to date at any time in it."""
    cost = PageCost()
    token = _cost.set(cost)
    try:
        yield cost
    finally:
        _cost.reset(token)


def observe(record: Record) -> None:
    """Count a round trip; an observer, which the app subscribes."""
    cost = _cost.get()
    if cost is None or type(record) is not CommandDetails:
        return
    if record.backend == LOCAL:
        cost.served_locally += 1
        return
    cost.round_trips += 1
    cost.billed += count_billed_in_batch(record)
