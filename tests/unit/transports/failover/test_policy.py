"""What a call is answered while the database is well, fails and is left alone, and what is told."""

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
    from_reply,
)
from continuum_upstash.observe import subscribe, unsubscribe
from continuum_upstash.plans.keyvalue import INCR_EXISTING
from tests.unit.transports.failover.failover_harness import CONFIG, QUOTA, Bench, refused


@pytest.fixture
def records():
    told = []
    subscribe(told.append)
    yield told
    unsubscribe(told.append)


def test_a_healthy_database_answers_and_sees_nothing_but_the_batch(bench):
    assert bench.call("SET", "k", b"v") == b"OK"
    assert bench.call("GET", "k") == b"v"
    assert bench.remote.sent == [[("SET", "k", b"v")], [("GET", "k")]]
    assert bench.standby.backend == "upstash-rest"
    assert bench.standby.status().local_answers == 0


@pytest.mark.parametrize(
    ("command", "answer"),
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
def test_while_open_answers_are_typed_and_the_database_is_not_asked(bench, command, answer):
    bench.go_down()
    assert bench.call(*command) == answer
    assert bench.remote.sent == []
    assert bench.standby.backend == "local"


def test_what_is_written_while_open_is_read_while_open(bench):
    bench.go_down()
    bench.call("SET", "k", b"v")
    assert bench.call("SET", "k", b"w", "NX") is None
    assert bench.call("GET", "k") == b"v"


def test_one_failure_is_answered_for_at_once(bench):
    bench.call("SET", "k", b"old")
    bench.remote.script = [refused()]
    assert bench.call("SET", "k", b"new") == b"OK"
    assert bench.breaker.passes


@pytest.mark.parametrize("kind", [ConnectionFailed, DeadlineExceeded, Unavailable])
def test_three_failures_in_a_row_are_enough(bench, kind):
    for _ in range(3):
        bench.remote.script = [kind("nobody there")]
        assert bench.call("GET", "k") is None
    bench.call("GET", "k")
    assert len(bench.remote.sent) == 3


def test_a_success_in_between_starts_the_count_anew(bench):
    for fate in [refused(), refused(), None, refused(), refused()]:
        bench.remote.script = [fate]
        bench.call("GET", "k")
    assert bench.breaker.passes


def test_it_stays_away_for_as_long_as_it_is_asked_to(bench):
    for _ in range(3):
        bench.remote.script = [Unavailable("HTTP 429", retry_after=60)]
        bench.call("GET", "k")
    assert bench.breaker.until - bench.clock.now == 60


@pytest.mark.parametrize("kind", [AuthenticationFailed, QuotaExceeded])
def test_a_refusal_of_everything_is_enough_at_once(bench, kind):
    bench.remote.script = [kind("no")]
    assert bench.call("SET", "k", b"v") == b"OK"
    assert bench.call("GET", "k") == b"v"
    assert len(bench.remote.sent) == 1


def test_a_quota_error_in_a_replys_place_is_a_refusal_of_everything(bench):
    bench.remote.script = [[from_reply(QUOTA)]]
    assert bench.call("GET", "k") is None
    assert "max requests limit" in bench.standby.status().reason


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
def test_what_is_no_outage_stays_visible_and_never_opens(bench, error, in_place):
    for _ in range(5):
        bench.remote.script = [[error] if in_place else error]
        if in_place:
            assert bench.call("SET", "k", b"v") is error
        else:
            with pytest.raises(type(error)):
                bench.call("SET", "k", b"v")
    assert bench.breaker.passes
    assert len(bench.journal) == 0


def test_an_error_of_the_server_is_a_sign_of_life(bench):
    bench.remote.script = [refused(), refused(), ReplyError("ERR no"), refused(), refused()]
    bench.call("GET", "k")
    bench.call("GET", "k")
    with pytest.raises(ReplyError):
        bench.call("GET", "k")
    bench.call("GET", "k")
    bench.call("GET", "k")
    assert bench.breaker.passes


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
def test_what_only_the_database_knows_is_not_answered_locally(bench, command):
    bench.remote.script = [refused()]
    with pytest.raises(Unavailable, match="cannot connect"):
        bench.call(*command)
    bench.go_down()
    with pytest.raises(Unavailable, match="is not asked for 2 s more: cannot connect"):
        bench.call(*command)


@pytest.mark.parametrize("command", [("SET", "k", b"x" * 2_000), ("MSET", "k", b"x" * 2_000)])
def test_a_value_too_large_for_the_local_store_is_as_good_as_evicted(api, command):
    bench = Bench(api, replace(CONFIG, local_max_bytes=1_000))
    bench.go_down()
    bench.call("SET", "k", b"older")
    assert bench.call(*command) == b"OK"
    assert bench.call("GET", "k") is None


def test_what_must_be_shared_is_not_answered_locally(bench):
    bench.go_down()
    with pytest.raises(Unavailable):
        bench.call("SET", "lock", "token", "NX", needs_server=True)
    assert len(bench.journal) == 0


def test_without_fallback_the_first_error_is_raised_and_then_unavailable_at_once(strict):
    for _ in range(3):
        strict.remote.script = [refused()]
        with pytest.raises(Unavailable, match="cannot connect"):
            strict.call("SET", "k", b"v")
    with pytest.raises(Unavailable, match="is not asked"):
        strict.call("SET", "k", b"v")
    assert len(strict.remote.sent) == 3
    assert len(strict.journal) == 0
    assert strict.standby.backend == "upstash-rest"


def test_each_change_is_told_and_logged_once(bench, records, caplog):
    caplog.set_level("INFO", "continuum_upstash")
    bench.go_down()
    for _ in range(5):
        bench.call("GET", "k")
    bench.come_back()
    bench.call("GET", "k")
    changes = [record for record in records if hasattr(record, "old")]
    assert [(each.old, each.new, each.backend) for each in changes] == [
        ("closed", "open", "local"),
        ("open", "half_open", "local"),
        ("half_open", "closed", "upstash-rest"),
    ]
    assert [line.levelname for line in caplog.records] == ["WARNING", "INFO", "WARNING"]
    assert caplog.messages[0] == (
        "cache 'shop' (rest, db.upstash.io): closed -> open, local answers: "
        "cannot connect: Connection refused."
    )


def test_where_nothing_stands_in_the_log_names_nobody(strict, caplog):
    for _ in range(3):
        strict.remote.script.append(refused())
        with pytest.raises(ConnectionFailed):
            strict.call("GET", "k")
    assert "closed -> open, nobody answers: " in caplog.messages[0]


def test_records_name_who_really_answered(bench, records):
    bench.go_down()
    records.clear()
    bench.call("GET", "k")
    (record,) = records
    assert (record.alias, record.backend) == ("shop", "local")


def test_the_status_says_how_it_stands(bench):
    assert bench.standby.status().next_probe is None
    bench.go_down()
    bench.call("SET", "k", b"v")
    status = bench.standby.status()
    assert (status.backend, status.state, status.failures) == ("local", "open", 3)
    assert (status.reason, status.journal) == ("cannot connect: Connection refused.", 1)
    assert status.local_answers == 4
    assert status.next_probe - status.since == pytest.approx(2)


def test_a_request_that_many_waited_for_fails_once(bench):
    error = refused()
    for _ in range(10):
        bench.remote.script = [error]
        bench.call("GET", "k")
    assert bench.breaker.failures == 1


def test_an_error_that_was_counted_is_not_kept(bench):
    bench.remote.script = [refused()]
    bench.call("GET", "k")
    gc.collect()
    assert bench.standby._counted() is None


def test_forced_open_is_answered_locally_until_reset(bench):
    bench.breaker.force_open()
    bench.call("SET", "k", b"v")
    assert bench.remote.sent == []
    bench.breaker.reset()
    assert bench.call("GET", "k") is None
    assert bench.remote.sent == [[("UNLINK", "k")], [("GET", "k")]]


def test_disabled_asks_every_time_and_answers_for_each_failure(bench):
    bench.breaker.disable()
    for _ in range(5):
        bench.remote.script = [refused()]
        assert bench.call("GET", "k") is None
    assert len(bench.remote.sent) == 5
