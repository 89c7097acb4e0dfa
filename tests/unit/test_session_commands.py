"""What each operation on a session sends: exact commands against canned replies."""

from __future__ import annotations

import time

import pytest
from django.contrib.sessions.exceptions import SessionInterrupted
from django.core.signing import JSONSerializer

from continuum_upstash.effects import Driver, Sleep, run
from continuum_upstash.errors import CapacityExceeded, ReplyError, from_reply
from continuum_upstash.sessions.commands import SUCCEED, SessionCommands
from continuum_upstash.sessions.merging import REPLACE, TRIES
from continuum_upstash.sessions.records import Address, Draft, record_name, seal, unseal

AGE = 3_600_000
ADDRESS = Address("p", ("d1",))
NAME = "p:session:d1"
USER = {"_auth_user_id": "7"}
INDEX = "p:session-user:7"


def lifetime(data):
    return int(data.get("_session_expiry", AGE))


def commands(*, native=True):
    return SessionCommands("p", JSONSerializer, lifetime, native=native)


def sealed(data, *, digest="d1", until=0):
    return seal(Draft(digest, data, JSONSerializer, until))


def drive(plan, *replies):
    """Run a plan whose batches are answered by `replies`; return (result, batches sent)."""
    waiting, sent = list(replies), []

    def send(batch):
        sent.append(list(batch.commands))
        return waiting.pop(0)

    driver = Driver(send, seal, lambda key, run_it: run_it())
    result = run(plan, driver)
    assert not waiting, f"the plan did not ask for {waiting}"
    return result, sent


@pytest.fixture(autouse=True)
def no_index(settings):
    settings.SESSION_USER_INDEX = False


def loaded(data, **options):
    session = commands(**options)
    found, _ = drive(session.load(ADDRESS), [sealed(data)])
    assert found == data
    return session


# ---- one session


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
    assert SUCCEED.calls(sent[0][0], 1) == 2 + signed_in


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


# ---- the index


def index_commands(age):
    now = int(time.time())
    return [
        ("ZREMRANGEBYSCORE", INDEX, "-inf", pytest.approx(now, abs=2)),
        ("ZADD", INDEX, pytest.approx(now + 2 * age, abs=2), "d1"),
        ("EXPIRE", INDEX, 2 * age, "NX"),
        ("EXPIRE", INDEX, 2 * age, "GT"),
    ]


def test_a_session_is_listed_when_it_is_first_stored_with_a_user(settings):
    settings.SESSION_USER_INDEX = True
    session = loaded({})
    _, sent = drive(session.update(ADDRESS, USER), [b"OK", 0, 1, 1, 0])
    assert sent[0][1:] == index_commands(AGE // 1000 + 1)
    _, sent = drive(session.update(ADDRESS, USER | {"a": 1}), [b"OK"])
    assert len(sent[0]) == 1


def test_the_stamp_says_how_long_the_index_lasts(settings):
    settings.SESSION_USER_INDEX = True
    _, sent = drive(commands().insert(ADDRESS, USER), [b"OK", 0, 1, 1, 0])
    record = unseal(sent[0][0][2], ["d1"], JSONSerializer)
    assert record.listed_until == pytest.approx(time.time() + 2 * AGE / 1000, abs=3)


def test_a_listing_is_renewed_before_it_could_end_ahead_of_the_session(settings):
    settings.SESSION_USER_INDEX = True
    for left, renewals in ((AGE // 1000 + 60, 0), (AGE // 1000 - 60, 4)):
        raw = sealed(USER, until=int(time.time()) + left)
        session = commands()
        drive(session.load(ADDRESS), [raw])
        _, sent = drive(session.update(ADDRESS, USER | {"a": 1}), [b"OK", *[1] * renewals])
        assert len(sent[0]) == 1 + renewals


def test_with_save_every_request_a_listing_is_renewed_though_nothing_changed(settings):
    settings.SESSION_USER_INDEX = settings.SESSION_SAVE_EVERY_REQUEST = True
    session = commands()
    drive(session.load(ADDRESS), [sealed(USER, until=int(time.time()) + 60)])
    _, sent = drive(session.update(ADDRESS, USER), [b"OK", 0, 0, 0, 1])
    assert len(sent[0]) == 5


@pytest.mark.parametrize("data", [{}, {"_auth_user_id": "8"}])
def test_a_session_that_changes_hands_leaves_the_old_users_index(data, settings):
    settings.SESSION_USER_INDEX = True
    session = commands()
    drive(session.load(ADDRESS), [sealed(USER, until=2**40)])
    _, sent = drive(session.update(ADDRESS, data), [b"OK", *[1] * 5][: 2 if not data else 6])
    assert sent[0][1] == ("ZREM", INDEX, "d1")


def test_a_logout_leaves_the_index(settings):
    settings.SESSION_USER_INDEX = True
    session = commands()
    drive(session.load(ADDRESS), [sealed(USER, until=2**40)])
    assert drive(session.delete(ADDRESS), [1, 1])[1] == [[("UNLINK", NAME), ("ZREM", INDEX, "d1")]]


def test_a_new_key_moves_in_the_index(settings):
    settings.SESSION_USER_INDEX = True
    session = commands()
    drive(session.load(ADDRESS), [sealed(USER, until=2**40)])
    _, sent = drive(session.succeed(ADDRESS, Address("p", ("d2",)), USER), [1, 1, 0, 1, 1, 0])
    names = ["EVAL", "ZREM", "ZREMRANGEBYSCORE", "ZADD", "EXPIRE", "EXPIRE"]
    assert [command[0] for command in sent[0]] == names
    assert (sent[0][1][2], sent[0][3][3]) == ("d1", "d2")


# ---- merging


@pytest.fixture
def merging(settings, monkeypatch):
    settings.SESSION_MERGE = True
    monkeypatch.setattr("continuum_upstash.sessions.commands.pause", lambda attempt: Sleep(0))


def compare_and_set(old, new, *, native):
    if native:
        return ("SET", NAME, sealed(new), "IFEQ", sealed(old), "PX", AGE)
    return ("EVAL", REPLACE, 1, NAME, sealed(old), sealed(new), AGE)


@pytest.mark.parametrize("native", [True, False])
def test_merging_is_one_command_where_nobody_was_quicker(native, merging):
    session = loaded({"a": 1}, native=native)
    stored, sent = drive(session.update(ADDRESS, {"a": 2}), [b"OK"])
    assert stored == {"a": 2}
    assert sent == [[compare_and_set({"a": 1}, {"a": 2}, native=native)]]
    assert REPLACE.calls(sent[0][0], b"OK") == 2


@pytest.mark.parametrize("native", [True, False])
def test_fields_of_a_quicker_writer_are_kept(native, merging):
    session = loaded({"a": 1}, native=native)
    theirs, both = {"a": 1, "b": 2}, {"a": 2, "b": 2}
    stored, sent = drive(session.update(ADDRESS, {"a": 2}), [None], [sealed(theirs)], [b"OK"])
    assert stored == both
    assert sent[1:] == [[("GET", NAME)], [compare_and_set(theirs, both, native=native)]]


def test_merging_does_not_revive_a_session_that_was_ended(merging):
    session = loaded({"a": 1})
    assert drive(session.update(ADDRESS, {"a": 2}), [None], [None])[0] is None


def test_merging_sees_changes_inside_a_field(merging):
    session = commands()
    mine, _ = drive(session.load(ADDRESS), [sealed({"cart": ["tea"]})])
    mine["cart"].append("cake")
    theirs = {"cart": ["tea"], "theme": "dark"}
    stored, _ = drive(session.update(ADDRESS, mine), [None], [sealed(theirs)], [b"OK"])
    assert stored == {"cart": ["tea", "cake"], "theme": "dark"}


def test_whoever_is_always_too_slow_overwrites_at_last(merging):
    session = loaded({"a": 1})
    others = [reply for number in range(TRIES) for reply in ([None], [sealed({"b": number})])]
    stored, sent = drive(session.update(ADDRESS, {"a": 2}), *others, [b"OK"])
    assert stored == {"a": 2, "b": TRIES - 1}
    assert sent[-1] == [("SET", NAME, sealed(stored), "PX", AGE, "XX")]


def test_names_hold_the_prefix_and_the_digest():
    assert record_name("p", "d1") == NAME
