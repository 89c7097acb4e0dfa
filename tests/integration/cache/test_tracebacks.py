"""No frame of an exception that leaves a call holds the token or the password."""

from __future__ import annotations

import asyncio
import signal
import socket
import struct
import threading
import time
from contextlib import suppress
from importlib import import_module

import pytest
import redis
from django.core.cache import caches

from continuum_upstash.errors import ContinuumError
from continuum_upstash.transports import registry
from tests.integration.cache_entries import BACKEND
from tests.ports import find_free_port
from tests.tracebacks import find_secrets, iter_frames

TOKEN = "AbCdEf0123456789SECRETtoken"


def stay_silent(peer):
    peer.wait_until_closed()


def close(peer):
    peer.sock.recv(65536)


def reset(peer):
    peer.sock.recv(65536)
    peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def send_garbage(peer):
    peer.sock.recv(65536)
    peer.send(b"\x00\x01garbage\r\n\r\n")
    peer.wait_until_closed()


def reject(peer):
    data = peer.sock.recv(65536)
    if data.startswith(b"*"):
        peer.send(b"-WRONGPASS invalid username-password pair\r\n" * 4)
    else:
        body = b'{"error":"Unauthorized"}'
        peer.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    peer.wait_until_closed()


def accept_then_stop(peer):
    """Answer what a connection begins with, and nothing after it."""
    if peer.sock.recv(65536).startswith(b"*"):
        peer.send(b"+OK\r\n")
    peer.wait_until_closed()


def send_half(peer):
    data = peer.sock.recv(65536)
    peer.send(b"+OK\r\n$10\r\nabc" if data.startswith(b"*") else b"HTTP/1.1 200 OK\r\nContent-Le")
    peer.wait_until_closed()


BEHAVIOURS = [stay_silent, reset, send_garbage, reject, accept_then_stop, send_half, None]
COMBINATIONS = [
    *(("get", behave) for behave in BEHAVIOURS),
    *((call, behave) for call in ("write", "many", "sdk") for behave in (stay_silent, reject)),
]

CALLS = {
    "get": lambda cache: cache.get("k"),
    "write": lambda cache: cache.set("k", {"a": b"\xff"}),
    "many": lambda cache: cache.keys("*"),
    "sdk": lambda cache: cache.client.redis.get("k"),
}
ASYNC_CALLS = {
    "get": lambda cache: cache.aget("k"),
    "write": lambda cache: cache.aset_many({"a": [1], "b": [2]}),
    "many": lambda cache: cache.aclear(),
    "sdk": lambda cache: cache.aclient.redis.get("k"),
}


@pytest.fixture
def configure(settings, monkeypatch, serve):
    """Return a function that makes the cache of a transport and a server's behaviour."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def make(transport, behave, **options):
        port = find_free_port() if behave is None else serve(behave).port
        scheme = {"tcp": "redis", "tcp+tls": "rediss", "tls": "https"}.get(transport, "http")
        options |= {"FALLBACK": False, "READ_TIMEOUT": 0.1, "CONNECT_TIMEOUT": 0.1}
        if transport in {"proxy", "tunnel"}:
            scheme = "https" if transport == "tunnel" else "http"
            proxy = f"http://user:{TOKEN}@127.0.0.1:{port}"
            monkeypatch.setenv(f"{scheme.upper()}_PROXY", proxy)
            location = f"{scheme}://db.example"
        else:
            location = f"{scheme}://127.0.0.1:{port}"
        if transport.startswith("tcp"):
            monkeypatch.setenv("UPSTASH_REDIS_URL", location.replace("//", f"//default:{TOKEN}@"))
        else:
            monkeypatch.setenv("UPSTASH_REDIS_REST_URL", location)
            monkeypatch.setenv("UPSTASH_REDIS_REST_TOKEN", TOKEN)
        settings.CACHES = {"default": {"BACKEND": BACKEND, "OPTIONS": options}}
        return caches["default"]

    yield make
    registry.reset()


def get_then_sleep(cache):
    cache.get("k")
    time.sleep(1)


def assert_no_secret(error):
    assert find_secrets(error, TOKEN) == []
    assert sum(1 for _ in iter_frames(error)) > 1


@pytest.mark.parametrize(
    ("call", "behave"), COMBINATIONS, ids=lambda each: getattr(each, "__name__", each or "refuse")
)
@pytest.mark.parametrize("transport", ["rest", "tls", "tcp", "tcp+tls", "proxy", "tunnel"])
class TestNoFrameHoldsTheToken:
    def test_sync(self, configure, transport, behave, call):
        cache = configure(transport, behave)
        with pytest.raises(ContinuumError) as raised:
            CALLS[call](cache)
        assert_no_secret(raised.value)

    async def test_async(self, configure, transport, behave, call):
        cache = configure(transport, behave)
        with pytest.raises(ContinuumError) as raised:
            await ASYNC_CALLS[call](cache)
        assert_no_secret(raised.value)
        await cache.database.aclose()


@pytest.mark.parametrize("transport", ["rest", "tcp", "proxy", "tunnel"])
@pytest.mark.parametrize("behave", [stay_silent, accept_then_stop])
class TestAnInterruption:
    @pytest.mark.parametrize("delay", [0.02, 0.1])
    def test_a_signal(self, configure, transport, behave, delay):
        class Stop(BaseException):
            pass

        def raise_stop(*_):
            raise Stop

        cache = configure(transport, behave)
        with suppress(ContinuumError):
            cache.get("k")  # imports what the mode needs
        before = signal.signal(signal.SIGALRM, raise_stop)
        try:
            signal.setitimer(signal.ITIMER_REAL, delay)
            with pytest.raises((Stop, ContinuumError)) as raised:
                get_then_sleep(cache)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert_no_secret(raised.value)

    async def test_a_cancelled_task(self, configure, transport, behave):
        cache = configure(transport, behave)
        task = asyncio.ensure_future(cache.aget("k"))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises((asyncio.CancelledError, ContinuumError)) as raised:
            await task
        assert find_secrets(raised.value, TOKEN) == []
        await cache.database.aclose()


@pytest.mark.parametrize("transport", ["rest", "tcp", "proxy"])
def test_sessions(configure, settings, transport):
    configure(transport, stay_silent)
    settings.SESSION_ENGINE = "continuum_upstash.sessions"
    session = import_module(settings.SESSION_ENGINE).SessionStore("a" * 32)
    for call in (session.load, session.save, session.delete, session.cycle_key):
        with pytest.raises(ContinuumError) as raised:
            call()
        assert_no_secret(raised.value)


@pytest.mark.parametrize("transport", ["rest", "tcp", "proxy"])
def test_a_lock(configure, transport):
    cache = configure(transport, stay_silent)
    with pytest.raises(ContinuumError) as raised, cache.lock("name"):
        pass
    assert_no_secret(raised.value)


@pytest.mark.parametrize("transport", ["rest", "tcp", "proxy"])
def test_a_thread(configure, transport):
    cache, errors = configure(transport, close), []

    def call():
        try:
            cache.get("k")
        except ContinuumError as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert_no_secret(errors[0])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UPSTASH_REDIS_REST_TOKEN", f"{TOKEN} {TOKEN}"),
        ("UPSTASH_REDIS_REST_URL", f"https://user:{TOKEN}@db.example"),
        ("UPSTASH_REDIS_REST_URL", f"https://[{TOKEN}"),
        ("UPSTASH_REDIS_REST_URL", TOKEN),
        ("UPSTASH_REDIS_REST_URL", ""),
        ("CONTINUUM_CACHE_MODE", "nonsense"),
        ("UPSTASH_POOL_SIZE", "many"),
    ],
)
def test_a_wrong_configuration(settings, monkeypatch, name, value):
    monkeypatch.setenv("UPSTASH_REDIS_REST_URL", "https://db.example")
    monkeypatch.setenv("UPSTASH_REDIS_REST_TOKEN", TOKEN)
    monkeypatch.setenv(name, value)
    settings.CACHES = {"default": {"BACKEND": BACKEND}}
    with pytest.raises(ContinuumError) as raised:
        caches["default"].get("k")
    assert find_secrets(raised.value, TOKEN, settings.SECRET_KEY) == []


def test_an_empty_fallback_of_the_secret_key(settings):
    settings.SECRET_KEY_FALLBACKS = [TOKEN, ""]
    settings.CACHES = {"default": {"BACKEND": BACKEND, "OPTIONS": {"MODE": "local"}}}
    with pytest.raises(ContinuumError, match="Correct SECRET_KEY and SECRET_KEY_FALL") as raised:
        caches["default"].get("k")
    assert find_secrets(raised.value, TOKEN, settings.SECRET_KEY) == []


@pytest.mark.parametrize(
    "url",
    [
        f"rediss://default:{TOKEN}@db.example:port",
        f"rediss://default:{TOKEN}@db.example/x",
        f"rediss://default:{TOKEN}@db.example?ssl_cert_reqs=nonsense",
        f"rediss://default:{TOKEN}@db.example?max_connections=nonsense",
        f"rediss://default:{TOKEN}@[db.example",
        f"default:{TOKEN}@db.example:6379",
    ],
)
def test_a_wrong_redis_url(settings, monkeypatch, url):
    monkeypatch.setenv("UPSTASH_REDIS_URL", url)
    settings.CACHES = {"default": {"BACKEND": BACKEND, "OPTIONS": {"FALLBACK": False}}}
    with pytest.raises(ContinuumError) as raised:
        caches["default"].get("k")
    assert find_secrets(raised.value, TOKEN) == []


@pytest.mark.parametrize("transport", ["rest", "tcp"])
@pytest.mark.parametrize("behave", [stay_silent, reject])
def test_the_raw_client(configure, transport, behave):
    client = configure(transport, behave).client.get_client()
    for call in (lambda: client.get("k"), client.pipeline().set("k", b"\xff").get("k").execute):
        with pytest.raises(redis.RedisError) as raised:
            call()
        assert_no_secret(raised.value)
