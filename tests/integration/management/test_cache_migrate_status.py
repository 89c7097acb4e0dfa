"""``cache_migrate status``."""

from __future__ import annotations

import pytest
from django.core.cache import caches

from continuum_upstash.migration.conf import BACKEND
from continuum_upstash.migration.counters import CountsWriter
from continuum_upstash.migration.rollout import write_rollout
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
    return run_command("cache_migrate", "status", *arguments)


@pytest.fixture
def traffic(monkeypatch):
    """120 reads of values that both caches have; the counts are written at once."""
    monkeypatch.setattr(CountsWriter, "is_due", lambda _: True)
    cache = caches["default"]
    cache.set_many({f"k{i}": i for i in range(120)})
    for i in range(120):
        assert cache.get(f"k{i}") == i
    cache.get("missing")


def test_status_shows_both_caches_and_the_next_step(traffic):
    run = status()
    assert (run.code, run.error) == (0, "")
    assert "Rollout     phase shadow, 100 % (by OPTIONS)" in run.out
    assert "Old         120 reads, hit rate 100.0 %" in run.out
    assert "Compared    120 keys, 0.0 % of them differ" in run.out
    assert "Verdict: go" in run.out
    assert "manage.py cache_migrate set-phase canary --percent 1" in run.out


def test_json_follows_its_schema(traffic):
    run = status("--format", "json")
    assert_follows(run.json, SCHEMA)
    assert (run.json["verdict"], run.json["sides"]["new"]["hits"]) == ("go", 120)


def test_too_few_reads_and_a_young_rollout_are_reasons_to_wait():
    write_rollout("default", phase="shadow", percent=50)
    run = status("--format", "json")
    assert run.code == 1
    assert "0 keys were compared, required: 100" in run.error
    assert "the rollout was changed 0 min ago" in run.error
    assert (run.json["verdict"], run.json["source"]) == ("no-go", "shared rollout")
    assert status("--min-age", "0").error.count(";") == 0


def test_the_environment_is_named_as_the_source(monkeypatch):
    monkeypatch.setenv("CONTINUUM_MIGRATION_PHASE", "canary")
    assert status("--format", "json").json["source"] == "CONTINUUM_MIGRATION_PHASE"


def test_the_projection_needs_the_statistics_of_the_new_cache(traffic):
    assert "This month  no history yet" in status().out


def test_an_outage_exits_with_2(emulator):
    with emulator.fault("refuse"):
        run = status()
    assert run.code == 2
    assert emulator.token not in run.out + run.err + run.error
