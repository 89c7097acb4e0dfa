"""The whole cache over a server that has fewer request forms than Upstash."""

from __future__ import annotations

from datetime import date
from itertools import count

import pytest

from continuum_upstash.backend import CacheBackend
from continuum_upstash.plans.effects import Batch
from continuum_upstash.sessions import SessionStore
from continuum_upstash.transports import registry
from continuum_upstash.transports.rest.dialect import RestDialect
from tests.conftest import SyncOrAsync
from tests.integration.rest.compatible_server import TOKEN, CompatibleServer

_numbers = count()


@pytest.fixture
def server(valkey):
    server = CompatibleServer(valkey.port)
    yield server
    server.stop()


@pytest.fixture
def open_cache(server, api, request):
    """Return a function that makes a cache without a fallback on the server."""
    runner = request.getfixturevalue("runner") if api == "async" else None

    def open_cache(**options):
        params = {
            "KEY_PREFIX": f"compatible{next(_numbers)}",
            "OPTIONS": {"TOKEN": TOKEN, "FALLBACK": False, "READ_TIMEOUT": 10, **options},
        }
        return SyncOrAsync(CacheBackend(server.url, params), runner)

    yield open_cache
    registry.reset()


@pytest.fixture
def cache(open_cache):
    return open_cache()


VALUES = ["text", 5, {"a": [1.5, None]}, b"\x00\xff", date(2026, 1, 2), "x" * 100_000]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_every_value_comes_back_as_it_was(cache, value):
    for _ in range(2):
        cache.set("k", value, 60)
        assert cache.get("k") == value
        assert cache.get_many(["k", "other"]) == {"k": value}
    cache.set_many({"a": value, "b": value})
    assert cache.get_many(["a", "b"]) == {"a": value, "b": value}
    cache.delete("k")
    assert cache.add("k", value) is True
    assert cache.add("k", value) is False
    assert cache.get("k") == value


def test_counters_expiries_and_deletes_work(cache):
    cache.set("n", 41)
    assert cache.incr("n") == 42
    with pytest.raises(ValueError, match="not found"):
        cache.incr("missing")
    assert cache.touch("n", 60) is True
    assert cache.get_or_set("new", lambda: {"a": 1}) == {"a": 1}
    assert cache.delete_many(["n", "new"]) is None
    assert cache.get("n") is None


def test_a_lock_is_released_and_extended(cache):
    lock = cache.cache.lock("job")
    with lock:
        lock.extend(30)
        assert lock.owned()
    assert not lock.locked()


def test_a_rejected_form_is_tried_once_per_process(cache, server, caplog):
    for number in range(5):
        cache.set(f"k{number}", b"\x00\xff")
        assert cache.get(f"k{number}") == b"\x00\xff"
    assert server.paths["SET"] == 1
    texts = [record.getMessage() for record in caplog.records]
    assert len([text for text in texts if "a value as the body of a request" in text]) == 1
    assert len(texts) == len(set(texts)) == 2


def test_a_command_that_is_wrong_in_every_form_disables_none(emulator, make_cache):
    database = make_cache("rest").database
    wrong = Batch([("APPEND", "k", "too", "many", b"\x00\xff")])
    (reply,) = database.send(wrong)
    assert "wrong number of arguments" in str(reply)
    assert database.extras.get(RestDialect).value_in_body


def test_sessions_work(server, settings):
    options = {"TOKEN": TOKEN, "FALLBACK": False, "READ_TIMEOUT": 10}
    backend = "continuum_upstash.backend.CacheBackend"
    settings.CACHES = {"default": {"BACKEND": backend, "LOCATION": server.url, "OPTIONS": options}}
    settings.SESSION_ENGINE = "continuum_upstash.sessions"
    session = SessionStore()
    session["theme"] = "dark"
    session.save()
    session["theme"] = "light"
    session.save()
    assert SessionStore(session.session_key)["theme"] == "light"
    session.cycle_key()
    assert SessionStore(session.session_key)["theme"] == "light"
    session.flush()
    registry.reset()
