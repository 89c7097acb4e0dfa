"""What a call returns before, during and after an outage, and what is logged and recorded."""

from __future__ import annotations

import gc
from dataclasses import replace

import pytest

from continuum_upstash.errors import (
    AuthenticationFailed,
    CapacityExceeded,
    ConnectionFailed,
    DeadlineExceeded,
    NotPermitted,
    QuotaExceeded,
    ReadOnlyReplica,
    ReplyError,
    RequestTooLarge,
    Unavailable,
)
from continuum_upstash.observe import subscribe, unsubscribe
from continuum_upstash.plans.keyvalue import INCR_EXISTING
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
        NotPermitted("NOPERM"),
        RequestTooLarge("ERR max request size exceeded"),
        ReadOnlyReplica("READONLY"),
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
    harness = FailoverHarness(api, replace(CONFIG, local_max_bytes=1_000))
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
        "serving from the local fallback: cannot connect: Connection refused."
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
