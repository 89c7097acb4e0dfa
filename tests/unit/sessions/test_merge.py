"""What a save sends where others may have been quicker: exact commands."""

from __future__ import annotations

import pytest

from continuum_upstash.plans.effects import Sleep
from continuum_upstash.sessions.merge import REPLACE, TRIES
from tests.unit.sessions.session_plans import ADDRESS, AGE, NAME, commands, drive, loaded, sealed


@pytest.fixture(autouse=True)
def merging(settings, monkeypatch):
    settings.SESSION_USER_INDEX = False
    settings.SESSION_MERGE = True
    monkeypatch.setattr("continuum_upstash.sessions.plans.pause", lambda attempt: Sleep(0))


def compare_and_set(old, new, *, native):
    if native:
        return ("SET", NAME, sealed(new), "IFEQ", sealed(old), "PX", AGE)
    return ("EVAL", REPLACE, 1, NAME, sealed(old), sealed(new), AGE)


@pytest.mark.parametrize("native", [True, False])
def test_merging_is_one_command_where_nobody_was_quicker(native):
    session = loaded({"a": 1}, native=native)
    stored, sent = drive(session.update(ADDRESS, {"a": 2}), [b"OK"])
    assert stored == {"a": 2}
    assert sent == [[compare_and_set({"a": 1}, {"a": 2}, native=native)]]
    assert REPLACE.count_billed(sent[0][0], b"OK") == 2


@pytest.mark.parametrize("native", [True, False])
def test_fields_of_a_quicker_writer_are_kept(native):
    session = loaded({"a": 1}, native=native)
    theirs, both = {"a": 1, "b": 2}, {"a": 2, "b": 2}
    stored, sent = drive(session.update(ADDRESS, {"a": 2}), [None], [sealed(theirs)], [b"OK"])
    assert stored == both
    assert sent[1:] == [[("GET", NAME)], [compare_and_set(theirs, both, native=native)]]


def test_merging_does_not_revive_a_session_that_was_ended():
    session = loaded({"a": 1})
    assert drive(session.update(ADDRESS, {"a": 2}), [None], [None])[0] is None


def test_merging_sees_changes_inside_a_field():
    session = commands()
    mine, _ = drive(session.load(ADDRESS), [sealed({"cart": ["tea"]})])
    mine["cart"].append("cake")
    theirs = {"cart": ["tea"], "theme": "dark"}
    stored, _ = drive(session.update(ADDRESS, mine), [None], [sealed(theirs)], [b"OK"])
    assert stored == {"cart": ["tea", "cake"], "theme": "dark"}


def test_whoever_is_always_too_slow_overwrites_at_last():
    session = loaded({"a": 1})
    others = [reply for number in range(TRIES) for reply in ([None], [sealed({"b": number})])]
    stored, sent = drive(session.update(ADDRESS, {"a": 2}), *others, [b"OK"])
    assert stored == {"a": 2, "b": TRIES - 1}
    assert sent[-1] == [("SET", NAME, sealed(stored), "PX", AGE, "XX")]
