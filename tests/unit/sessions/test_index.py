"""The exact commands that keep the user index up to date."""

from __future__ import annotations

import time

import pytest
from django.core.signing import JSONSerializer

from continuum_upstash.sessions.keys import StorageKey
from continuum_upstash.sessions.signing import verify
from tests.unit.sessions.session_plans import (
    INDEX_KEY,
    KEY,
    REDIS_KEY,
    TTL_MS,
    USER,
    load_plans,
    make_plans,
    run_plan,
    sign_data,
)


@pytest.fixture(autouse=True)
def with_index(settings):
    settings.SESSION_USER_INDEX = True


def index_commands(age):
    now = int(time.time())
    return [
        ("ZREMRANGEBYSCORE", INDEX_KEY, "-inf", pytest.approx(now, abs=2)),
        ("ZADD", INDEX_KEY, pytest.approx(now + 2 * age, abs=2), "d1"),
        ("EXPIRE", INDEX_KEY, 2 * age, "NX"),
        ("EXPIRE", INDEX_KEY, 2 * age, "GT"),
    ]


def test_a_session_is_indexed_when_it_is_first_stored_with_a_user():
    plans = load_plans({})
    _, sent = run_plan(plans.update(KEY, USER), [b"OK", 0, 1, 1, 0])
    assert sent[0][1:] == index_commands(TTL_MS // 1000 + 1)
    _, sent = run_plan(plans.update(KEY, USER | {"a": 1}), [b"OK"])
    assert len(sent[0]) == 1


def test_the_stamp_tells_until_when_the_index_lists_the_session():
    _, sent = run_plan(make_plans().create(KEY, USER), [b"OK", 0, 1, 1, 0])
    session = verify(sent[0][0][2], ["d1"], JSONSerializer)
    assert session.indexed_until == pytest.approx(time.time() + 2 * TTL_MS / 1000, abs=3)


def test_an_index_entry_is_renewed_before_it_could_expire_ahead_of_the_session():
    for left, renewals in ((TTL_MS // 1000 + 60, 0), (TTL_MS // 1000 - 60, 4)):
        raw = sign_data(USER, until=int(time.time()) + left)
        plans = make_plans()
        run_plan(plans.load(KEY), [raw])
        _, sent = run_plan(plans.update(KEY, USER | {"a": 1}), [b"OK", *[1] * renewals])
        assert len(sent[0]) == 1 + renewals


def test_with_save_every_request_an_index_entry_is_renewed_without_a_change(settings):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    plans = make_plans()
    run_plan(plans.load(KEY), [sign_data(USER, until=int(time.time()) + 60)])
    _, sent = run_plan(plans.update(KEY, USER), [b"OK", 0, 0, 0, 1])
    assert len(sent[0]) == 5


@pytest.mark.parametrize("data", [{}, {"_auth_user_id": "8"}])
def test_a_session_of_another_user_is_removed_from_the_old_users_index(data):
    plans = make_plans()
    run_plan(plans.load(KEY), [sign_data(USER, until=2**40)])
    _, sent = run_plan(plans.update(KEY, data), [b"OK", *[1] * 5][: 2 if not data else 6])
    assert sent[0][1] == ("ZREM", INDEX_KEY, "d1")


def test_a_logout_removes_the_session_from_the_index():
    plans = make_plans()
    run_plan(plans.load(KEY), [sign_data(USER, until=2**40)])
    assert run_plan(plans.delete(KEY), [1, 1])[1] == [
        [("UNLINK", REDIS_KEY), ("ZREM", INDEX_KEY, "d1")]
    ]


def test_rotating_the_key_replaces_the_index_entry():
    plans = make_plans()
    run_plan(plans.load(KEY), [sign_data(USER, until=2**40)])
    _, sent = run_plan(plans.rotate_key(KEY, StorageKey("p", ("d2",)), USER), [1, 1, 0, 1, 1, 0])
    names = ["EVAL", "ZREM", "ZREMRANGEBYSCORE", "ZADD", "EXPIRE", "EXPIRE"]
    assert [command[0] for command in sent[0]] == names
    assert (sent[0][1][2], sent[0][3][3]) == ("d1", "d2")
