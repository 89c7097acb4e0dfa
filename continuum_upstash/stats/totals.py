"""Sums of what one backend of one alias did; they add up over backends, processes and time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Final, Self

# Seconds. A local answer takes 20 µs, a database nearby 1 ms, another continent 250 ms.
BOUNDS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
)  # fmt: skip
BUCKETS: Final = len(BOUNDS) + 1  # the last one holds what took longer


@dataclass(slots=True)
class Tally:
    """
    Attributes:
        batches: round trips, failed ones included.
        commands: how often each was answered, by name.
        hits, misses: keys that a read found and did not find.
        sets: values that were stored.
        errors: by class; of whole batches and of single commands.
        coalesced: requests that were saved, since batches of one tick travelled as one.
        bytes_out, bytes_in: of keys and values; what frames them is not counted.
        billed: commands that the service bills; our own statistics are not among them.
        overhead: commands that the service bills for our own statistics.
        seconds: sum of the batches' durations.
        latency: batches by duration; see `BOUNDS`.
    """

    batches: int = 0
    commands: dict[str, int] = field(default_factory=dict)
    hits: int = 0
    misses: int = 0
    sets: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    coalesced: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    billed: int = 0
    overhead: int = 0
    seconds: float = 0.0
    latency: list[int] = field(default_factory=lambda: [0] * BUCKETS)

    @property
    def hit_rate(self) -> float | None:
        """The share of reads that found something, 0 to 1; None: nothing was read."""
        reads = self.hits + self.misses
        return self.hits / reads if reads else None

    @property
    def error_rate(self) -> float | None:
        """Errors for each batch; None: there was none."""
        return sum(self.errors.values()) / self.batches if self.batches else None

    def quantile(self, share: float) -> float | None:
        """Return the seconds within which that share of the batches ended."""
        return quantile(self.latency, share)

    def __iadd__(self, other: Tally) -> Self:
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(other, each.name)
            if isinstance(mine, dict):
                for name, count in theirs.items():
                    mine[name] = mine.get(name, 0) + count
            elif isinstance(mine, list):
                mine[:] = map(sum, zip(mine, theirs, strict=True))
            else:
                setattr(self, each.name, mine + theirs)
        return self

    def __sub__(self, earlier: Tally) -> Tally:
        """Return what was added since an earlier state of this tally."""
        left = Tally()
        for each in fields(self):
            mine, theirs = getattr(self, each.name), getattr(earlier, each.name)
            if isinstance(mine, dict):
                grown = {name: count - theirs.get(name, 0) for name, count in mine.items()}
                setattr(left, each.name, {name: count for name, count in grown.items() if count})
            elif isinstance(mine, list):
                setattr(left, each.name, [a - b for a, b in zip(mine, theirs, strict=True)])
            else:
                setattr(left, each.name, mine - theirs)
        return left

    def as_dict(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the tally of `as_dict`; names of another version of this package are left out."""
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})


def total(tallies: Mapping[str, Tally]) -> Tally:
    """Return the sum over backends."""
    summed = Tally()
    for tally in tallies.values():
        summed += tally
    return summed


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
