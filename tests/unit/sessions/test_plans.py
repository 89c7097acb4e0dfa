"""The exact commands of each operation on a session, against canned replies."""

from __future__ import annotations

import pytest
from django.contrib.sessions.exceptions import SessionInterrupted

from continuum_upstash.errors import (
    CapacityExceeded,
    ConnectionFailed,
    DeadlineExceeded,
    ReplyError,
    SessionStoreUnavailable,
    Unavailable,
)
from continuum_upstash.sessions.keys import StorageKey
from continuum_upstash.sessions.plans import ROTATE_KEY
from continuum_upstash.transports.service_errors import make_reply_error
from tests.unit.sessions.session_plans import (
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
def no_index(settings):
    settings.SESSION_USER_INDEX = False


def test_loading_is_one_get():
    found, sent = run_plan(make_plans().load(KEY), [sign_data({"a": 1})])
    assert (found, sent) == ({"a": 1}, [[("GET", REDIS_KEY)]])


def test_loading_a_missing_session_returns_none():
    assert run_plan(make_plans().load(KEY), [None]) == (None, [[("GET", REDIS_KEY)]])


@pytest.mark.parametrize(
    "raw", [b"", b"garbage", b"{}", b"\xff\xfe", b"a:b:c", sign_data({"a": 1}, digest="d2")]
)
def test_bytes_that_were_not_signed_for_this_session_are_rejected(raw, caplog):
    found, _ = run_plan(make_plans().load(KEY), [raw])
    assert found is None
    assert caplog.records[0].name == "django.security.SuspiciousSession"


def test_with_save_every_request_loading_is_one_getex(settings):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    plans = make_plans()
    _, sent = run_plan(plans.load(KEY), [sign_data({"a": 1})])
    assert sent == [[("GETEX", REDIS_KEY, "PX", TTL_MS)]]
    assert run_plan(plans.update(KEY, {"a": 1})) == ({"a": 1}, [])


def test_with_save_every_request_a_change_is_stored(settings):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    plans = make_plans()
    run_plan(plans.load(KEY), [sign_data({"a": 1})])
    _, sent = run_plan(plans.update(KEY, {"a": 2}), [b"OK"])
    assert sent == [[("SET", REDIS_KEY, sign_data({"a": 2}), "PX", TTL_MS, "XX")]]


def test_with_save_every_request_an_expiry_of_its_own_costs_a_pexpire(settings):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    raw = sign_data({"_session_expiry": 5_000})
    _, sent = run_plan(make_plans().load(KEY), [raw], [1])
    assert sent == [[("GETEX", REDIS_KEY, "PX", TTL_MS)], [("PEXPIRE", REDIS_KEY, 5_000)]]
    found, sent = run_plan(make_plans().load(KEY), [sign_data({"_session_expiry": -1})], [1])
    assert (found, sent[1]) == (None, [("UNLINK", REDIS_KEY)])


def unavailable(error):
    """Return the error that the runner of the sessions raises for a refused command."""
    translated = SessionStoreUnavailable("the session database is full")
    translated.__cause__ = error
    return translated


@pytest.mark.parametrize("text", ["ERR DB capacity quota exceeded", "READONLY Writes are rejected"])
@pytest.mark.parametrize("translate", [lambda error: [error], unavailable])
def test_a_session_that_cannot_be_renewed_is_read(settings, text, translate):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    plans, refused = make_plans(), translate(make_reply_error(text))
    found, sent = run_plan(plans.load(KEY), refused, [sign_data({"a": 1})])
    assert (found, sent[1:]) == ({"a": 1}, [[("GET", REDIS_KEY)]])
    unchanged = run_plan(plans.update(KEY, {"a": 1}))
    assert unchanged == ({"a": 1}, []), "nothing to store, so no error at the end of the request"
    own_expiry = sign_data({"_session_expiry": 5_000})
    found, _ = run_plan(make_plans().load(KEY), [own_expiry], refused)
    assert found == {"_session_expiry": 5_000}


@pytest.mark.parametrize("error", [unavailable(None), make_reply_error("WRONGTYPE no")])
def test_another_error_of_a_renewal_is_raised(settings, error):
    settings.SESSION_SAVE_EVERY_REQUEST = True
    with pytest.raises(type(error)):
        run_plan(make_plans().load(KEY), error)


def test_creating_is_one_set_nx():
    created, sent = run_plan(make_plans().create(KEY, {"a": 1}), [b"OK"])
    assert (created, sent) == (
        True,
        [[("SET", REDIS_KEY, sign_data({"a": 1}), "PX", TTL_MS, "NX")]],
    )
    assert run_plan(make_plans().create(KEY, {"a": 1}), [None])[0] is False


def test_saving_is_one_set_xx():
    plans = load_plans({"a": 1})
    stored, sent = run_plan(plans.update(KEY, {"a": 2}), [b"OK"])
    assert (stored, sent) == (
        {"a": 2},
        [[("SET", REDIS_KEY, sign_data({"a": 2}), "PX", TTL_MS, "XX")]],
    )
    assert run_plan(plans.update(KEY, {"a": 3}), [None])[0] is None


def test_saving_the_same_data_renews_the_expiry_but_not_twice_in_a_row():
    plans = load_plans({"a": 1})
    assert run_plan(plans.update(KEY, {"a": 1}), [b"OK"])[1] != []
    plans = make_plans()
    run_plan(plans.create(KEY, {"a": 1}), [b"OK"])
    assert run_plan(plans.update(KEY, {"a": 1}))[1] == []
    assert run_plan(plans.update(KEY, {"a": 1}), [b"OK"])[1] != []


def test_an_expiry_in_the_past_is_an_unlink():
    expired = {"_session_expiry": -10_000}
    assert run_plan(make_plans().create(KEY, expired)) == (True, [])
    assert run_plan(make_plans().update(KEY, expired), [1]) == (
        expired,
        [[("UNLINK", REDIS_KEY)]],
    )
    assert run_plan(make_plans().update(KEY, expired), [0])[0] is None


def test_delete_and_exists_are_one_command_each():
    assert run_plan(make_plans().delete(KEY), [1]) == (True, [[("UNLINK", REDIS_KEY)]])
    assert run_plan(make_plans().exists(KEY), [0]) == (False, [[("EXISTS", REDIS_KEY)]])


@pytest.mark.parametrize(("before", "must_exist"), [({}, 0), (USER, 1)])
def test_rotating_the_key_is_one_script(before, must_exist):
    plans, new = load_plans(before), StorageKey("p", ("d2",))
    rotated, sent = run_plan(plans.rotate_key(KEY, new, {"a": 1}), [1])
    keys = ("continuum:session:p:d2", REDIS_KEY)
    raw = sign_data({"a": 1}, digest="d2")
    assert (rotated, sent) == (True, [[("EVAL", ROTATE_KEY, 2, *keys, raw, TTL_MS, must_exist)]])
    assert run_plan(plans.update(new, {"a": 1}))[1] == []  # it has just been stored
    assert ROTATE_KEY.count_billed(sent[0][0], 1) == 2 + must_exist


def test_a_taken_key_is_not_used():
    assert run_plan(load_plans({}).rotate_key(KEY, StorageKey("p", ("d2",)), {}), [0])[0] is False


def test_rotating_the_key_fails_after_a_logout():
    plan = load_plans(USER).rotate_key(KEY, StorageKey("p", ("d2",)), USER)
    with pytest.raises(SessionInterrupted, match="logged out"):
        run_plan(plan, [-1])


def make_lost_reply(cause):
    error = SessionStoreUnavailable("no reply")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("cause", [DeadlineExceeded("late"), ConnectionFailed("lost")], ids=repr)
def test_rotating_the_key_is_sent_again_if_the_reply_was_lost(cause):
    plans, new = load_plans(USER), StorageKey("p", ("d2",))
    rotated, sent = run_plan(plans.rotate_key(KEY, new, {"a": 1}), make_lost_reply(cause), [1])
    assert rotated
    assert sent[0] == sent[1]
    assert run_plan(plans.update(new, {"a": 1}))[1] == []


@pytest.mark.parametrize(
    "cause", [ConnectionFailed("refused", unsent=True), Unavailable("breaker open")], ids=repr
)
def test_rotating_the_key_is_not_sent_again_if_the_server_has_not_run_it(cause):
    plan = load_plans({}).rotate_key(KEY, StorageKey("p", ("d2",)), {})
    with pytest.raises(SessionStoreUnavailable):
        run_plan(plan, make_lost_reply(cause))


def test_an_error_reply_is_raised():
    full = make_reply_error("OOM command not allowed when used memory > 'maxmemory'.")
    with pytest.raises(CapacityExceeded):
        run_plan(make_plans().create(KEY, {}), [full])


# ---- SECRET_KEY_FALLBACKS

TWO_DIGESTS = StorageKey("p", ("new", "old"))
NEW_KEY, OLD_KEY = "continuum:session:p:new", "continuum:session:p:old"


def test_an_older_digest_is_read_only_on_a_miss():
    plans = make_plans()
    found, sent = run_plan(plans.load(TWO_DIGESTS), [None], [[sign_data({"a": 1}, digest="old")]])
    assert (found, sent) == ({"a": 1}, [[("GET", NEW_KEY)], [("MGET", OLD_KEY)]])
    _, sent = run_plan(make_plans().load(TWO_DIGESTS), [sign_data({}, digest="new")])
    assert sent == [[("GET", NEW_KEY)]]


def test_a_save_moves_a_session_to_the_new_digest():
    plans = make_plans()
    run_plan(plans.load(TWO_DIGESTS), [None], [[sign_data({"a": 1}, digest="old")]])
    store = ("SET", NEW_KEY, sign_data({"a": 2}, digest="new"), "PX", TTL_MS, "XX")
    stored, sent = run_plan(plans.update(TWO_DIGESTS, {"a": 2}), [b"OK", b"OK"])
    assert (stored, sent) == ({"a": 2}, [[("RENAMENX", OLD_KEY, NEW_KEY), store]])
    _, sent = run_plan(plans.update(TWO_DIGESTS, {"a": 3}), [b"OK"])
    assert len(sent[0]) == 1


def test_a_save_with_nothing_to_move_succeeds():
    no_key = ReplyError("ERR no such key")
    assert run_plan(make_plans().update(TWO_DIGESTS, {}), [no_key, b"OK"])[0] == {}
    assert run_plan(make_plans().update(TWO_DIGESTS, {}), [no_key, None])[0] is None


def test_deleting_a_session_unlinks_the_redis_key_of_each_digest():
    assert run_plan(make_plans().delete(TWO_DIGESTS), [1])[1] == [[("UNLINK", NEW_KEY, OLD_KEY)]]
