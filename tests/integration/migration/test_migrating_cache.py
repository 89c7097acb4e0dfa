"""A migration between real servers, from each backend that a site may come from."""

from __future__ import annotations

from datetime import date

import pytest
from django.core.cache import caches

from continuum_upstash.migration.counters import read_counts
from continuum_upstash.migration.dual.sides import Sides
from continuum_upstash.migration.dual.state import write_all_counts
from continuum_upstash.migration.rollout import override_rollout, write_rollout
from tests.conftest import SyncOrAsync

VALUE = {"at": date(2026, 11, 27), "tags": {"a", "b"}, "pair": (1, 2)}


@pytest.fixture
def cache(migration, api, request):
    runner = request.getfixturevalue("runner") if api == "async" else None
    return SyncOrAsync(caches["default"], runner)


def test_a_migration_from_its_first_phase_to_its_last(cache, classic):
    old, new = caches["old"], caches["new"]
    old.set("value", VALUE, 600)
    old.set("counter", 41, 600)
    write_rollout("default", phase="shadow", percent=100)
    cache.set("written", VALUE, 600)
    assert cache.get("value") == VALUE
    assert new.get_many(["value", "written"]) == {"written": VALUE}
    write_rollout("default", phase="canary")
    assert cache.get_many(["value", "written", "other"]) == {"value": VALUE, "written": VALUE}
    assert cache.incr("counter") == 42
    assert new.get_many(["value", "counter"]) == {"value": VALUE, "counter": 42}
    assert abs(new.pttl("value") - classic.call("PTTL", "shop:1:value")) < 2000
    assert cache.delete("value") is True
    assert old.get("value") is new.get("value") is None
    write_rollout("default", phase="new_primary")
    assert cache.add("lock", "token", 60) is True
    assert old.add("lock", "other", 60) is False
    write_rollout("default", phase="new_only")
    classic.call("FLUSHALL")
    assert cache.get_many(["written", "counter"]) == {"written": VALUE, "counter": 42}


def test_the_counts_of_a_process_are_read_by_others(cache):
    cache.set("key", 1)
    write_rollout("default", phase="shadow", percent=100)
    cache.get("key")
    caches["new"].set("key", 2)
    cache.get_many(["key", "other"])
    write_all_counts()
    counts = read_counts("default", hours=2)
    assert (counts.old.hits, counts.old.misses, counts.old.errors) == (2, 1, 0)
    assert (counts.new.hits, counts.new.misses) == (1, 2)
    assert (counts.compared, counts.mismatches) == (3, 1)
    assert counts.old.estimate_latency_ms(0.95) > 0


def test_the_bill_of_each_operation(migration, emulator):
    migration.CACHES["default"]["OPTIONS"]["ROLLOUT_INTERVAL"] = 30
    cache = caches["default"]
    caches["old"].set("old", 1, 60)
    write_rollout("default", phase="new_primary", force=True)
    cache.get("key")
    bills = {}
    for name, operation in {
        "set": lambda: cache.set("key", 1),
        "get": lambda: cache.get("key"),
        "get of a missing key": lambda: cache.get("missing"),
        "get with back-fill": lambda: cache.get("old"),
        "add": lambda: cache.add("added", 1),
        "incr": lambda: cache.incr("key"),
        "touch": lambda: cache.touch("key"),
        "has_key": lambda: cache.has_key("key"),
        "delete": lambda: cache.delete("key"),
        "delete_many": lambda: cache.delete_many(["added", "old"]),
    }.items():
        with emulator.count() as usage:
            operation()
        bills[name] = usage.billed
    assert bills == {
        "set": 1,
        "get": 1,
        "get of a missing key": 1,
        "get with back-fill": 6,
        "add": 1,
        "incr": 3,
        "touch": 1,
        "has_key": 1,
        "delete": 2,
        "delete_many": 2,
    }


@pytest.mark.parametrize("old_backend", ["RedisCache"], indirect=True)
def test_a_delete_during_a_back_fill_is_not_lost(migration, monkeypatch):
    cache, new = caches["default"], caches["new"]
    caches["old"].set_many({"kept": 1, "deleted": 2}, 60)
    read_ttls = Sides._read_ttls

    def delete_then_return(self, effect):
        ttls = read_ttls(self, effect)
        cache.delete("deleted")
        return ttls

    monkeypatch.setattr(Sides, "_read_ttls", delete_then_return)
    with override_rollout("default", "new_primary"):
        assert cache.get_many(["kept", "deleted"]) == {"kept": 1, "deleted": 2}
        assert new.get_many(["kept", "deleted"]) == {"kept": 1}
        assert cache.get("deleted") is None
