"""The doctor's findings on canned replies; with a server it is tested as a command."""

from __future__ import annotations

from time import time

import pytest

from continuum_upstash.backend import CacheBackend
from continuum_upstash.health.doctor import examine
from continuum_upstash.plans.runner import Runner, run
from continuum_upstash.transports.service_errors import make_reply_error

INFO = b"redis_version:8.2.0\r\nupstash_version:1.9\r\nmaxmemory_policy:noeviction\r\n%b"


class CannedCache:
    """Runs plans on replies by the name of the command."""

    def __init__(self, cache, replies):
        self.database, self._replies = cache.database, replies

    def run(self, plan):
        return run(plan, Runner(self._send))

    def _send(self, batch):
        now = time()
        defaults = {
            "PING": b"PONG",
            "TIME": [b"%d" % int(now), b"%d" % (now % 1 * 1e6)],
            "SCAN": [b"0", []],
            "COMMAND": [],
            "INFO": INFO % b"",
            "HGETALL": [],
            "SET": b"OK",
            "GETDEL": b"1",
        }
        return [(defaults | self._replies)[command[0]] for command in batch.commands]


@pytest.fixture
def find(settings):
    """Return the finding of a name for some replies."""
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"

    def find(name, **replies):
        options = {"TOKEN": "token"}
        cache = CannedCache(CacheBackend("https://db.upstash.io", {"OPTIONS": options}), replies)
        return next(each for each in examine(cache, write=True) if each.name == name)

    return find


@pytest.mark.parametrize("reply", [[], [None], [None] * 20, b"x", 0, make_reply_error("ERR no")])
def test_a_server_that_does_not_list_its_commands_is_described_by_its_versions(find, reply):
    finding = find("features", COMMAND=reply)
    assert finding.outcome == "info"
    assert "does not list its commands" in finding.detail
    assert "Redis 8.2.0 and Upstash 1.9" in finding.detail
    refused = find("features", COMMAND=reply, INFO=make_reply_error("NOPERM no"))
    assert refused.detail == "the server does not list its commands"


@pytest.mark.parametrize(
    ("size", "outcome", "words"),
    [
        (100, "ok", "10 %"),
        (860, "warning", "86 %"),
        (1010, "failed", "full, writes are refused"),
    ],
)
def test_the_memory_of_a_full_database_fails(find, size, outcome, words):
    info = INFO % b"total_data_size:%d\r\nmax_data_size:1000\r\n" % size
    finding = find("memory", INFO=info)
    assert (finding.outcome, words in finding.detail) == (outcome, True)
    assert bool(finding.fix) is (outcome != "ok")


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("ERR DB capacity quota exceeded", "Delete keys"),
        ("READONLY Writes are temporarily rejected due to server upgrade", "Wait until"),
        ("NOPERM this user has no permissions", "Use the standard token"),
        ("ERR something else", ""),
    ],
)
def test_a_refused_write_fails_with_a_fix(find, text, fix):
    finding = find("write", SET=make_reply_error(text))
    assert finding.outcome == "failed"
    assert text in finding.detail
    assert finding.fix.startswith(fix)
    assert bool(finding.fix) is bool(fix)
