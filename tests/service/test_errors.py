"""ERR: the texts of errors, and what they mean.

Texts that cannot be provoked without damage are tested on the emulator only.
"""

from __future__ import annotations

import time

import pytest

from tests.service.catalogue import OVER_TCP, UPSTASH, assume
from tests.service.expectations import error, one_of

TTL = ("PX", "60000")
MEGABYTE = 1024 * 1024


@assume(
    "ERR-001",
    unproven="pages name the code, not the text",
    affects="Values of another type are reported as an error of another kind.",
    commands=2,
)
def test_wrongtype(call, key):
    """A command on a value of another type returns an error that begins with WRONGTYPE."""
    assert call("HSET", key, "a", "1") == 1
    assert call("GET", key) == error("WRONGTYPE ")


@assume(
    "ERR-002",
    seen_in="volter-ai/twin-packs-open upstash/src/semantics",
    affects="A database without DELEX: lock.release() fails instead of using a script.",
    commands=1,
    profiles=OVER_TCP,
)
def test_a_command_that_does_not_exist(call):
    """A command that the service lacks returns `ERR Command is not available: …`."""
    assert call("ROLE") == error("ERR Command is not available: 'ROLE'")


@assume(
    "ERR-003",
    documented="redis/features/restapi",
    affects="The text of a raised ReplyError.",
    commands=1,
)
def test_wrong_number_of_arguments(call, key):
    """A wrong number of arguments returns `ERR wrong number of arguments for 'get' command`."""
    assert call("GET", key, "surplus") == error("ERR wrong number of arguments for 'get' command")


@assume(
    "ERR-004",
    unproven="the text is that of Redis; no page shows it",
    affects="A database without SET IFEQ: lock.extend() fails instead of using a script.",
    commands=1,
)
def test_a_syntax_error(call, key):
    """An unknown option returns an error that begins with `ERR syntax error`."""
    assert call("SET", key, "1", "BOGUS") == error("ERR syntax error")


@assume(
    "ERR-005",
    documented="redis/troubleshooting/max_key_size_exceeded",
    affects="A key that is too long is reported as ReplyError instead of RequestTooLarge.",
    commands=1,
    profiles=UPSTASH,
)
def test_a_key_that_is_too_long(rest, make_key):
    """A key of more than 32 KB returns `ERR max key size exceeded`."""
    key = make_key.prefix + "x" * 33 * 1024  # could not be deleted; it would expire
    assert rest.call("SET", key, "1", *TTL) == error("ERR max key size exceeded")


@assume(
    "ERR-006",
    documented="redis/troubleshooting/max_request_size_exceeded",
    affects="get_many of large values fails instead of asking for fewer at once.",
    commands=3,
    profiles=UPSTASH,
    alone=True,
)
def test_a_reply_that_is_too_large(rest, key, record_property):
    """A reply beyond the request limit is a JSON error `ERR max request size exceeded`.

    The value is made by SETRANGE, so that nothing large is sent.
    """
    size = 11 * MEGABYTE
    if rest.call("SETRANGE", key, str(size - 1), "x") != size:
        pytest.skip("a value of 11 MB cannot be stored")
    response = rest.post_json("/", ["GET", key], Upstash_Response_Format="resp2")
    assert rest.call("DEL", key) == 1
    record_property("observed", f"HTTP {response.status}, {len(response.body)} bytes")
    if len(response.body) > size:
        pytest.skip("the request limit of this database is above 11 MB")
    assert b"ERR max request size exceeded" in response.body


@assume(
    "ERR-007",
    seen_in="koala73/worldmonitor docs/solutions/integration-issues",
    affects="A value that is too large is reported as an outage instead of RequestTooLarge.",
    commands=1,
    profiles=UPSTASH,
)
def test_a_request_that_is_too_large(rest, key, target):
    """An argument beyond the request limit returns HTTP 413 and `ERR max request size exceeded`."""
    if target.is_real and not target.large:
        pytest.skip("uploads 11 MB: make test-service ARGS=--large")
    response = rest.post_json("/", ["SET", key, "x" * (11 * MEGABYTE), *TTL])
    if response.json == {"result": "OK"}:
        pytest.skip("the request limit of this database is above 11 MB")
    assert response.status == 413
    assert response.json["error"].startswith("ERR max request size exceeded")


@assume(
    "ERR-008",
    seen_in="volter-ai/twin-packs-open upstash/src/semantics",
    affects="Only the emulator: it refuses commands that the service accepts over REST.",
    commands=1,
    profiles=UPSTASH,
)
def test_commands_of_connections_are_not_for_rest(rest):
    """MULTI, WATCH and the like return `ERR Command "MULTI" is not allowed in REST …`."""
    assert rest.call("WATCH", "key") == error("ERR Command .* is not allowed in REST")


@assume(
    "ERR-009",
    documented="redis/commands/server/command",
    affects="cache_doctor cannot list what the server supports.",
    commands=0,
    profiles=OVER_TCP,
)
def test_command_returns_an_empty_array(call):
    """COMMAND returns an empty array."""
    assert call("COMMAND") == []


@assume(
    "ERR-010",
    documented="redis/commands/connection/select",
    affects="A URL with another database index is not reported.",
    commands=1,
    profiles=OVER_TCP,
)
def test_only_database_0_exists(call):
    """SELECT of another database than 0 returns an error."""
    assert call("SELECT", "1") == error("ERR ")


# ---- what is never provoked on a real database


@assume(
    "ERR-020",
    documented="redis/troubleshooting/db_capacity_quota_exceeded",
    affects="A full database is not recognized: cache writes raise ReplyError.",
    commands=2,
    profiles=UPSTASH,
    alone=True,
)
def test_a_full_database(emulator, rest, key):
    """A write to a full database without eviction returns `ERR DB capacity quota exceeded`."""
    with emulator.fault("capacity"):
        assert rest.call("SET", key, "1", *TTL) == error("ERR DB capacity quota exceeded")
        assert rest.call("DEL", key) == 0


@assume(
    "ERR-021",
    documented="redis/troubleshooting/max_requests_limit",
    affects="A used-up quota is not recognized: every command raises ReplyError, no fallback.",
    commands=1,
    profiles=UPSTASH,
    alone=True,
)
def test_a_quota_that_is_used_up(emulator, rest, key):
    """When the month's commands are used up, each returns `ERR max requests limit exceeded`."""
    with emulator.fault("quota"):
        assert rest.call("GET", key) == error("ERR max requests limit exceeded")


@assume(
    "ERR-022",
    seen_in="lobehub/lobehub (error classifier), an RQ worker",
    affects="An upgrade of the server is not recognized: cache writes raise ReplyError.",
    commands=3,
    profiles=UPSTASH,
    alone=True,
)
def test_an_upgrade_of_the_server(emulator, rest, key):
    """During an upgrade, a write returns `READONLY Writes are temporarily rejected …`."""
    with emulator.fault("readonly"):
        assert rest.call("SET", key, "1", *TTL) == error("READONLY ")
        assert rest.call("GET", key) is None


@assume(
    "ERR-023",
    seen_in="a public report of a database that was full (EVAL in the console)",
    affects="Only the emulator: scripts run there on a full database.",
    commands=3,
    profiles=UPSTASH,
    alone=True,
)
def test_scripts_on_a_full_database(emulator, rest, key):
    """A full database rejects every script with the error of a write, also if it only reads."""
    with emulator.fault("capacity"):
        reply = rest.call("EVAL", "return redis.call('GET', KEYS[1])", "1", key)
        assert reply == error("ERR DB capacity quota exceeded")
        assert rest.call("GET", key) is None


@assume(
    "ERR-024",
    unproven="the documentation says that writes are rejected, and GETEX is one",
    affects="Sessions with SESSION_SAVE_EVERY_REQUEST on a full database: read by GET, unrenewed.",
    commands=2,
    profiles=UPSTASH,
    alone=True,
)
def test_reads_that_renew_on_a_full_database(emulator, rest, key):
    """A full database serves GET; it serves GETEX, or rejects it like a write."""
    with emulator.fault("capacity"):
        reply = rest.call("GETEX", key, "PX", "60000")
        assert reply == one_of(None, error("ERR DB capacity quota exceeded"))
        assert rest.call("GET", key) is None


@assume(
    "ERR-025",
    documented="redis/help/faq",
    affects="READ_TIMEOUT: a call that waits longer than 2 s fails, and is taken as an outage.",
    commands=3,
    profiles=UPSTASH,
    alone=True,
)
def test_too_many_commands_per_second(emulator, rest, key):
    """Beyond the limit of commands per second, commands wait; they are not refused."""
    with emulator.fault("throttle", rate=50):
        started = time.monotonic()
        assert rest.pipeline(*[["GET", key]] * 3) == [None] * 3
        assert time.monotonic() - started >= 0.02


@assume(
    "ERR-026",
    seen_in="public incident reports of June and July 2026 (mobius-civic-ai-terminal, and others)",
    affects="A budget that is spent is not recognized: every command raises ReplyError.",
    commands=2,
    profiles=UPSTASH,
    alone=True,
)
def test_a_budget_that_is_spent(emulator, rest, key):
    """When the budget is spent, each command returns `ERR This database has been suspended …`."""
    text = "ERR This database has been suspended for exceeding the defined budget limit"
    with emulator.fault("budget"):
        assert rest.call("GET", key) == error(text)
        assert rest.call("DEL", key) == error(text)


@assume(
    "ERR-027",
    seen_in="public reports of October 2026 (reads and writes fail; the cause was bandwidth)",
    affects="A limit of the plan is not recognized: every command raises ReplyError, no fallback.",
    commands=2,
    profiles=UPSTASH,
    alone=True,
)
def test_a_limit_of_a_fixed_plan(emulator, rest, key):
    """Beyond a limit of a fixed plan, each command returns `ERR This database has reached …`."""
    text = "ERR This database has reached current Fixed plan limits"
    with emulator.fault("plan"):
        assert rest.call("GET", key) == error(text)
        assert rest.call("SET", key, "1", *TTL) == error(text)


@assume(
    "ERR-028",
    unproven="reports show SET only; a replica of Redis rejects DEL as well",
    affects="Only the emulator: during an upgrade it rejects deletes that the service accepts.",
    commands=2,
    profiles=UPSTASH,
    alone=True,
)
def test_a_delete_during_an_upgrade(emulator, rest, key):
    """During an upgrade, a delete is rejected like a write."""
    with emulator.fault("readonly"):
        assert rest.call("DEL", key) == error("READONLY ")
        assert rest.call("UNLINK", key) == error("READONLY ")
