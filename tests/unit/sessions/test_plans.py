"""What each operation on a session sends: exact commands against canned replies."""

from __future__ import annotations

import pytest
from django.contrib.sessions.exceptions import SessionInterrupted

from continuum_upstash.errors import CapacityExceeded, ReplyError, from_reply
from continuum_upstash.sessions.plans import SUCCEED
from continuum_upstash.sessions.signing import Address, record_name
from tests.unit.sessions.session_plans import (
    ADDRESS,
    AGE,
    NAME,
    USER,
    commands,
    drive,
    loaded,
    sealed,
)


@pytest.fixture(autouse=True)
def no_index(settings):
    settings.SESSION_USER_INDEX = False


def test_loading_is_one_get():
    found, sent = drive(commands().load(ADDRESS), [sealed({"a": 1})])
    assert (found, sent) == ({"a": 1}, [[("GET", NAME)]])


def test_loading_nothing_finds_nothing():
    assert drive(commands().load(ADDRESS), [None]) == (None, [[("GET", NAME)]])


@pytest.mark.parametrize(
    "raw", [b"", b"garbage", b"{}", b"\xff\xfe", b"a:b:c", sealed({"a": 1}, digest="d2")]
)
def test_what_was_not_sealed_for_this_session_is_no_session(raw, caplog):
    found, _ = drive(commands().load(ADDRESS), [raw])
    assert found is None
    assert caplog.records[0].name == "django.security.SuspiciousSession"


def test_with_save_every_request_loading_is_one_getex(settings):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    session = commands()
    _, sent = drive(session.load(ADDRESS), [sealed({"a": 1})])
    assert sent == [[("GETEX", NAME, "PX", AGE)]]
    assert drive(session.update(ADDRESS, {"a": 1})) == ({"a": 1}, [])


def test_with_save_every_request_a_change_is_stored(settings):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    session = commands()
    drive(session.load(ADDRESS), [sealed({"a": 1})])
    _, sent = drive(session.update(ADDRESS, {"a": 2}), [b"OK"])
    assert sent == [[("SET", NAME, sealed({"a": 2}), "PX", AGE, "XX")]]


def test_with_save_every_request_an_own_expiry_costs_a_pexpire(settings):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    raw = sealed({"_session_expiry": 5_000})
    _, sent = drive(commands().load(ADDRESS), [raw], [1])
    assert sent == [[("GETEX", NAME, "PX", AGE)], [("PEXPIRE", NAME, 5_000)]]
    found, sent = drive(commands().load(ADDRESS), [sealed({"_session_expiry": -1})], [1])
    assert (found, sent[1]) == (None, [("UNLINK", NAME)])


def test_creating_is_one_set_nx():
    made, sent = drive(commands().insert(ADDRESS, {"a": 1}), [b"OK"])
    assert (made, sent) == (True, [[("SET", NAME, sealed({"a": 1}), "PX", AGE, "NX")]])
    assert drive(commands().insert(ADDRESS, {"a": 1}), [None])[0] is False


def test_saving_is_one_set_xx():
    session = loaded({"a": 1})
    stored, sent = drive(session.update(ADDRESS, {"a": 2}), [b"OK"])
    assert (stored, sent) == ({"a": 2}, [[("SET", NAME, sealed({"a": 2}), "PX", AGE, "XX")]])
    assert drive(session.update(ADDRESS, {"a": 3}), [None])[0] is None


def test_saving_the_same_data_renews_it_but_not_twice_in_a_row():
    session = loaded({"a": 1})
    assert drive(session.update(ADDRESS, {"a": 1}), [b"OK"])[1] != []
    session = commands()
    drive(session.insert(ADDRESS, {"a": 1}), [b"OK"])
    assert drive(session.update(ADDRESS, {"a": 1}))[1] == []
    assert drive(session.update(ADDRESS, {"a": 1}), [b"OK"])[1] != []


def test_an_expiry_in_the_past_is_an_unlink():
    expired = {"_session_expiry": -10_000}
    assert drive(commands().insert(ADDRESS, expired)) == (True, [])
    assert drive(commands().update(ADDRESS, expired), [1]) == (expired, [[("UNLINK", NAME)]])
    assert drive(commands().update(ADDRESS, expired), [0])[0] is None


def test_ending_and_asking_are_one_command_each():
    assert drive(commands().delete(ADDRESS), [1]) == (True, [[("UNLINK", NAME)]])
    assert drive(commands().exists(ADDRESS), [0]) == (False, [[("EXISTS", NAME)]])


@pytest.mark.parametrize(("before", "signed_in"), [({}, 0), (USER, 1)])
def test_a_new_key_is_one_script(before, signed_in):
    session, new = loaded(before), Address("p", ("d2",))
    done, sent = drive(session.succeed(ADDRESS, new, {"a": 1}), [1])
    names = ("p:session:d2", NAME)
    raw = sealed({"a": 1}, digest="d2")
    assert (done, sent) == (True, [[("EVAL", SUCCEED, 2, *names, raw, AGE, signed_in)]])
    assert drive(session.update(new, {"a": 1}))[1] == []  # it has just been stored
    assert SUCCEED.count_billed(sent[0][0], 1) == 2 + signed_in


def test_a_new_key_that_is_taken_is_not_used():
    assert drive(loaded({}).succeed(ADDRESS, Address("p", ("d2",)), {}), [0])[0] is False


def test_a_new_key_is_refused_where_the_user_has_logged_out():
    plan = loaded(USER).succeed(ADDRESS, Address("p", ("d2",)), USER)
    with pytest.raises(SessionInterrupted, match="logged out"):
        drive(plan, [-1])


def test_an_error_in_place_is_raised():
    full = from_reply("OOM command not allowed when used memory > 'maxmemory'.")
    with pytest.raises(CapacityExceeded):
        drive(commands().insert(ADDRESS, {}), [full])


# ---- replaced secrets

TWO = Address("p", ("new", "old"))
NEW, OLD = "p:session:new", "p:session:old"


def test_an_older_secret_is_asked_for_only_on_a_miss():
    session = commands()
    found, sent = drive(session.load(TWO), [None], [[sealed({"a": 1}, digest="old")]])
    assert (found, sent) == ({"a": 1}, [[("GET", NEW)], [("MGET", OLD)]])
    _, sent = drive(commands().load(TWO), [sealed({}, digest="new")])
    assert sent == [[("GET", NEW)]]


def test_a_save_moves_a_session_to_the_new_secret():
    session = commands()
    drive(session.load(TWO), [None], [[sealed({"a": 1}, digest="old")]])
    store = ("SET", NEW, sealed({"a": 2}, digest="new"), "PX", AGE, "XX")
    stored, sent = drive(session.update(TWO, {"a": 2}), [b"OK", b"OK"])
    assert (stored, sent) == ({"a": 2}, [[("RENAMENX", OLD, NEW), store]])
    _, sent = drive(session.update(TWO, {"a": 3}), [b"OK"])
    assert len(sent[0]) == 1


def test_nothing_to_move_is_no_error():
    no_key = ReplyError("ERR no such key")
    assert drive(commands().update(TWO, {}), [no_key, b"OK"])[0] == {}
    assert drive(commands().update(TWO, {}), [no_key, None])[0] is None


def test_ending_a_session_unlinks_it_under_every_secret():
    assert drive(commands().delete(TWO), [1])[1] == [[("UNLINK", NEW, OLD)]]


def test_names_hold_the_prefix_and_the_digest():
    assert record_name("p", "d1") == NAME
