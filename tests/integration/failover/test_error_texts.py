"""Every text of the table of errors, over REST and TCP, sync and async, for each operation.

With FALLBACK on, a cache call never raises because of what the server says about itself: it is
served locally, or it counts as not stored. Only an error of the command itself is raised. No stale
value is returned, during the fault and after it.
"""

from __future__ import annotations

from contextlib import suppress

import pytest

from continuum_upstash import observe
from continuum_upstash.backend import CacheBackend
from continuum_upstash.errors import ContinuumError, ReplyError
from continuum_upstash.plans.command_table import COMMANDS
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.service_errors import MEANINGS, SERVICE_TEXTS, Meaning
from tests.conftest import SyncOrAsync
from tests.integration.fake_database import PASS, SECRET
from tests.waiting import wait_until

OPERATIONS = {
    "get": lambda cache: cache.get("get"),
    "get_many": lambda cache: cache.get_many(["get", "get_many"]),
    "has_key": lambda cache: cache.has_key("get"),
    "set": lambda cache: cache.set("set", "new"),
    "set_without_expiry": lambda cache: cache.set("set_without_expiry", b"\xff", None),
    "add": lambda cache: cache.add("add", "new"),
    "add_existing": lambda cache: cache.add("add_existing", "new"),
    "set_many": lambda cache: cache.set_many({"set_many": "new", "more": "new"}),
    "mset": lambda cache: cache.set_many({"mset": "new", "more": "new"}, None),
    "incr": lambda cache: cache.incr("incr"),
    "get_or_set": lambda cache: cache.get_or_set("get_or_set", lambda: "new"),
    "touch": lambda cache: cache.touch("touch", 100),
    "touch_without_expiry": lambda cache: cache.touch("touch_without_expiry", None),
    "delete": lambda cache: cache.delete("delete"),
    "delete_many": lambda cache: cache.delete_many(["delete_many"]),
}
NEW_KEYS = {"add", "get_or_set", "more"}
READS = {"get", "get_many", "has_key"}
KEPT = {"get", "get_many", "add_existing"}  # what no operation makes outdated when it is not stored


def fill(cache):
    for key in OPERATIONS.keys() - NEW_KEYS - {"incr"}:
        cache.set(key, "old")
    cache.set("incr", 7)


def run_all(cache):
    """Return the results; the only error is that of `incr` for a missing key."""
    results = {}
    for name, operation in OPERATIONS.items():
        try:
            results[name] = operation(cache)
        except ValueError:
            results[name] = ValueError
    return results


STORED_NOWHERE = {
    "set": None,
    "set_without_expiry": None,
    "add": False,
    "add_existing": False,
    "set_many": ["set_many", "more"],
    "mset": ["mset", "more"],
    "incr": ValueError,
    "get_or_set": "new",
    "touch": False,
    "touch_without_expiry": False,
}
STORED_LOCALLY = {
    "set": None,
    "set_without_expiry": None,
    "add": True,
    "add_existing": True,
    "set_many": [],
    "mset": [],
    "incr": ValueError,
    "get_or_set": "new",
    "touch": False,
    "touch_without_expiry": False,
    "delete": False,
    "delete_many": None,
}
READ_REMOTELY = {"get": "old", "get_many": {"get": "old", "get_many": "old"}, "has_key": True}
READ_LOCALLY = {"get": None, "get_many": {}, "has_key": False}
DELETED = {"delete": True, "delete_many": None}

EXPECTED = {
    Meaning.OUTAGE: READ_LOCALLY | STORED_LOCALLY,
    Meaning.REFUSAL: READ_LOCALLY | STORED_LOCALLY,
    Meaning.READ_ONLY: READ_REMOTELY | STORED_LOCALLY,
    Meaning.FULL: READ_REMOTELY | STORED_NOWHERE | DELETED,
}


def refuses(meaning, name):
    """Return whether a server in this state refuses a command."""
    spec = COMMANDS[name]
    if meaning in {Meaning.OUTAGE, Meaning.REFUSAL}:
        return True
    if meaning is Meaning.READ_ONLY:
        return spec.writes
    return spec.writes and not spec.deletes


def open_cache(database, transport, api, request, **options):
    options |= {"HEALTH_CHECK_INTERVAL": 0.3}
    if transport == "rest":
        options["TOKEN"] = SECRET
    cache = CacheBackend(database.url(transport), {"TIMEOUT": 60, "OPTIONS": options})
    return SyncOrAsync(cache, request.getfixturevalue("runner") if api == "async" else None)


def recover(cache):
    cache.cache.database.failover.breaker.allow_probe_now()
    wait_until(lambda: cache.get("nothing") is None and cache.cache.status.state == "closed")


def list_texts(*meanings, per_row=None):
    return [
        pytest.param(text, MEANINGS[row.error], id=text[:40])
        for row in SERVICE_TEXTS
        for text in row.examples[:per_row]
        if MEANINGS[row.error] in meanings
    ]


STATES = (Meaning.OUTAGE, Meaning.REFUSAL, Meaning.READ_ONLY, Meaning.FULL)
SERVER_STATES = list_texts(*STATES)
ONE_PER_ROW = list_texts(*STATES, per_row=1)


@pytest.mark.parametrize("transport", ["rest", "tcp"])
@pytest.mark.parametrize(("text", "meaning"), SERVER_STATES)
def test_no_text_about_the_server_is_raised(
    text, meaning, transport, api, fake_database, request, caplog
):
    cache = open_cache(fake_database, transport, api, request)
    fill(cache)
    fake_database.intercept = lambda name, *_: ReplyError(text) if refuses(meaning, name) else PASS
    assert run_all(cache) == EXPECTED[meaning]
    state = "open" if meaning in {Meaning.OUTAGE, Meaning.REFUSAL} else "closed"
    assert cache.cache.status.state == state
    written = OPERATIONS.keys() - READS - KEPT
    assert "old" not in cache.get_many(written).values(), "no stale value during the fault"
    fake_database.intercept = lambda *_: PASS
    recover(cache)
    assert cache.get_many(written) == {}, "neither old values nor local copies"
    kept = KEPT if meaning is Meaning.FULL else {"get", "get_many"}
    assert cache.get_many(kept) == dict.fromkeys(kept, "old")
    assert SECRET not in caplog.text


@pytest.mark.parametrize(("text", "meaning"), list_texts(*Meaning))
def test_no_text_in_reply_to_a_login_is_raised(text, meaning, api, fake_database, request, caplog):
    cache = open_cache(fake_database, "tcp", api, request)
    fake_database.login_error = text
    fatal = meaning in {Meaning.OUTAGE, Meaning.REFUSAL}
    for _ in range(4):
        try:
            assert cache.get("k") is None
        except ReplyError:
            assert not fatal
    assert (cache.cache.status.state == "open") is fatal
    fake_database.login_error = None
    recover(cache)
    assert SECRET not in caplog.text


@pytest.mark.parametrize(("text", "meaning"), ONE_PER_ROW)
def test_the_text_decides_whatever_the_http_status(text, meaning, api, fake_database, request):
    cache = open_cache(fake_database, "rest", api, request)
    expected = EXPECTED[meaning]
    for status in (200, 400, 401, 403, 404, 405, 429, 500, 503):
        fake_database.intercept = lambda *_: PASS
        recover(cache)
        cache.delete_many(OPERATIONS)
        fake_database.status = status
        fake_database.intercept = lambda name, *_: (
            ReplyError(text) if refuses(meaning, name) else PASS
        )
        for operation in ("set", "add", "set_many", "get_or_set", "touch"):
            assert OPERATIONS[operation](cache) == expected[operation], status
        state = "open" if meaning in {Meaning.OUTAGE, Meaning.REFUSAL} else "closed"
        assert cache.cache.status.state == state, status


@pytest.mark.parametrize("transport", ["rest", "tcp"])
@pytest.mark.parametrize(
    "operation", sorted(OPERATIONS.keys() - {"delete", "delete_many", "has_key"})
)
def test_a_value_that_is_too_large_is_not_stored_and_not_read(
    operation, transport, api, fake_database, request
):
    text = "ERR max request size exceeded. Limit: 10485760 bytes, Actual: 11245919 bytes"
    cache = open_cache(fake_database, transport, api, request)
    fill(cache)
    fake_database.intercept = lambda name, *_: PASS if COMMANDS[name].deletes else ReplyError(text)
    expected = {"get": None, "get_many": {}} | STORED_NOWHERE
    try:
        assert OPERATIONS[operation](cache) == expected[operation]
    except ValueError:
        assert operation == "incr"
    assert cache.cache.status.state == "closed"
    fake_database.intercept = lambda *_: PASS
    assert cache.get(operation) == ("old" if operation in KEPT else None)


@pytest.mark.parametrize("transport", ["rest", "tcp"])
@pytest.mark.parametrize(
    "text",
    [
        "READONLY Write commands are not allowed from read-only scripts",
        "ERR Command is not available: 'X'.",
    ],
)
def test_the_error_of_a_command_is_raised_as_ours(text, transport, api, fake_database, request):
    cache = open_cache(fake_database, transport, api, request)
    fill(cache)
    fake_database.intercept = lambda *_: ReplyError(text)
    for operation in OPERATIONS.values():
        with pytest.raises(ReplyError, match=text[:20]):
            operation(cache)
    assert cache.cache.status.state == "closed"


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_the_error_text_of_a_users_script_opens_no_breaker(transport, make_cache, api, runner):
    database = make_cache(transport).database
    script = ("EVAL", "return redis.error_reply('ERR max attempts exceeded')", 0)
    for commands in ([script], [script, script]):
        batch = Batch(tuple(commands))
        for _ in range(4):
            replies = database.send(batch) if api == "sync" else runner.run(database.asend(batch))
            assert {(type(each), str(each)) for each in replies} == {
                (ReplyError, "ERR max attempts exceeded")
            }
    assert database.status.state == "closed"


@pytest.mark.parametrize("transport", ["rest", "tcp"])
@pytest.mark.parametrize("forbidden", ["all", "writes", "scripts"])
def test_a_token_without_permission_is_no_reason_to_raise(
    forbidden, transport, api, fake_database, request, caplog, monkeypatch
):
    monkeypatch.setattr(observe, "_logged_at", {})
    cache = open_cache(fake_database, transport, api, request)
    fill(cache)
    is_forbidden = {
        "all": lambda name: True,
        "writes": lambda name: COMMANDS[name].writes,
        "scripts": lambda name: name == "EVAL",
    }[forbidden]
    text = "NOPERM this user has no permissions to run the command"
    fake_database.intercept = lambda name, *_: ReplyError(text) if is_forbidden(name) else PASS
    results = run_all(cache)
    if forbidden == "all":
        assert results == READ_LOCALLY | STORED_LOCALLY
    elif forbidden == "writes":
        assert results == READ_REMOTELY | STORED_LOCALLY
        assert cache.get("set") == "new", "no stale value"
    status = cache.cache.status
    assert (status.state, status.writes) == ("closed", "read_only")
    assert caplog.text.count("NOPERM") == 1
    fake_database.intercept = lambda *_: PASS
    assert cache.get("incr") == 7


LIES = [7, -1, b"lie", b"\xff", [], [b"a", 1], [None], [[b"a"]], None, b"OK", 2**62]
LIES += [[b"0", [1]], [b"\xff", []], [b"0", [b"k", None]]]


OTHER_OPERATIONS = {
    "ttl": lambda cache: cache.ttl("k"),
    "keys": lambda cache: cache.keys("*"),
    "clear": lambda cache: cache.clear(),
    "delete_pattern": lambda cache: cache.delete_pattern("k*"),
    "incr_version": lambda cache: cache.incr_version("k"),
    "expire_at": lambda cache: cache.expire_at("k", 2_000_000_000),
}


@pytest.mark.parametrize("transport", ["rest", "tcp"])
@pytest.mark.parametrize("fallback", [True, False])
@pytest.mark.parametrize("operation", OPERATIONS | OTHER_OPERATIONS)
def test_a_reply_of_a_wrong_type_raises_no_foreign_exception(
    operation, fallback, transport, api, fake_database, request
):
    cache = open_cache(fake_database, transport, api, request, FALLBACK=fallback)
    for lie in LIES:
        cache.cache.database.failover.breaker.reset()
        fake_database.intercept = lambda name, *_, lie=lie: lie
        try:
            (OPERATIONS | OTHER_OPERATIONS)[operation](cache)
        except ContinuumError:
            pass
        except ValueError as error:
            if "not found" not in str(error):
                raise


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_a_lock_with_replies_of_wrong_types_raises_our_errors(transport, fake_database, request):
    cache = open_cache(fake_database, transport, "sync", request)
    for number, lie in enumerate(LIES):
        cache.cache.database.failover.breaker.reset()
        for method in ("release", "extend", "locked", "owned"):
            fake_database.intercept = lambda *_: PASS
            lock = cache.lock(f"{method}{number}", blocking_timeout=0)
            assert lock.acquire()
            fake_database.intercept = lambda name, *_, lie=lie: lie
            with suppress(ContinuumError):
                getattr(lock, method)()


@pytest.mark.parametrize("transport", ["rest", "tcp"])
@pytest.mark.parametrize(("text", "meaning"), ONE_PER_ROW)
def test_a_text_among_the_replies_of_a_pipeline_is_not_raised_either(
    text, meaning, transport, api, fake_database, request
):
    cache = open_cache(fake_database, transport, api, request)
    cache.set_many({"a": "old", "b": "old", "c": "old"})
    fake_database.intercept = lambda name, key=b"", *_: (
        ReplyError(text) if refuses(meaning, name) and b":b" in key else PASS
    )
    unstored = cache.set_many({"a": "new", "b": "new", "c": "new"})
    assert unstored == (["b"] if meaning is Meaning.FULL else [])
    fake_database.intercept = lambda *_: PASS
    recover(cache)
    assert "old" not in cache.get_many(["a", "b", "c"]).values()
