"""Each operation in each phase: which cache is read and written, and which one decides."""

from __future__ import annotations

import pytest

PHASES = ["off", "shadow", "canary_old", "canary_new", "new_primary", "new_only"]
READS_NEW = {"canary_new", "new_primary", "new_only"}
READS_BOTH = {"canary_new", "new_primary"}
WRITES_OLD = {"off", "shadow", "canary_old", "canary_new", "new_primary"}
WRITES_NEW = {"shadow", "canary_old", "canary_new", "new_primary", "new_only"}


@pytest.fixture(params=PHASES)
def phase(request):
    return request.param


@pytest.fixture
def migration(migrate, phase):
    if phase.startswith("canary"):
        return migrate("canary", 100 if phase == "canary_new" else 0)
    return migrate(phase)


def test_a_set_writes_the_caches_of_the_phase(migration, phase):
    migration.cache.set("key", [1], 60)
    assert migration.old.get("key") == ([1] if phase in WRITES_OLD else None)
    assert migration.new.get("key") == ([1] if phase in WRITES_NEW else None)
    for side, is_written in (("old", phase in WRITES_OLD), ("new", phase in WRITES_NEW)):
        ttl = getattr(migration, side).pttl("key")
        assert 59_000 < ttl <= 60_000 if is_written else ttl == 0


def test_a_get_returns_the_value_of_the_cache_that_decides(migration, phase):
    migration.old.set("key", "old")
    migration.new.set("key", "new")
    expected = "new" if phase in READS_NEW else "old"
    assert migration.cache.get("key") == expected
    assert migration.cache.get_many(["key", "other"]) == {"key": expected}
    assert migration.cache.has_key("key") is True
    assert migration.cache.get("other", "default") == "default"
    assert migration.cache.has_key("other") is False


def test_a_value_of_the_old_cache_is_copied_with_its_lifetime(migration, phase):
    migration.old.set("one", 1, 60)
    migration.old.set("two", "2", None)
    for get in (lambda: migration.cache.get("one"), lambda: migration.cache.get("two")):
        assert (get() is not None) is (phase != "new_only")
    filled = phase in READS_BOTH
    assert migration.new.get_many(["one", "two"]) == ({"one": 1, "two": "2"} if filled else {})
    if filled:
        assert 59_000 < migration.new.pttl("one") <= 60_000
        assert migration.new.pttl("two") is None


def test_get_many_copies_the_values_that_only_the_old_cache_has(migration, phase):
    migration.old.set_many({"a": 1, "b": 2}, 60)
    if phase in WRITES_NEW:
        migration.new.set("c", 3, 60)
    found = migration.cache.get_many(["a", "b", "c", "d"])
    expected = {"c": 3} if phase in READS_NEW else {}
    assert found == expected | ({} if phase == "new_only" else {"a": 1, "b": 2})
    copied = {"a": 1, "b": 2} if phase in READS_BOTH else {}
    assert migration.new.get_many(["a", "b"]) == copied


def test_a_delete_deletes_on_both_sides(migration, phase):
    for delete in (
        lambda: migration.cache.delete("key"),
        lambda: migration.cache.delete_many(["key"]),
        lambda: migration.cache.set("key", 1, 0),
        lambda: migration.cache.touch("key", 0),
        lambda: migration.cache.set_many({"key": 1}, 0),
    ):
        migration.old.set("key", "old")
        migration.new.set("key", "new")
        delete()
        assert migration.old.get("key") == ("old" if phase == "new_only" else None)
        assert migration.new.get("key") == ("new" if phase == "off" else None)


def test_a_delete_returns_whether_the_key_existed(migration, phase):
    migration.cache.set("key", 1)
    assert migration.cache.delete("key") is True
    assert migration.cache.delete("key") is False
    migration.old.set("key", 1)
    assert migration.cache.delete("key") is (phase != "new_only")


def test_a_clear_clears_both_sides(migration, phase):
    migration.old.set("key", "old")
    migration.new.set("key", "new")
    migration.cache.clear()
    assert migration.old.get("key") == ("old" if phase == "new_only" else None)
    assert migration.new.get("key") == ("new" if phase == "off" else None)


def test_only_one_add_stores_a_value(migration, phase):
    assert migration.cache.add("key", 1, 60) is True
    assert migration.cache.add("key", 2, 60) is False
    assert migration.cache.get("key") == 1
    assert migration.old.get("key") == (1 if phase in WRITES_OLD else None)
    assert migration.new.get("key") == (1 if phase in WRITES_NEW else None)


def test_an_add_finds_a_value_that_only_the_old_cache_has(migration, phase):
    migration.old.set("key", "old")
    assert migration.cache.add("key", 1) is (phase == "new_only")


def test_a_failed_add_leaves_no_value_in_the_old_cache(migration, phase):
    if phase in READS_NEW:
        migration.new.set("key", "new")
        assert migration.cache.add("key", 1) is False
        assert migration.old.get("key") is None


def test_a_counter_goes_on_from_the_value_of_the_old_cache(migration, phase):
    migration.old.set("hits", 5, 60)
    if phase == "new_only":
        with pytest.raises(ValueError, match="not found"):
            migration.cache.incr("hits")
        return
    assert migration.cache.incr("hits") == 6
    assert migration.cache.incr("hits", 10) == 16
    assert migration.cache.decr("hits") == 15
    assert migration.old.get("hits") == 15
    assert migration.new.get("hits") == (15 if phase in READS_BOTH else None)
    assert 59_000 < migration.cache.pttl("hits") <= 60_000


def test_a_missing_counter_is_an_error(migration):
    with pytest.raises(ValueError, match="not found"):
        migration.cache.incr("hits")


def test_a_touch_changes_both_sides(migration, phase):
    migration.old.set("key", 1, 60)
    assert migration.cache.touch("key", 600) is (phase != "new_only")
    migration.cache.get("key")
    assert migration.cache.touch("other", 600) is False
    migration.cache.set("key", 1, 60)
    assert migration.cache.touch("key", 600) is True
    for side, is_written in (("old", phase in WRITES_OLD), ("new", phase in WRITES_NEW)):
        if is_written:
            assert getattr(migration, side).pttl("key") > 500_000


def test_set_many_writes_both_sides(migration, phase):
    assert migration.cache.set_many({"a": 1, "b": 2}, 60) == []
    assert migration.old.get_many(["a", "b"]) == ({"a": 1, "b": 2} if phase in WRITES_OLD else {})
    assert migration.new.get_many(["a", "b"]) == ({"a": 1, "b": 2} if phase in WRITES_NEW else {})


def test_a_version_moves_on_both_sides(migration, phase):
    migration.cache.set("key", "value", 60)
    assert migration.cache.incr_version("key") == 2
    assert migration.cache.get("key") is None
    assert migration.cache.get("key", version=2) == "value"
    assert migration.cache.decr_version("key", version=2) == 1
    assert migration.cache.get("key") == "value"
    with pytest.raises(ValueError, match="not found"):
        migration.cache.incr_version("other")


def test_get_or_set_computes_once(migration):
    calls = []
    for _ in range(2):
        assert migration.cache.get_or_set("key", lambda: calls.append(1) or "value", 60) == "value"
    assert len(calls) == 1


def test_a_conditional_set(migration):
    assert migration.cache.set("key", 1, xx=True) is False
    assert migration.cache.set("key", 1, nx=True) is True
    assert migration.cache.set("key", 2, nx=True) is False
    assert migration.cache.set("key", 3, xx=True) is True
    assert migration.cache.get("key") == 3
    with pytest.raises(ValueError, match="exclude"):
        migration.cache.set("key", 4, nx=True, xx=True)


def test_the_methods_of_django_redis(migration, phase):
    migration.cache.set("key", 1, 60)
    assert migration.cache.expire("key", 600) is True
    assert 500 < migration.cache.ttl("key") <= 600
    assert migration.cache.persist("key") is True
    assert migration.cache.ttl("key") is None
    assert migration.cache.keys("k*") == ["key"]
    assert migration.cache.delete_pattern("k*") == 1
    assert migration.cache.get("key") is None
    assert migration.old.get("key") is None
    assert migration.new.get("key") is None


def test_data_types_are_on_the_side_that_decides_only(migration, phase):
    migration.cache.sadd("set", "member")
    assert migration.cache.smembers("set") == {"member"}
    assert migration.new.has_key("set") is (phase in READS_NEW)
    assert migration.old.has_key("set") is (phase not in READS_NEW)
