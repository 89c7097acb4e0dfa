"""Every fault, over REST and TCP, sync and async, for each operation of the cache.

In an outage the local store serves the calls; a refusal of a single command is raised. In no case
is a stale value returned, a secret logged, or a thread or socket left open. The faults last until
they are switched off, so the tests end only if every call ends by its deadline.
"""

from __future__ import annotations

import gc
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from continuum_upstash.backend import CacheBackend
from continuum_upstash.errors import (
    CapacityExceeded,
    Unavailable,
)
from continuum_upstash.transports import registry
from tests.conftest import SyncOrAsync
from tests.integration.failover.refusing_server import RefusingServer
from tests.waiting import wait_until

DEADLINES = {"CONNECT_TIMEOUT": 0.3, "READ_TIMEOUT": 0.3, "HEALTH_CHECK_INTERVAL": 0.3}


def run_all_operations(cache):
    """Return the results of the seven operations in an outage; the database has a value of each."""
    with pytest.raises(ValueError, match="not found"):
        cache.incr("incr")
    return {
        "get": cache.get("get", "default"),
        "set": (cache.set("set", "new"), cache.get("set")),
        "get_many": cache.get_many(["get", "get_many", "set"]),
        "set_many": (cache.set_many({"set_many": "new"}), cache.get("set_many")),
        "delete": (cache.delete("delete"), cache.get("delete")),
        "add": (cache.add("add", "new"), cache.add("add", "newer"), cache.get("add")),
    }


OUTAGE = {
    "get": "default",
    "set": (None, "new"),
    "get_many": {"set": "new"},
    "set_many": ([], "new"),
    "delete": (False, None),
    "add": (True, False, "new"),
}
BEFORE = dict.fromkeys(["get", "set", "get_many", "set_many", "delete", "add"], "old") | {"incr": 7}

OPERATIONS = {
    "get": lambda cache: cache.get("get"),
    "set": lambda cache: cache.set("set", "new"),
    "get_many": lambda cache: cache.get_many(["get", "get_many"]),
    "set_many": lambda cache: cache.set_many({"set_many": "new"}),
    "incr": lambda cache: cache.incr("incr"),
    "delete": lambda cache: cache.delete("delete"),
    "add": lambda cache: cache.add("add", "new"),
}
FIRST_RESULTS = {
    "get": None,
    "set": None,
    "get_many": {},
    "set_many": [],
    "incr": ValueError,
    "delete": False,
    "add": True,
}

REST_OUTAGES = {
    "refuse": {},
    "reset": {},
    "hang": {},
    "latency": {"seconds": 1.0, "jitter": 0.3},
    "close": {},
    "garbage": {},
    "http 500": {"status": 500},
    "http 502": {"status": 502},
    "http 429": {"status": 429, "retry_after": 1},
    "quota": {},
}
TCP_OUTAGES = {
    name: REST_OUTAGES[name] for name in ("refuse", "reset", "hang", "latency", "close", "quota")
}
OUTAGES = [
    *(("rest", name, options) for name, options in REST_OUTAGES.items()),
    *(("tcp", name, options) for name, options in TCP_OUTAGES.items()),
]


@pytest.fixture
def open_cache(make_cache, api, request):
    """Return a function that makes a sync or async cache with short deadlines."""

    def make(transport, url=None, **options):
        options = DEADLINES | options
        if url is None:
            cache = make_cache(transport, KEY_PREFIX="matrix", OPTIONS=options)
        else:
            cache = CacheBackend(url, {"OPTIONS": options})
        return SyncOrAsync(cache, request.getfixturevalue("runner") if api == "async" else None)

    return make


@pytest.fixture(autouse=True)
def check_resources(request):
    """Compare threads and sockets before and after; the emulator runs all the time."""
    request.getfixturevalue("emulator")
    registry.reset()
    threads, sockets = set(threading.enumerate()), count_sockets()
    yield
    registry.reset()
    if count_sockets() > sockets:
        gc.collect()  # takes long in a large process
    # A server that the test has started notices only now that its clients are gone.
    wait_until(lambda: set(threading.enumerate()) <= threads)
    wait_until(lambda: count_sockets() <= sockets)


def count_sockets():
    links = []
    for number in Path("/proc/self/fd").glob("*"):  # empty on systems without /proc
        with suppress(FileNotFoundError):  # the directory's own
            links.append(str(number.readlink()))
    return sum(link.startswith("socket:") for link in links)


def recover(cache):
    """Make calls until one closes the breaker, as the requests of a site would."""
    cache.cache.database.failover.breaker.allow_probe_now()

    def is_closed():
        with suppress(Unavailable):  # without fallback, a probe that fails raises
            cache.get("nothing")
        return cache.cache.status.state == "closed"

    wait_until(is_closed)


@contextmanager
def start_fault(emulator, side, fault, options):
    with emulator.fault(fault.split()[0], side=side, **options):
        yield


def list_secrets(emulator):
    return {emulator.token, emulator.redis_url.split(":")[2].split("@")[0]}


@pytest.mark.parametrize(("side", "fault", "options"), OUTAGES, ids=str)
def test_an_outage_is_served_locally_and_leaves_no_stale_values(
    side, fault, options, api, open_cache, emulator, caplog
):
    cache = open_cache(side)
    for key, value in BEFORE.items():
        cache.set(key, value)
    with start_fault(emulator, side, fault, options):
        assert run_all_operations(cache) == OUTAGE
        status = cache.cache.status
        assert (status.state, status.backend) == ("open", "local")
        with emulator.count() as spent:
            assert run_all_operations(cache)["get"] == "default"
            with pytest.raises(Unavailable, match="circuit breaker open"):
                cache.flush_all()
        assert spent.requests == 0
    recover(cache)
    written = ["set", "set_many", "delete", "add", "incr"]
    assert cache.get_many(written) == {}, "neither the old values nor local copies"
    assert cache.get_many(["get", "get_many"]) == {"get": "old", "get_many": "old"}
    assert not [secret for secret in list_secrets(emulator) if secret in caplog.text]


@pytest.mark.parametrize("side", ["rest", "tcp"])
@pytest.mark.parametrize(
    ("fault", "operation"),
    [("reset", operation) for operation in OPERATIONS]
    + [("close", operation) for operation in ("get", "set_many", "delete")]
    + [("hang", operation) for operation in ("get_many", "set", "incr")],
)
def test_each_operation_may_be_the_first_to_fail(operation, side, fault, api, open_cache, emulator):
    cache = open_cache(side)
    for key, value in BEFORE.items():
        cache.set(key, value)
    with start_fault(emulator, side, fault, {}):
        expected = FIRST_RESULTS[operation]
        if expected is ValueError:
            with pytest.raises(ValueError, match="not found"):
                OPERATIONS[operation](cache)
        else:
            assert OPERATIONS[operation](cache) == expected
        assert cache.cache.status.failures == 1
    recover(cache)
    changed = operation in {"set", "set_many", "delete", "add", "incr"}
    assert cache.get(operation) == (None if changed else "old")


@pytest.mark.parametrize("side", ["rest", "tcp"])
@pytest.mark.parametrize("fault", ["refuse", "hang"])
def test_without_fallback_an_open_breaker_raises_unavailable_at_once(
    side, fault, api, open_cache, emulator
):
    cache = open_cache(side, FALLBACK=False)
    cache.set("k", "old")
    with start_fault(emulator, side, fault, {}):
        for _ in range(3):
            with pytest.raises(Unavailable):
                cache.set("k", "new")
        with emulator.count() as spent:
            for operation in OPERATIONS.values():
                with pytest.raises(Unavailable, match="circuit breaker open"):
                    operation(cache)
        assert spent.requests == spent.tcp_connections == 0
    recover(cache)
    assert cache.get("k") == "old"


@pytest.mark.parametrize("side", ["rest", "tcp"])
def test_a_database_that_accepts_no_writes_is_read_and_the_writes_are_local(
    side, api, open_cache, emulator
):
    cache = open_cache(side)
    for key, value in BEFORE.items():
        cache.set(key, value)
    with start_fault(emulator, side, "readonly", {}):
        assert run_all_operations(cache) == OUTAGE | {"get": "old"}
        assert cache.get_many(["get", "get_many"]) == {"get": "old", "get_many": "old"}
        status = cache.cache.status
        assert (status.state, status.local_replies > 0) == ("closed", True)
        assert status.writes == "read_only"
    written = ["set", "set_many", "delete", "add", "incr"]
    assert cache.get_many(written) == {}, "neither the old values nor local copies"
    assert cache.cache.status.dirty_keys == 0


FULL_RESULTS = {
    "get": "old",
    "set": None,
    "get_many": {"get": "old", "get_many": "old"},
    "set_many": ["set_many"],
    "incr": ValueError,
    "delete": True,
    "add": False,
}


@pytest.mark.parametrize("side", ["rest", "tcp"])
def test_a_full_database_is_read_and_outdated_values_are_deleted(side, api, open_cache, emulator):
    cache = open_cache(side)
    for key, value in BEFORE.items():
        cache.set(key, value)
    cache.delete("add")
    with start_fault(emulator, side, "capacity", {}):
        for name, operation in OPERATIONS.items():
            if FULL_RESULTS[name] is ValueError:
                with pytest.raises(ValueError, match="not found"):
                    operation(cache)
            else:
                assert operation(cache) == FULL_RESULTS[name]
        status = cache.cache.status
        assert (status.state, status.local_replies, status.dirty_keys) == ("closed", 0, 0)
        assert status.writes == "full"
    assert cache.get_many(BEFORE) == {"get": "old", "get_many": "old"}


@pytest.mark.parametrize("side", ["rest", "tcp"])
def test_with_on_full_raise_a_full_database_raises_capacity_exceeded(
    side, api, open_cache, emulator
):
    cache = open_cache(side, ON_FULL="raise")
    for key, value in BEFORE.items():
        cache.set(key, value)
    cache.delete("add")
    with start_fault(emulator, side, "capacity", {}):
        for name, operation in OPERATIONS.items():
            if name in {"set", "set_many", "add", "incr"}:
                with pytest.raises(CapacityExceeded):
                    operation(cache)
            else:
                operation(cache)
        status = cache.cache.status
        assert (status.state, status.local_replies, status.dirty_keys) == ("closed", 0, 0)
    assert cache.get("set") == "old"


@pytest.mark.parametrize(
    ("text", "opens"),
    [
        ("ERR max requests limit exceeded. Limit: 500000, Usage: 500000.", True),
        ("NOPERM User default has no permissions to run it", False),
    ],
)
def test_over_tcp_refusals_are_distinguished_too(text, opens, api, open_cache):
    server = RefusingServer(text)
    try:
        cache = open_cache("tcp", server.url)
        if opens:
            assert cache.get("k") is None
            assert cache.cache.status.next_probe - cache.cache.status.since > 200
            server.error = None
            recover(cache)
        else:
            cache.set("k", "v")
            assert cache.get("k") == "v"
            status = cache.cache.status
            assert (status.state, status.writes) == ("closed", "read_only")
    finally:
        server.stop()


@pytest.mark.parametrize("side", ["rest", "tcp"])
def test_a_revoked_token_is_served_locally_and_logged(side, api, open_cache, emulator, caplog):
    wrong = "wr0ng-s3cret"
    if side == "rest":
        cache = open_cache("rest", TOKEN=wrong)
    else:
        cache = open_cache("tcp", f"redis://:{wrong}@{emulator.redis_url.split('@')[1]}")
    assert cache.get("k") is None
    status = cache.cache.status
    assert status.state == "open"
    assert status.next_probe - status.since > 200
    assert len([line for line in caplog.messages if "closed -> open" in line]) == 1
    assert wrong not in caplog.text + status.reason


def test_a_slow_database_is_no_outage(api, open_cache, emulator):
    cache = open_cache("rest", READ_TIMEOUT=5.0)
    with start_fault(emulator, "rest", "latency", {"seconds": 0.05}):
        cache.set("k", "v")
        assert cache.get("k") == "v"
    assert cache.cache.status.local_replies == 0
