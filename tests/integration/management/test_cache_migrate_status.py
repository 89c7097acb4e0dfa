"""``cache_migrate status``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.core.cache import caches

from continuum_upstash.backend import get_cache
from continuum_upstash.migration.conf import BACKEND, get_settings
from continuum_upstash.migration.counters import CountsWriter
from continuum_upstash.migration.dual.state import get_state
from continuum_upstash.migration.rollout import make_migration_key, write_rollout
from continuum_upstash.stats.shared.schema import day_key, encode_totals
from continuum_upstash.stats.totals import Totals
from tests.integration.cache_entries import make_entry
from tests.integration.management.command_runs import run_command
from tests.integration.management.json_schema import OPTIONAL, assert_follows

SIDE = {
    "hits": int, "misses": int, "errors": int, "reads": int, "hit_rate": OPTIONAL,
    "error_rate": OPTIONAL, "p50_ms": OPTIONAL, "p95_ms": OPTIONAL,
}  # fmt: skip
SCHEMA = {
    "schema": int, "alias": str, "old": str, "new": str, "phase": str, "percent": float,
    "salt": str, "source": str, "changed_at": OPTIONAL, "counted_seconds": int,
    "sides": {"old": SIDE, "new": SIDE}, "compared": int, "mismatches": int, "filled": int,
    "lost_deletes": int, "verdict": str, "next_step": str,
    "findings": [{"is_met": bool, "text": str}], "bill": (dict, type(None)),
    "bill_in_new_only": (dict, type(None)),
}  # fmt: skip


@pytest.fixture(autouse=True)
def moving(site, emulator):
    options = {"OLD": "old", "NEW": "new", "PHASE": "shadow", "PERCENT": 100}
    site.CACHES = {
        "default": {"BACKEND": BACKEND, "OPTIONS": options},
        "old": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
        "new": make_entry(emulator, KEY_PREFIX="shop"),
    }
    yield site
    caches["old"].clear()


def status(*arguments):
    # A busy machine must not decide.
    return run_command("cache_migrate", "status", "--max-latency", "60000", *arguments)


@pytest.fixture
def traffic(monkeypatch):
    """120 reads of values that both caches have; the counts are written at once."""
    monkeypatch.setattr(CountsWriter, "is_due", lambda _: True)
    cache = caches["default"]
    cache.set_many({f"k{i}": i for i in range(120)})
    for i in range(120):
        assert cache.get(f"k{i}") == i
    cache.get("missing")
    yield
    get_cache("new").run(get_state(get_settings("default")).counts.write())  # none are left


def test_status_shows_both_caches_and_the_next_step(traffic):
    run = status()
    assert (run.code, run.error) == (0, "")
    assert "Rollout     phase shadow, 100 % (by OPTIONS)" in run.out
    assert "Old         120 reads, hit rate 100 %" in run.out
    assert "Compared    120 keys, 0 % of them differ" in run.out
    assert "Verdict: go" in run.out
    assert "manage.py cache_migrate set-phase canary --percent 1" in run.out


def test_json_follows_its_schema(traffic):
    run = status("--format", "json")
    assert_follows(run.json, SCHEMA)
    assert (run.json["verdict"], run.json["sides"]["new"]["hits"]) == ("go", 120)


def test_too_few_reads_and_a_young_phase_are_reasons_to_wait():
    write_rollout("default", phase="canary", percent=50, force=True)
    run = status("--format", "json")
    assert run.code == 1
    assert "0 reads of the new cache, required: 100" in run.error
    assert "the phase was set 0 min ago" in run.error
    assert (run.json["verdict"], run.json["source"]) == ("no-go", "shared rollout")
    assert status("--min-age", "0").error.count(";") == 0


def test_the_environment_is_named_as_the_source(monkeypatch):
    monkeypatch.setenv("CONTINUUM_MIGRATION_PHASE", "canary")
    assert status("--format", "json").json["source"] == "CONTINUUM_MIGRATION_PHASE"


def test_all_reads_are_projected_to_the_new_cache(moving, monkeypatch):
    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2026, 3, 10, 12, tzinfo=tz)

    monkeypatch.setattr("continuum_upstash.management.migration.status_action.datetime", Clock)
    moving.CONTINUUM_STATS = {"SHARED": False, "PLAN": "payg"}
    totals = encode_totals(Totals(batches=100, billed=100, misses=100)).decode()
    for hour in (1, 2):
        at = Clock.now(UTC) - timedelta(hours=hour)
        key = day_key("new", at)
        get_cache("new").client.redis.hset(key, f"{at:%H}:p", totals)
    counts = CountsWriter(make_migration_key(get_settings("default")))
    for side, reads in (("old", 1000), ("new", 100)):
        for _ in range(reads):
            counts.count_reads(side, 1, 0, 0.001)
    get_cache("new").run(counts.write())
    found = status("--format", "json").json
    added = 900 * 31 * 86400 / found["counted_seconds"]
    bills = found["bill"], found["bill_in_new_only"]
    assert bills[1]["projected"] == pytest.approx(bills[0]["projected"] + added, rel=0.01)
    assert bills[1]["dollars"] == pytest.approx(bills[1]["projected"] * 2e-6, abs=0.01)
    assert "In new_only" in status().out


def test_the_projection_needs_the_statistics_of_the_new_cache(traffic):
    assert "This month  no history yet" in status().out


def test_an_outage_exits_with_2(emulator):
    with emulator.fault("refuse"):
        run = status()
    assert run.code == 2
    assert emulator.token not in run.out + run.err + run.error
