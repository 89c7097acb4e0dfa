"""The buckets of keys, the stored form of a rollout, and the changes that are refused."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum_upstash.migration.conf import ImproperlyConfiguredMigration, Phase, parse_options
from continuum_upstash.migration.stored_rollout import (
    BUCKETS,
    Rollout,
    RolloutRefused,
    StoredRollout,
    check_change,
    decode_record,
    encode_record,
)

OPTIONS = {"OLD": "classic", "NEW": "upstash"}


def test_the_buckets_never_change():
    rollout = Rollout(Phase.CANARY, salt="2026-11")
    assert [rollout.bucket(key) for key in ("a", "user:1", "ключ", 7)] == [4089, 3424, 4201, 7854]


@given(st.text(), st.floats(0, 100), st.floats(0, 100))
def test_a_larger_share_includes_each_smaller_one(key, one, other):
    small, large = sorted((one, other))
    if Rollout(Phase.CANARY, small).uses_new(key):
        assert Rollout(Phase.CANARY, large).uses_new(key)


@pytest.mark.parametrize("percent", [0, 1, 25, 50, 100])
def test_the_share_of_many_keys_is_the_percentage(percent):
    rollout = Rollout(Phase.CANARY, percent)
    share = sum(rollout.uses_new(f"key:{number}") for number in range(BUCKETS)) / BUCKETS
    assert share == pytest.approx(percent / 100, abs=0.015)
    assert percent not in {0, 100} or share == percent / 100


@pytest.mark.parametrize(
    ("phase", "expected"),
    [("off", False), ("shadow", False), ("new_primary", True), ("new_only", True)],
)
def test_the_other_phases_do_not_depend_on_the_percentage(phase, expected):
    for percent in (0, 100):
        assert Rollout(Phase(phase), percent).uses_new("key") is expected


def test_a_stored_rollout_is_read_back():
    stored = StoredRollout(Rollout(Phase.CANARY, 12.5, "salt", is_shared=True), 1764222222.125)
    assert decode_record(encode_record(stored)) == stored
    assert json.loads(encode_record(stored))["phase"] == "canary"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"phase": "canary", "percent": 5, "salt": "s"}',
        b'{"phase": "canary", "percent": 5, "salt": "s", "changed_at": 1, "more": 1}',
        b'{"phase": "gone", "percent": 5, "salt": "s", "changed_at": 1}',
        b'{"phase": ["off"], "percent": 5, "salt": "s", "changed_at": 1}',
        b'{"phase": "canary", "percent": 101, "salt": "s", "changed_at": 1}',
        b'{"phase": "canary", "percent": NaN, "salt": "s", "changed_at": 1}',
        b'{"phase": "canary", "percent": true, "salt": "s", "changed_at": 1}',
        b'{"phase": "canary", "percent": "5", "salt": "s", "changed_at": 1}',
        b'{"phase": "canary", "percent": 5, "salt": 1, "changed_at": 1}',
        b'{"phase": "canary", "percent": 5, "salt": "s", "changed_at": "1"}',
        b'{"phase": "canary", "percent": 5, "salt": "' + b"s" * 512 + b'", "changed_at": 1}',
    ],
)
def test_other_bytes_are_no_rollout(raw):
    with pytest.raises(ValueError):
        decode_record(raw)


ALLOWED = {
    "off": {"off", "shadow"},
    "shadow": {"off", "shadow", "canary", "new_primary"},
    "canary": {"off", "shadow", "canary", "new_primary"},
    "new_primary": {"off", "shadow", "canary", "new_primary", "new_only"},
    "new_only": {"new_only"},
}


def test_changes_that_would_make_outdated_values_visible_are_refused():
    found = {phase.value: set() for phase in Phase}
    for old in Phase:
        for new in Phase:
            try:
                change(old, new, age=61)
            except RolloutRefused:
                continue
            found[old].add(new.value)
    assert found == ALLOWED


@pytest.mark.parametrize(("old", "new"), [("shadow", "canary"), ("new_primary", "new_only")])
def test_a_phase_must_have_reached_all_processes_before_the_next(old, new):
    with pytest.raises(RolloutRefused, match="in 20 s"):
        change(old, new, age=40)
    change(old, new, age=60)


def test_a_rollback_never_waits():
    for old in ("shadow", "canary", "new_primary"):
        change(old, "off", age=0)


def change(old, new, age):
    before = StoredRollout(Rollout(Phase(old)), 1000.0)
    check_change(before, StoredRollout(Rollout(Phase(new)), 1000.0 + age), interval=30)


def test_the_environment_replaces_phase_and_percentage(monkeypatch):
    monkeypatch.setenv("CONTINUUM_MIGRATION_PHASE", "canary")
    monkeypatch.setenv("CONTINUUM_MIGRATION_PERCENT", "25")
    parsed = parse_options("default", {**OPTIONS, "PHASE": "shadow", "PERCENT": 5})
    assert (parsed.phase, parsed.percent) == (Phase.CANARY, 25.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"PHASES": "off"}, "PHASE"),
        ({"OLD": "default"}, "OLD and NEW"),
        ({"NEW": None}, "OLD and NEW"),
        ({"PHASE": "on"}, "shadow"),
        ({"PERCENT": 101}, "0 to 100"),
        ({"PERCENT": "many"}, "0 to 100"),
        ({"PERCENT": True}, "0 to 100"),
        ({"SALT": 5}, "SALT"),
        ({"ROLLOUT_INTERVAL": -1}, "ROLLOUT_INTERVAL"),
    ],
)
def test_an_invalid_option_is_named(options, message):
    with pytest.raises(ImproperlyConfiguredMigration, match=message):
        parse_options("default", {**OPTIONS, **options})
