"""What listing a session under its user sends, and when: exact commands."""

from __future__ import annotations

import time

import pytest
from django.core.signing import JSONSerializer

from continuum_upstash.sessions.signing import Address, unseal
from tests.unit.sessions.session_plans import (
    ADDRESS,
    AGE,
    INDEX,
    NAME,
    USER,
    commands,
    drive,
    loaded,
    sealed,
)


@pytest.fixture(autouse=True)
def with_index(settings):
    settings.SESSION_USER_INDEX = True


def index_commands(age):
    now = int(time.time())
    return [
        ("ZREMRANGEBYSCORE", INDEX, "-inf", pytest.approx(now, abs=2)),
        ("ZADD", INDEX, pytest.approx(now + 2 * age, abs=2), "d1"),
        ("EXPIRE", INDEX, 2 * age, "NX"),
        ("EXPIRE", INDEX, 2 * age, "GT"),
    ]


def test_a_session_is_listed_when_it_is_first_stored_with_a_user():
    session = loaded({})
    _, sent = drive(session.update(ADDRESS, USER), [b"OK", 0, 1, 1, 0])
    assert sent[0][1:] == index_commands(AGE // 1000 + 1)
    _, sent = drive(session.update(ADDRESS, USER | {"a": 1}), [b"OK"])
    assert len(sent[0]) == 1


def test_the_stamp_says_how_long_the_index_lasts():
    _, sent = drive(commands().insert(ADDRESS, USER), [b"OK", 0, 1, 1, 0])
    record = unseal(sent[0][0][2], ["d1"], JSONSerializer)
    assert record.listed_until == pytest.approx(time.time() + 2 * AGE / 1000, abs=3)


def test_a_listing_is_renewed_before_it_could_end_ahead_of_the_session():
    for left, renewals in ((AGE // 1000 + 60, 0), (AGE // 1000 - 60, 4)):
        raw = sealed(USER, until=int(time.time()) + left)
        session = commands()
        drive(session.load(ADDRESS), [raw])
        _, sent = drive(session.update(ADDRESS, USER | {"a": 1}), [b"OK", *[1] * renewals])
        assert len(sent[0]) == 1 + renewals


def test_with_save_every_request_a_listing_is_renewed_though_nothing_changed(settings):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    session = commands()
    drive(session.load(ADDRESS), [sealed(USER, until=int(time.time()) + 60)])
    _, sent = drive(session.update(ADDRESS, USER), [b"OK", 0, 0, 0, 1])
    assert len(sent[0]) == 5


@pytest.mark.parametrize("data", [{}, {"_auth_user_id": "8"}])
def test_a_session_that_changes_hands_leaves_the_old_users_index(data):
    session = commands()
    drive(session.load(ADDRESS), [sealed(USER, until=2**40)])
    _, sent = drive(session.update(ADDRESS, data), [b"OK", *[1] * 5][: 2 if not data else 6])
    assert sent[0][1] == ("ZREM", INDEX, "d1")


def test_a_logout_leaves_the_index():
    session = commands()
    drive(session.load(ADDRESS), [sealed(USER, until=2**40)])
    assert drive(session.delete(ADDRESS), [1, 1])[1] == [[("UNLINK", NAME), ("ZREM", INDEX, "d1")]]


def test_a_new_key_moves_in_the_index():
    session = commands()
    drive(session.load(ADDRESS), [sealed(USER, until=2**40)])
    _, sent = drive(session.succeed(ADDRESS, Address("p", ("d2",)), USER), [1, 1, 0, 1, 1, 0])
    names = ["EVAL", "ZREM", "ZREMRANGEBYSCORE", "ZADD", "EXPIRE", "EXPIRE"]
    assert [command[0] for command in sent[0]] == names
    assert (sent[0][1][2], sent[0][3][3]) == ("d1", "d2")
