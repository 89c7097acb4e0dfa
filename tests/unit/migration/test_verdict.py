"""Whether a migration can take its next step."""

from __future__ import annotations

import pytest

from continuum_upstash.migration.conf import Phase
from continuum_upstash.migration.counters import MigrationCounts, SideCounts
from continuum_upstash.migration.stored_rollout import Rollout
from continuum_upstash.migration.verdict import Limits, judge, project_commands

LIMITS, OLD_ENOUGH = Limits(), 3600.0


def make_side(reads, slot=2, hits=None, errors=0):
    hits = reads if hits is None else hits
    latencies = [0] * 14
    latencies[slot] = reads
    return SideCounts(hits, reads - hits, errors, latencies)


def make_counts(**changes):
    values = {"old": make_side(1000), "new": make_side(1000), "compared": 1000}
    return MigrationCounts(**(values | changes))


def judge_it(phase, percent=0.0, age=OLD_ENOUGH, **changes):
    return judge(Rollout(phase, percent), age, make_counts(**changes), LIMITS)


@pytest.mark.parametrize(
    ("phase", "percent", "step"),
    [
        (Phase.OFF, 0, "set-phase shadow --percent 5"),
        (Phase.SHADOW, 5, "set-phase canary --percent 1"),
        (Phase.CANARY, 1, "set-percent 5"),
        (Phase.CANARY, 5, "set-percent 25"),
        (Phase.CANARY, 30, "set-percent 50"),
        (Phase.CANARY, 50, "set-percent 100"),
        (Phase.CANARY, 100, "set-phase new_primary"),
        (Phase.NEW_PRIMARY, 0, "set-phase new_only"),
        (Phase.NEW_ONLY, 0, ""),
    ],
)
def test_the_next_step(phase, percent, step):
    verdict = judge_it(phase, percent, old=make_side(1000, hits=10))
    assert (verdict.next_step, verdict.is_go) == (step, True)


@pytest.mark.parametrize(
    ("phase", "changes", "reason"),
    [
        (Phase.SHADOW, {"age": 1799.0}, "the phase was set 30 min ago, required"),
        (Phase.SHADOW, {"compared": 99}, "99 keys were compared, required: 100"),
        (Phase.SHADOW, {"mismatches": 2}, "0.20 % of the compared values differ (2 of 1,000)"),
        (Phase.CANARY, {"new": make_side(99)}, "99 reads of the new cache, required: 100"),
        (Phase.CANARY, {"new": make_side(1000, errors=2)}, "0.20 % of the calls"),
        (Phase.CANARY, {"new": make_side(1000, slot=7)}, "at most 32 ms in the new cache, 1 ms"),
        (Phase.CANARY, {"lost_deletes": 1}, "1 deletes failed on one side"),
        (Phase.NEW_PRIMARY, {"old": make_side(11)}, "1.10 % of the keys that were read are in"),
    ],
)
def test_a_figure_beyond_its_limit_is_the_only_reason(phase, changes, reason):
    within = {"old": make_side(1000, hits=10)} if phase is Phase.NEW_PRIMARY else {}
    verdict = judge_it(phase, **(within | changes))
    failed = [each.text for each in verdict.findings if not each.is_met]
    assert not verdict.is_go
    assert [reason in each for each in failed] == [True]


@pytest.mark.parametrize(
    ("phase", "changes"),
    [
        (Phase.SHADOW, {"mismatches": 1, "age": None}),
        (Phase.CANARY, {"new": make_side(1000, slot=5, errors=1)}),
        (Phase.CANARY, {"old": make_side(0)}),
    ],
)
def test_a_figure_at_its_limit_is_no_reason(phase, changes):
    assert judge_it(phase, **changes).is_go


@pytest.mark.parametrize(
    ("phase", "old", "new", "added"),
    [
        (Phase.SHADOW, make_side(1000), make_side(50), 950),
        (Phase.CANARY, make_side(960), make_side(50, hits=40), 950),
        (Phase.NEW_PRIMARY, make_side(100), make_side(1000, hits=900), 0),
        (Phase.NEW_ONLY, make_side(0), make_side(1000, hits=900), 0),
    ],
)
def test_all_reads_are_projected_to_the_new_database(phase, old, new, added):
    counts = make_counts(old=old, new=new)
    projected = project_commands(Rollout(phase), counts, 3600, 5000, 30 * 86400)
    assert projected == 5000 + added * 720
