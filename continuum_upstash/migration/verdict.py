"""Whether a migration can take its next step: the figures of both caches against limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from continuum_upstash.migration.conf import Phase
from continuum_upstash.migration.counters import MigrationCounts, SideCounts
from continuum_upstash.migration.stored_rollout import Rollout

_HOUR: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Limits:
    """
    Attributes:
        mismatch_rate: of the compared reads, 0 to 1.
        error_rate: of the calls of the new cache, 0 to 1.
        added_latency_ms: how much longer a read of the new cache may take, as 95th percentile.
        old_only_rate: the fraction of the reads, 0 to 1, that only the old cache can serve when the
            phase ``new_only`` begins.
        reads: the least number of reads to judge by.
        age: the least seconds since the phase was set.
    """

    mismatch_rate: float = 0.001
    error_rate: float = 0.001
    added_latency_ms: float = 10.0
    old_only_rate: float = 0.01
    reads: int = 100
    age: float = 1800.0


class Finding(NamedTuple):
    """
    Attributes:
        is_met: whether the figure is within its limit.
        text: the figure and the limit.
    """

    is_met: bool
    text: str


class Verdict(NamedTuple):
    """
    Attributes:
        next_step: the arguments of `cache_migrate` for the next step; "" if there is none.
        findings: what was judged.
    """

    next_step: str
    findings: tuple[Finding, ...]

    @property
    def is_go(self) -> bool:
        return all(each.is_met for each in self.findings)


def judge(rollout: Rollout, age: float | None, counts: MigrationCounts, limits: Limits) -> Verdict:
    """Return whether the next step of a migration can be taken.

    Args:
        rollout: the present one.
        age: seconds since its phase was set; None: unknown, for example that of OPTIONS.
        counts: of the last hours.
        limits: for the figures.
    """
    next_step = _find_next_step(rollout)
    if rollout.phase in {Phase.OFF, Phase.NEW_ONLY}:
        return Verdict(next_step, ())
    findings = [_judge_age(age, limits), _judge_errors(counts.new, limits)]
    if rollout.phase is Phase.SHADOW:
        findings.append(_judge_mismatches(counts, limits))
    else:
        findings.append(_judge_reads(counts.new, limits))
    findings += [_judge_latency(counts, limits), _judge_deletes(counts)]
    if next_step.endswith(Phase.NEW_ONLY):
        findings.append(_judge_old_only(counts, limits))
    return Verdict(next_step, tuple(findings))


def project_commands(
    rollout: Rollout, counts: MigrationCounts, seconds: float, projected: int, month: float
) -> int:
    """Return the commands of a month in the phase ``new_only``.

    Args:
        rollout: the present one.
        counts: of the last `seconds`.
        seconds: how long the counts cover.
        projected: the commands of the month in the new database at the present rate.
        month: the seconds of the month.
    """
    reads, total = sum(counts.new.latencies), _count_reads(rollout, counts)
    return projected + round((total - reads) * month / seconds)


def _count_reads(rollout: Rollout, counts: MigrationCounts) -> int:
    """Return the reads of the site; each is counted on both sides if the first one misses."""
    old, new = sum(counts.old.latencies), sum(counts.new.latencies)
    if rollout.phase in {Phase.OFF, Phase.SHADOW}:
        return old
    return max(new, old + new - counts.new.misses)


def _find_next_step(rollout: Rollout) -> str:
    match rollout.phase:
        case Phase.OFF:
            return "set-phase shadow --percent 5"
        case Phase.SHADOW:
            return "set-phase canary --percent 1"
        case Phase.CANARY if rollout.percent < 100:
            share = next(each for each in (5, 25, 50, 100) if each > rollout.percent)
            return f"set-percent {share}"
        case Phase.CANARY:
            return "set-phase new_primary"
        case Phase.NEW_PRIMARY:
            return "set-phase new_only"
    return ""


def _judge_age(age: float | None, limits: Limits) -> Finding:
    least = f"at least {limits.age / 60:g} min"
    if age is None:
        return Finding(
            is_met=True,
            text=f"it is not stored since when the phase applies: keep it for {least}",
        )
    return Finding(
        age >= limits.age, f"the phase was set {age / 60:,.0f} min ago, required: {least}"
    )


def _judge_errors(new: SideCounts, limits: Limits) -> Finding:
    calls = sum(new.latencies) + new.errors
    rate = new.errors / calls if calls else 0.0
    return Finding(
        rate <= limits.error_rate,
        f"{_percent(rate)} of the calls of the new cache failed ({new.errors:,} of {calls:,}), "
        f"limit {_percent(limits.error_rate)}",
    )


def _judge_mismatches(counts: MigrationCounts, limits: Limits) -> Finding:
    if counts.compared < limits.reads:
        return Finding(
            is_met=False,
            text=f"{counts.compared:,} keys were compared, required: {limits.reads:,}",
        )
    rate = counts.mismatches / counts.compared
    return Finding(
        rate <= limits.mismatch_rate,
        f"{_percent(rate)} of the compared values differ ({counts.mismatches:,} of "
        f"{counts.compared:,}), limit {_percent(limits.mismatch_rate)}",
    )


def _judge_reads(new: SideCounts, limits: Limits) -> Finding:
    reads = sum(new.latencies)
    return Finding(
        reads >= limits.reads,
        f"{reads:,} reads of the new cache, required: {limits.reads:,}",
    )


def _judge_latency(counts: MigrationCounts, limits: Limits) -> Finding:
    old, new = (side.estimate_latency_ms(0.95) for side in (counts.old, counts.new))
    if old is None or new is None:
        side = "old" if old is None else "new"
        return Finding(is_met=True, text=f"no read of the {side} cache: latencies not compared")
    return Finding(
        new <= old + limits.added_latency_ms,
        f"95 % of the reads take at most {new:g} ms in the new cache, {old:g} ms in the old one, "
        f"limit {limits.added_latency_ms:g} ms more",
    )


def _judge_deletes(counts: MigrationCounts) -> Finding:
    return Finding(
        counts.lost_deletes == 0,
        f"{counts.lost_deletes:,} deletes failed on one side and were given up, limit 0",
    )


def _judge_old_only(counts: MigrationCounts, limits: Limits) -> Finding:
    reads = counts.new.hits + counts.new.misses
    rate = counts.old.hits / reads if reads else 0.0
    return Finding(
        rate <= limits.old_only_rate,
        f"{_percent(rate)} of the keys that were read are in the old cache only, limit "
        f"{_percent(limits.old_only_rate)}",
    )


def _percent(rate: float) -> str:
    return f"{rate * 100:.2f} %"
