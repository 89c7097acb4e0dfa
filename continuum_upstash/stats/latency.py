"""A latency histogram: fixed bounds, so that those of many processes add up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

# Seconds. A local answer takes 20 µs, a database nearby 1 ms, another continent 250 ms.
BOUNDS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
)  # fmt: skip
BUCKETS: Final = len(BOUNDS) + 1  # the last one holds what took longer


def quantile(counts: Sequence[int], share: float) -> float | None:
    """Return the seconds within which `share` (0 to 1) of the batches ended; None: there are none.

    Within a bucket they are taken for evenly spread, as Prometheus' histogram_quantile does, and
    what lies beyond the last bound is given as that bound.
    """
    total = sum(counts)
    if not total:
        return None
    rank, below, lower = share * total, 0, 0.0
    for bound, count in zip(BOUNDS, counts, strict=False):
        if count and below + count >= rank:
            return lower + (bound - lower) * max(rank - below, 0) / count
        below += count
        lower = bound
    return lower
