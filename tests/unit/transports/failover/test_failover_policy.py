"""What a call returns before, during and after an outage, and what is logged and recorded."""

from __future__ import annotations

import gc

import pytest

from continuum_upstash import observe
from continuum_upstash.errors import (
    AuthenticationFailed,
    CapacityExceeded,
    ConnectionFailed,
    DeadlineExceeded,
    QuotaExceeded,
    ReplyError,
    RequestTooLarge,
    Unavailable,
)
from continuum_upstash.observe import subscribe, unsubscribe
from continuum_upstash.plans.counters import INCR_EXISTING
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.service_errors import make_reply_error
from tests.unit.transports.failover.failover_harness import CONFIG, QUOTA, FailoverHarness, refused


@pytest.fixture
def records():
    received = []
    subscribe(received.append)
    yield received
    unsubscribe(received.append)


def test_a_healthy_database_receives_the_batch_and_nothing_else(harness):
    assert harness.call("SET", "k", b"v") == b"OK"
    assert harness.call("GET", "k") == b"v"
    assert harness.remote.sent == [[("SET", "k", b"v")], [("GET", "k")]]
    assert harness.policy.backend == "upstash-rest"
    assert harness.policy.status.local_replies == 0


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        (("GET", "k"), None),
        (("MGET", "k", "l"), [None, None]),
        (("SET", "k", b"v"), b"OK"),
        (("SET", "k", b"v", "NX"), b"OK"),
        (("SET", "k", b"v", "PX", 1000, "XX"), None),
        (("MSET", "k", b"v", "l", b"w"), b"OK"),
        (("DEL", "k"), 0),
        (("UNLINK", "k", "l"), 0),
        (("EXISTS", "k"), 0),
        (("INCRBY", "k", 2), 2),
        (("EVAL", INCR_EXISTING, 1, "k", 2), None),
        (("PEXPIRE", "k", 1000), 0),
    ],
)
def test_while_open_the_local_store_replies_and_nothing_is_sent(harness, command, reply):
    harness.start_outage()
    assert harness.call(*command) == reply
    assert harness.remote.sent == []
    assert harness.policy.backend == "local"


def test_a_value_written_while_open_is_read_while_open(harness):
    harness.start_outage()
    harness.call("SET", "k", b"v")
    assert harness.call("SET", "k", b"w", "NX") is None
    assert harness.call("GET", "k") == b"v"


def test_the_first_failure_already_fails_over(harness):
    harness.call("SET", "k", b"old")
    harness.remote.outcomes = [refused()]
    assert harness.call("SET", "k", b"new") == b"OK"
    assert harness.breaker.is_passing


@pytest.mark.parametrize("kind", [ConnectionFailed, DeadlineExceeded, Unavailable])
def test_three_consecutive_failures_open_the_breaker(harness, kind):
    for _ in range(3):
        harness.remote.outcomes = [kind("connection refused")]
        assert harness.call("GET", "k") is None
    harness.call("GET", "k")
    assert len(harness.remote.sent) == 3


def test_a_success_resets_the_count_of_failures(harness):
    for outcome in [refused(), refused(), None, refused(), refused()]:
        harness.remote.outcomes = [outcome]
        harness.call("GET", "k")
    assert harness.breaker.is_passing


def test_retry_after_extends_the_backoff(harness):
    for _ in range(3):
        harness.remote.outcomes = [Unavailable("HTTP 429", retry_after=60)]
        harness.call("GET", "k")
    assert harness.breaker.retry_at - harness.clock.now == 60


@pytest.mark.parametrize("kind", [AuthenticationFailed, QuotaExceeded])
def test_one_refusal_of_all_commands_opens_the_breaker(harness, kind):
    harness.remote.outcomes = [kind("no")]
    assert harness.call("SET", "k", b"v") == b"OK"
    assert harness.call("GET", "k") == b"v"
    assert len(harness.remote.sent) == 1


def test_a_quota_error_among_the_replies_opens_the_breaker(harness):
    harness.remote.outcomes = [[make_reply_error(QUOTA)]]
    assert harness.call("GET", "k") is None
    assert "max requests limit" in harness.policy.status.reason


@pytest.mark.parametrize(
    "error",
    [
        ReplyError("WRONGTYPE Operation against a key"),
        CapacityExceeded("OOM"),
        RequestTooLarge("ERR max request size exceeded"),
    ],
)
@pytest.mark.parametrize("in_place", [True, False])
def test_an_error_that_is_no_outage_is_raised_and_never_opens_the_breaker(harness, error, in_place):
    for _ in range(5):
        harness.remote.outcomes = [[error] if in_place else error]
        if in_place:
            assert harness.call("SET", "k", b"v") is error
        else:
            with pytest.raises(type(error)):
                harness.call("SET", "k", b"v")
    assert harness.breaker.is_passing
    assert len(harness.dirty_keys) == 0


READONLY = "READONLY Writes are temporarily rejected due to server upgrade"


@pytest.mark.parametrize("in_place", [True, False])
def test_a_refused_write_is_served_locally_and_reads_continue(
    harness, in_place, caplog, monkeypatch
):
    monkeypatch.setattr(observe, "_logged_at", {})
    harness.remote.send(Batch((("SET", "other", b"remote"),)))
    error = make_reply_error(READONLY)
    harness.remote.outcomes = [[error] if in_place else error, [error], [error]]
    assert harness.call("SET", "k", b"new") == b"OK"
    assert harness.call("GET", "k") == b"new", "the UNLINK of the dirty key is refused"
    assert harness.call("GET", "other") == b"remote"
    assert harness.breaker.is_passing
    status = harness.policy.status
    assert (status.writes, status.backend, status.dirty_keys) == ("read_only", "upstash-rest", 1)
    assert [line for line in caplog.messages if "accepts no writes for now: READONLY" in line]
    assert harness.call("GET", "k") is None, "unlinked as soon as the server accepts it"
    assert harness.policy.status.dirty_keys == 0


def test_other_keys_are_read_from_the_server_while_it_refuses_to_unlink(harness):
    harness.remote.send(Batch((("SET", "other", b"remote"),)))
    error = make_reply_error(READONLY)
    harness.remote.outcomes = [[error], [error]]
    harness.call("SET", "k", b"new")
    assert harness.call("GET", "other") == b"remote"
    assert harness.call("GET", "other") == b"remote"
    unlinks = [sent for sent in harness.remote.sent if sent[0][0] == "UNLINK"]
    assert len(unlinks) == 1, "not with each batch"


def test_a_batch_with_a_refused_write_is_served_locally_as_a_whole(harness):
    harness.remote.outcomes = [[b"OK", make_reply_error(READONLY)]]
    assert harness.send(("SET", "a", b"1"), ("SET", "b", b"2")) == [b"OK", b"OK"]
    assert ("a" in harness.dirty_keys, "b" in harness.dirty_keys) == (True, True)


@pytest.mark.parametrize("options", [{"needs_server": True}, {}])
def test_a_refused_write_that_only_the_server_can_run_keeps_its_error(harness, options):
    error = make_reply_error(READONLY)
    harness.remote.outcomes = [[error]]
    command = ("SET", "k", b"v") if options else ("LPUSH", "k", b"v")
    assert harness.call(*command, **options) is error
    assert harness.policy.status.writes == "read_only"


def test_a_full_database_that_refuses_deletes_too_is_as_good_as_read_only(harness):
    full = make_reply_error("ERR DB capacity quota exceeded")
    harness.remote.outcomes = [[full], [full]]
    assert harness.call("SET", "k", b"v") is full
    assert harness.call("DEL", "k") == 0
    assert "k" in harness.dirty_keys
    assert harness.policy.status.writes == "full"


def test_the_status_shows_a_refused_write_for_a_minute(harness):
    harness.remote.outcomes = [[make_reply_error("OOM command not allowed")]]
    assert harness.policy.status.writes == "accepted"
    harness.call("SET", "k", b"v", needs_server=True)
    harness.clock.now += 59
    assert harness.policy.status.writes == "full"
    harness.clock.now += 1
    assert harness.policy.status.writes == "accepted"


@pytest.mark.parametrize("text", ["LOADING Redis is loading", "DB connection refused", QUOTA])
@pytest.mark.parametrize("position", [0, 1])
def test_an_outage_among_the_replies_is_an_outage_of_the_batch(harness, text, position):
    replies = [b"OK", b"OK"]
    replies[position] = make_reply_error(text)
    harness.remote.outcomes = [replies]
    assert harness.send(("SET", "a", b"1"), ("SET", "b", b"2")) == [b"OK", b"OK"]
    status = harness.policy.status
    assert (status.failures, status.local_replies, status.dirty_keys) == (1, 1, 2)


WRONG_REPLIES = [
    (("GET", "k"), 1),
    (("GET", "k"), [b"v"]),
    (("SET", "k", b"v"), 1),
    (("SET", "k", b"v"), []),
    (("DEL", "k"), b"1"),
    (("DEL", "k"), None),
    (("EXISTS", "k"), b"x"),
    (("PEXPIRE", "k", 5), None),
    (("MGET", "k", "l"), b"v"),
    (("MGET", "k", "l"), [b"v"]),
    (("MGET", "k", "l"), [b"v", 1]),
    (("MSET", "k", b"v"), None),
    (("EVAL", INCR_EXISTING, 1, "k", 1), [1]),
    (("EVAL", INCR_EXISTING, 1, "k", 1), b"one"),
]


@pytest.mark.parametrize(
    ("command", "reply"), WRONG_REPLIES, ids=[f"{c[0]} {r}" for c, r in WRONG_REPLIES]
)
def test_a_reply_that_cannot_be_the_commands_is_an_outage(harness, command, reply):
    expected = harness.policy.local.send(Batch((command,)))
    harness.policy.local.clear()
    harness.remote.outcomes = [[reply], [reply]]
    with pytest.raises(Unavailable, match=f"unexpected reply: {command[0]}"):
        harness.send(command, needs_server=True)
    assert harness.send(command) == expected
    assert harness.policy.status.failures == 2


@pytest.mark.parametrize("replies", [[], [b"OK", b"OK", b"OK"], [b"OK"]])
def test_another_number_of_replies_is_an_outage(harness, replies):
    harness.remote.outcomes = [replies]
    assert harness.send(("SET", "a", b"1"), ("SET", "b", b"2"), atomic=True) == [b"OK", b"OK"]
    assert harness.policy.status.failures == 1


def test_a_probe_with_a_wrong_reply_fails(harness):
    harness.start_outage()
    harness.end_outage()
    harness.remote.outcomes = [[7]]
    assert harness.call("GET", "k") is None
    assert not harness.breaker.is_passing


def test_an_error_of_a_command_resets_the_count_of_failures(harness):
    harness.remote.outcomes = [refused(), refused(), ReplyError("ERR no"), refused(), refused()]
    harness.call("GET", "k")
    harness.call("GET", "k")
    with pytest.raises(ReplyError):
        harness.call("GET", "k")
    harness.call("GET", "k")
    harness.call("GET", "k")
    assert harness.breaker.is_passing


@pytest.mark.parametrize(
    "command",
    [
        ("SCAN", "0"),
        ("DBSIZE",),
        ("INFO",),
        ("FLUSHDB",),
        ("XADD", "stream", "*", "field", b"value"),
        ("EVAL", "return 1", 0),
    ],
)
def test_a_command_that_needs_the_server_is_not_served_locally(harness, command):
    harness.remote.outcomes = [refused()]
    with pytest.raises(Unavailable, match="cannot connect"):
        harness.call(*command)
    harness.start_outage()
    with pytest.raises(
        Unavailable, match="circuit breaker open, next attempt in 2 s: cannot connect"
    ):
        harness.call(*command)


@pytest.mark.parametrize("command", [("SET", "k", b"x" * 2_000), ("MSET", "k", b"x" * 2_000)])
def test_a_value_that_exceeds_the_local_store_counts_as_stored_and_evicted(api, command):
    harness = FailoverHarness(api, CONFIG.replace(local_max_bytes=1_000))
    harness.start_outage()
    harness.call("SET", "k", b"older")
    assert harness.call(*command) == b"OK"
    assert harness.call("GET", "k") is None


def test_a_batch_that_needs_the_server_is_not_served_locally(harness):
    harness.start_outage()
    with pytest.raises(Unavailable):
        harness.call("SET", "lock", "token", "NX", needs_server=True)
    assert len(harness.dirty_keys) == 0


def test_without_fallback_errors_are_raised_and_then_calls_fail_fast(without_fallback):
    for _ in range(3):
        without_fallback.remote.outcomes = [refused()]
        with pytest.raises(Unavailable, match="cannot connect"):
            without_fallback.call("SET", "k", b"v")
    with pytest.raises(Unavailable, match="circuit breaker open"):
        without_fallback.call("SET", "k", b"v")
    assert len(without_fallback.remote.sent) == 3
    assert len(without_fallback.dirty_keys) == 0
    assert without_fallback.policy.backend == "upstash-rest"


def test_each_change_of_state_is_recorded_and_logged_once(harness, records, caplog):
    caplog.set_level("INFO", "continuum_upstash")
    harness.start_outage()
    for _ in range(5):
        harness.call("GET", "k")
    harness.end_outage()
    harness.call("GET", "k")
    changes = [record for record in records if hasattr(record, "old")]
    assert [(each.old, each.new, each.backend) for each in changes] == [
        ("closed", "open", "local"),
        ("open", "half_open", "local"),
        ("half_open", "closed", "upstash-rest"),
    ]
    assert [line.levelname for line in caplog.records] == ["WARNING", "INFO", "WARNING"]
    assert caplog.messages[0] == (
        "cache 'shop' (rest, db.upstash.io): circuit breaker closed -> open; "
        "serving cache calls from the local fallback: cannot connect: Connection refused."
    )


def test_without_fallback_the_log_says_that_calls_fail_fast(without_fallback, caplog):
    for _ in range(3):
        without_fallback.remote.outcomes.append(refused())
        with pytest.raises(ConnectionFailed):
            without_fallback.call("GET", "k")
    assert "circuit breaker closed -> open; failing fast: " in caplog.messages[0]


def test_records_name_the_backend_that_replied(harness, records):
    harness.start_outage()
    records.clear()
    harness.call("GET", "k")
    (record,) = records
    assert (record.alias, record.backend) == ("shop", "local")


def test_the_status_describes_an_outage(harness):
    assert harness.policy.status.next_probe is None
    harness.start_outage()
    harness.call("SET", "k", b"v")
    status = harness.policy.status
    assert (status.backend, status.state, status.failures) == ("local", "open", 3)
    assert (status.reason, status.dirty_keys) == ("cannot connect: Connection refused.", 1)
    assert status.local_replies == 4
    assert status.next_probe - status.since == pytest.approx(2)


def test_an_error_shared_by_coalesced_batches_counts_once(harness):
    error = refused()
    for _ in range(10):
        harness.remote.outcomes = [error]
        harness.call("GET", "k")
    assert harness.breaker.failures == 1


def test_a_counted_error_is_not_kept_in_memory(harness):
    harness.remote.outcomes = [refused()]
    harness.call("GET", "k")
    gc.collect()
    assert harness.policy._last_counted_error() is None


def test_forced_open_serves_locally_until_reset(harness):
    harness.breaker.force_open()
    harness.call("SET", "k", b"v")
    assert harness.remote.sent == []
    harness.breaker.reset()
    assert harness.call("GET", "k") is None
    assert harness.remote.sent == [[("UNLINK", "k")], [("GET", "k")]]


def test_disabled_sends_every_call_and_each_failure_fails_over(harness):
    harness.breaker.disable()
    for _ in range(5):
        harness.remote.outcomes = [refused()]
        assert harness.call("GET", "k") is None
    assert len(harness.remote.sent) == 5
