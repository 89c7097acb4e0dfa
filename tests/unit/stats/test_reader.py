from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from continuum_upstash.stats.shared import reader
from continuum_upstash.stats.shared.schema import HOURS_KEPT, encode_totals
from continuum_upstash.stats.totals import Totals

END = datetime(2026, 3, 31, 12, 30, tzinfo=UTC)


def run_plan(plan):
    """Reply to each HGETALL with one field; return the sizes of the batches and the result."""
    sizes = []
    try:
        batch = next(plan)
        while True:
            sizes.append(len(batch.commands))
            batch = plan.send([[b"12:p", encode_totals(Totals(batches=1))] for _ in batch.commands])
    except StopIteration as stop:
        return sizes, stop.value


@pytest.mark.parametrize(
    ("read", "span", "hashes"),
    [
        (reader.read_hours, timedelta(days=30), 31),
        (reader.read_minutes, timedelta(hours=24), 25),
        (reader.read_minutes, timedelta(hours=1), 2),
    ],
)
def test_a_round_trip_reads_at_most_eight_hashes(read, span, hashes):
    sizes, found = run_plan(read("default", END - span, END))
    assert sum(sizes) == hashes
    assert max(sizes) <= 8
    assert sizes[:-1] == [8] * (len(sizes) - 1)
    assert len(found) >= hashes - 1  # the first field may be before the period


def test_the_first_day_of_a_month_is_kept_until_the_last_day_has_ended():
    assert timedelta(seconds=HOURS_KEPT) >= timedelta(days=31)
    assert timedelta(seconds=HOURS_KEPT) < timedelta(days=33)
