"""A server's error text that repeats the token or controls a terminal, and keys that do."""

from __future__ import annotations

import asyncio
import json
import logging

import hiredis
import pytest
from django.core.cache import caches

from continuum_upstash.errors import ContinuumError
from continuum_upstash.transports import registry
from tests.integration.cache_entries import BACKEND, make_entry
from tests.integration.management.command_runs import run_command

TOKEN = "AbCdEf0123456789SECRETtoken"
TEXTS = {
    "command": f"ERR unknown command, with args beginning with: '{TOKEN}' \x1b[31m\u202e",
    "refusal": f"WRONGPASS invalid token {TOKEN}\x1b]0;x\x07",
    "outage": f"ERR DB connection refused for {TOKEN}\x1b[2J",
    "wrong type": f"WRONGTYPE {TOKEN}",
}


def reply_with(text, in_handshake):
    def reply(data):
        if data.startswith(b"*"):
            reader = hiredis.Reader()
            reader.feed(data)
            for command in iter(reader.gets, False):
                is_accepted = command[0] == b"AUTH" and not in_handshake
                yield b"+OK\r\n" if is_accepted else f"-{text}\r\n".encode()
            return
        body = json.dumps({"error": text}).encode()
        if b"/pipeline" in data:
            body = json.dumps([{"error": text}, {"error": text}]).encode()
        yield b"HTTP/1.1 400 Bad Request\r\nContent-Length: %d\r\n\r\n" % len(body) + body

    def behave(peer):
        while data := peer.sock.recv(65536):
            peer.send(b"".join(reply(data)))

    return behave


@pytest.fixture
def configure(settings, monkeypatch, serve):
    def make(transport, text, *, in_handshake=False):
        port = serve(reply_with(text, in_handshake)).port
        options = {"FALLBACK": False, "READ_TIMEOUT": 1}
        if transport == "tcp":
            monkeypatch.setenv("UPSTASH_REDIS_URL", f"redis://default:{TOKEN}@127.0.0.1:{port}")
        else:
            monkeypatch.setenv("UPSTASH_REDIS_REST_URL", f"http://127.0.0.1:{port}")
            monkeypatch.setenv("UPSTASH_REDIS_REST_TOKEN", TOKEN)
        settings.CACHES = {"default": {"BACKEND": BACKEND, "OPTIONS": options}}
        return caches["default"]

    yield make
    registry.reset()


def assert_harmless(text):
    assert TOKEN not in text
    assert text.replace("\n", "").isprintable()


@pytest.mark.parametrize("in_handshake", [False, True], ids=["reply", "handshake"])
@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize("transport", ["rest", "tcp"])
class TestAnErrorText:
    def test_sync(self, configure, caplog, transport, text, in_handshake):
        cache = configure(transport, text, in_handshake=in_handshake)
        with caplog.at_level(logging.DEBUG):
            for call in (lambda: cache.get("k"), lambda: cache.set_many({"a": 1, "b": 2})):
                with pytest.raises(ContinuumError) as raised:
                    call()
                assert_harmless(str(raised.value))
                assert "********" in str(raised.value)
        assert_harmless(caplog.text)
        assert_harmless(cache.status.reason or "")

    async def test_async(self, configure, caplog, transport, text, in_handshake):
        cache = configure(transport, text, in_handshake=in_handshake)
        with caplog.at_level(logging.DEBUG):
            results = await asyncio.gather(cache.aget("a"), cache.aget("b"), return_exceptions=True)
        for error in results:
            if isinstance(error, Exception):
                assert_harmless(str(error))
        assert isinstance(results[0], ContinuumError)
        assert "********" in str(results[0])
        assert_harmless(caplog.text)
        await cache.database.aclose()

    def test_commands(self, configure, transport, text, in_handshake):
        configure(transport, text, in_handshake=in_handshake)
        for command in ("cache_doctor", "cache_stats", "cache_cost"):
            run = run_command(command)
            assert_harmless(run.out + run.err)


HOSTILE_KEYS = ["\x1b[31mred:1", "\x1b]0;title\x07:1", "\rok:1", "\u202egpj:1", "a\nWARNING:1"]


@pytest.mark.filterwarnings("ignore::django.core.cache.backends.base.CacheKeyWarning")
@pytest.mark.parametrize("key", HOSTILE_KEYS, ids=ascii)
def test_key_names_in_the_output_of_commands(emulator, settings, key):
    settings.CACHES = {"default": make_entry(emulator)}
    emulator.flush()
    caches["default"].set(key, 1)
    family = key.partition(":")[0]
    for arguments in (
        ("cache_stats", "--families"),
        ("cache_cleanup", "--family", family, "--dry-run"),
        ("cache_cleanup", f"{family}*", "--dry-run"),
        ("cache_cleanup", "--family", family, "--no-input"),
    ):
        run = run_command(*arguments)
        assert_harmless(run.out + run.err)
    registry.reset()


@pytest.mark.filterwarnings("ignore::django.core.cache.backends.base.CacheKeyWarning")
@pytest.mark.parametrize("key", HOSTILE_KEYS, ids=ascii)
def test_key_names_in_messages(emulator, settings, key):
    settings.CACHES = {"default": make_entry(emulator)}
    cache = caches["default"]
    with pytest.raises(ValueError, match="not found") as raised:
        cache.incr(key)
    assert_harmless(str(raised.value))
    with pytest.raises(ValueError, match="not found") as raised:
        cache.incr_version(key)
    assert_harmless(str(raised.value))
    registry.reset()
