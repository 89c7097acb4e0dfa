"""Totals of what one backend of one alias did; they add up over backends, processes and time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Self

from continuum_upstash.plans.command_table import get_spec

# Seconds. The local store takes 20 µs, a database nearby 1 ms, another continent 250 ms.
BOUNDS: Final = (
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
)  # fmt: skip
BUCKETS: Final = len(BOUNDS) + 1  # the last one counts what took longer


@dataclass(slots=True)
class Totals:
    """Counts and sums; see `add_up`.

    Attributes:
        batches: round trips, including failed ones.
        commands: completed commands by name.
        local_commands: commands that the local store served in place of the database. They are
            not among `commands`, and their batches not in `batches`, `seconds` and `latency`.
        hits, misses: keys that reads found and did not find in the database or the local store.
        near_hits: keys that reads found in the near cache.
        near_saved: commands that were not sent because the near cache had all keys.
        sets: stored values.
        errors: failed batches and failed commands, by exception class.
        discarded: values that were not stored or not decoded, by the kind of `ValueDiscarded`.
        protected_reads: `get_or_set` with stampede protection, by the result of `ProtectedRead`.
        coalesced: requests saved by sending the batches of one event-loop tick together.
        bytes_out, bytes_in: sizes of keys and values, without protocol overhead.
        billed: billed commands, without those of the shared statistics.
        overhead: billed commands of the shared statistics and of a budget's counter.
        seconds: sum of the durations of all batches.
        latency: number of batches per duration bucket, see `BOUNDS`.
        samples: counts by measure and subject, see `stats.sampling`; empty unless SAMPLE is set.
    """

    batches: int = 0
    commands: dict[str, int] = field(default_factory=dict)
    local_commands: int = 0
    hits: int = 0
    misses: int = 0
    near_hits: int = 0
    near_saved: int = 0
    sets: int = 0
    errors: dict[str, int] = field(default_factory=dict)
    discarded: dict[str, int] = field(default_factory=dict)
    protected_reads: dict[str, int] = field(default_factory=dict)
    coalesced: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    billed: int = 0
    overhead: int = 0
    seconds: float = 0.0
    latency: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    samples: dict[str, int] = field(default_factory=dict)

    @property
    def hit_rate(self) -> float | None:
        """The fraction of reads that found a value, 0 to 1; None without reads."""
        hits = self.hits + self.near_hits
        reads = hits + self.misses
        return hits / reads if reads else None

    @property
    def error_rate(self) -> float | None:
        """Errors per batch; None without batches."""
        return sum(self.errors.values()) / self.batches if self.batches else None

    @property
    def all_billed(self) -> int:
        """Billed commands, including those of the shared statistics."""
        return self.billed + self.overhead

    def list_billed_commands(self) -> list[tuple[str, int]]:
        """Return the names of the billed commands and how often each was sent, most often first."""
        sent = [item for item in self.commands.items() if get_spec((item[0],)).billed]
        return sorted(sent, key=lambda item: -item[1])

    def estimate_quantile(self, fraction: float) -> float | None:
        """Return the duration in seconds within which this fraction of the batches completed."""
        return estimate_quantile(self.latency, fraction)

    def set_apart(self) -> Totals:
        """Return these totals of the local store as part of those of a database."""
        local = self.local_commands + sum(self.commands.values())
        return replace(
            self, batches=0, commands={}, local_commands=local, seconds=0.0, latency=[0] * BUCKETS
        )

    def __iadd__(self, other: Totals) -> Self:
        for each in fields(self):
            mine, added = getattr(self, each.name), getattr(other, each.name)
            if isinstance(mine, dict):
                for name, count in added.items():
                    mine[name] = mine.get(name, 0) + count
            elif isinstance(mine, list):
                mine[:] = map(sum, zip(mine, added, strict=True))
            else:
                setattr(self, each.name, mine + added)
        return self

    def __sub__(self, earlier: Totals) -> Totals:
        """Return what was added since an earlier state of these totals."""
        difference = Totals()
        for each in fields(self):
            now, then = getattr(self, each.name), getattr(earlier, each.name)
            if isinstance(now, dict):
                added = {name: count - then.get(name, 0) for name, count in now.items()}
                setattr(difference, each.name, {name: n for name, n in added.items() if n})
            elif isinstance(now, list):
                setattr(difference, each.name, [a - b for a, b in zip(now, then, strict=True)])
            else:
                setattr(difference, each.name, now - then)
        return difference

    def __mul__(self, factor: int) -> Totals:
        """Return the totals of `factor` processes that did the same."""
        product = Totals()
        for each in fields(self):
            value = getattr(self, each.name)
            if isinstance(value, dict):
                value = {name: count * factor for name, count in value.items()}
            elif isinstance(value, list):
                value = [count * factor for count in value]
            else:
                value *= factor
            setattr(product, each.name, value)
        return product

    def as_dict(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the totals of `as_dict`, without fields that only another version has."""
        known = {each.name for each in fields(cls)}
        return cls(**{name: value for name, value in values.items() if name in known})


def add_up(totals: Iterable[Totals]) -> Totals:
    """Return the sum of totals."""
    result = Totals()
    for each in totals:
        result += each
    return result


def estimate_quantile(counts: Sequence[int], fraction: float) -> float | None:
    """Return the duration in seconds within which `fraction` (0 to 1) of the batches completed.

    Batches are assumed to be spread evenly within a bucket, as in Prometheus' histogram_quantile.
    A duration beyond the last bound is returned as that bound. Without batches it is None.
    """
    total = sum(counts)
    if not total:
        return None
    rank, below, lower = fraction * total, 0, 0.0
    for bound, count in zip(BOUNDS, counts, strict=False):
        if count and below + count >= rank:
            return lower + (bound - lower) * max(rank - below, 0) / count
        below += count
        lower = bound
    return lower
