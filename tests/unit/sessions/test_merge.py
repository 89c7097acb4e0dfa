"""The exact commands of a save with SESSION_MERGE, with and without a concurrent writer."""

from __future__ import annotations

import pytest

from continuum_upstash.errors import ReplyError
from continuum_upstash.plans.conditional import REPLACE
from continuum_upstash.plans.effects import Sleep
from continuum_upstash.sessions.merge import MAX_ATTEMPTS
from tests.unit.sessions.session_plans import (
    KEY,
    REDIS_KEY,
    TTL_MS,
    load_plans,
    make_plans,
    run_plan,
    sign_data,
)


@pytest.fixture(autouse=True)
def merge_setting(settings, monkeypatch):
    settings.SESSION_USER_INDEX = False
    settings.SESSION_MERGE = True
    monkeypatch.setattr("continuum_upstash.sessions.merge.backoff", lambda attempt: Sleep(0))


def compare_and_set(old, new, *, is_upstash):
    if is_upstash:
        return ("SET", REDIS_KEY, sign_data(new), "IFEQ", sign_data(old), "PX", TTL_MS)
    return ("EVAL", REPLACE, 1, REDIS_KEY, sign_data(old), sign_data(new), "PX", TTL_MS)


@pytest.mark.parametrize("is_upstash", [True, False])
def test_without_a_concurrent_writer_merging_is_one_command(is_upstash):
    plans = load_plans({"a": 1}, is_upstash=is_upstash)
    stored, sent = run_plan(plans.update(KEY, {"a": 2}), [b"OK"])
    assert stored == {"a": 2}
    assert sent == [[compare_and_set({"a": 1}, {"a": 2}, is_upstash=is_upstash)]]
    assert REPLACE.count_billed(sent[0][0], b"OK") == 2


@pytest.mark.parametrize("is_upstash", [True, False])
def test_fields_of_a_faster_writer_are_kept(is_upstash):
    plans = load_plans({"a": 1}, is_upstash=is_upstash)
    theirs, both = {"a": 1, "b": 2}, {"a": 2, "b": 2}
    stored, sent = run_plan(plans.update(KEY, {"a": 2}), [None], [sign_data(theirs)], [b"OK"])
    assert stored == both
    assert sent[1:] == [
        [("GET", REDIS_KEY)],
        [compare_and_set(theirs, both, is_upstash=is_upstash)],
    ]


def test_a_server_without_ifeq_gets_a_script_from_then_on():
    plans = load_plans({"a": 1})
    unsupported = [ReplyError("ERR syntax error")]
    stored, sent = run_plan(plans.update(KEY, {"a": 2}), unsupported, [b"OK"])
    assert stored == {"a": 2}
    assert [batch[0][0] for batch in sent] == ["SET", "EVAL"]
    _, sent = run_plan(plans.update(KEY, {"a": 3}), [b"OK"])
    assert [batch[0][0] for batch in sent] == ["EVAL"]


def test_merging_does_not_revive_a_session_that_was_ended():
    plans = load_plans({"a": 1})
    assert run_plan(plans.update(KEY, {"a": 2}), [None], [None])[0] is None


def test_changes_inside_a_field_are_merged():
    plans = make_plans()
    mine, _ = run_plan(plans.load(KEY), [sign_data({"cart": ["tea"]})])
    mine["cart"].append("cake")
    theirs = {"cart": ["tea"], "theme": "dark"}
    stored, _ = run_plan(plans.update(KEY, mine), [None], [sign_data(theirs)], [b"OK"])
    assert stored == {"cart": ["tea", "cake"], "theme": "dark"}


def test_the_last_attempt_overwrites():
    plans = load_plans({"a": 1})
    others = [
        reply for number in range(MAX_ATTEMPTS) for reply in ([None], [sign_data({"b": number})])
    ]
    stored, sent = run_plan(plans.update(KEY, {"a": 2}), *others, [b"OK"])
    assert stored == {"a": 2, "b": MAX_ATTEMPTS - 1}
    assert sent[-1] == [("SET", REDIS_KEY, sign_data(stored), "PX", TTL_MS, "XX")]
