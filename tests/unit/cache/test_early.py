"""The exact commands of get_or_set with stampede protection."""

from __future__ import annotations

import math

import pytest

from continuum_upstash.cache import early
from continuum_upstash.codec.envelope import Envelope, pack_envelope
from continuum_upstash.errors import CapacityExceeded, ConnectionFailed
from tests.unit.cache.protected_call import (
    KEY,
    LEASE,
    NEW,
    NOW,
    OLD,
    TAG,
    TOKEN,
    Call,
    make_value,
)
from tests.unit.plan_runner import codec


def test_a_hit_is_one_command_for_value_lease_and_tags():
    call = Call()
    value = make_value(tokens={"p:a": TOKEN})
    assert call.run([[value, None, TOKEN]], early=True, grace=60, tags=("p:a",)) == "old"
    assert call.sent == [("MGET", KEY, LEASE, TAG)]


def test_a_hit_with_tags_only_reads_no_lease():
    call = Call()
    value = pack_envelope(Envelope(OLD, tokens={"p:a": TOKEN}))
    assert call.run([[value, TOKEN]], tags=("p:a",)) == "old"
    assert call.sent == [("MGET", KEY, TAG)]


def test_a_value_that_another_call_stored_without_an_envelope_is_a_hit():
    call = Call()
    assert call.run([[OLD, None]], early=True, grace=60) == "old"


def test_a_cold_miss_takes_the_lease_computes_stores_and_releases():
    call = Call()
    assert call.run([[None, None]], [b"OK"], [b"OK"], [1], early=True, grace=60) == "new"
    assert call.names == ["MGET", "SET lease", "SET value", "DELEX lease"]
    lease = call.sent[1]
    assert lease[3:] == ("PX", 30_000, "NX")
    assert call.sent[3] == ("DELEX", LEASE, "IFEQ", lease[2])
    envelope, options = call.stored
    assert envelope == Envelope(NEW, NOW + 2002 + 60_000, 2000, {})
    assert options == ("PX", 120_000, "NX")


def test_a_lease_is_released_by_a_script_where_delex_is_not_supported():
    call = Call(supported=False)
    assert call.run([[None, None]], [b"OK"], [b"OK"], [1], wait=5) == "new"
    assert [command[0] for command in call.sent] == ["MGET", "SET", "SET", "EVAL"]


def test_with_wait_only_the_value_is_stored_without_an_envelope():
    call = Call()
    assert call.run([[None, None]], [b"OK"], [b"OK"], [1], wait=2) == "new"
    assert call.sent[2] == ("SET", KEY, NEW, "PX", 60_000, "NX")


def test_a_lifetime_is_up_to_ten_percent_shorter():
    call = Call(rng=1 - 2**-53)
    call.run([[None, None]], [b"OK"], [b"OK"], [1], wait=2)
    assert call.sent[2][3:] == ("PX", 54_000, "NX")


def test_a_value_without_expiry_needs_no_envelope():
    call = Call()
    call.run([[None, None]], [b"OK"], [b"OK"], [1], early=True, grace=60, ttl_ms=None)
    assert call.sent[2] == ("SET", KEY, NEW, "NX")


def test_an_early_value_without_grace_is_kept_until_a_refresh_has_ended():
    call = Call()
    call.run([[None, None]], [b"OK"], [b"OK"], [1], early=True)
    assert call.stored[1] == ("PX", 64_000, "NX")


def test_a_caller_without_a_value_waits_for_the_one_that_computes(protected_results):
    call = Call(rng=0.5)
    waiting = [[[None, b"lease"]]] * 3
    assert call.run(*waiting, [[make_value(), None]], wait=5) == "old"
    assert call.slept == [0.05, 0.1, 0.2]
    assert call.names == ["MGET"] * 4
    assert call.computed == 0
    assert protected_results == ["waited"]


def test_a_caller_that_loses_the_lease_waits():
    call = Call(rng=0.5)
    assert call.run([[None, None]], [None], [[make_value(), None]], grace=60) == "old"
    assert call.names == ["MGET", "SET lease", "MGET"]
    assert call.slept == [0.05]


def test_a_caller_that_has_waited_long_enough_computes_without_the_lease():
    call = Call(rng=0.5)
    waiting = [[[None, b"lease"]]] * 4
    assert call.run(*waiting, [b"OK"], wait=0.3) == "new"
    assert call.slept == pytest.approx([0.05, 0.1, 0.15])
    assert call.names == ["MGET"] * 4 + ["SET value"]


def test_wait_0_never_waits():
    call = Call()
    assert call.run([[None, b"lease"]], [b"OK"], wait=0) == "new"
    assert call.slept == []


def test_a_caller_that_waits_looks_once_a_second_at_least():
    call = Call(rng=0.5)
    waiting = [[[None, b"lease"]]] * 9
    call.run(*waiting, [[make_value(), None]], wait=60)
    assert call.slept == [0.05, 0.1, 0.2, 0.4, 0.8, 1, 1, 1, 1]


def test_a_waiting_caller_takes_the_lease_of_one_that_has_failed():
    call = Call()
    found = [[None, b"lease"]], [[None, None]]
    assert call.run(*found, [b"OK"], [b"OK"], [1], grace=60) == "new"
    assert call.names == ["MGET", "MGET", "SET lease", "SET value", "DELEX lease"]


def test_a_slow_caller_reads_the_value_again_before_it_computes():
    call = Call(seconds_per_batch=0.2)
    value = make_value(content=NEW)
    assert call.run([[None, None]], [b"OK"], [[value, None]], [1], grace=60) == "new"
    assert call.names == ["MGET", "SET lease", "MGET", "DELEX lease"]
    assert call.computed == 0


def test_an_old_value_is_refreshed_by_one_caller():
    call = Call()
    assert call.run([[make_value(-1), None]], [b"OK"], [b"OK"], [1], grace=60) == "new"
    assert call.names == ["MGET", "SET lease", "SET value", "DELEX lease"]
    envelope, options = call.stored
    assert envelope.fresh_until_ms == NOW + 2002 + 60_000
    assert options == ("PX", 120_000, "XX")  # a delete during the refresh is not undone


def test_the_others_get_the_old_value_at_once(protected_results):
    call = Call()
    assert call.run([[make_value(-1), b"lease"]], grace=60) == "old"
    assert call.names == ["MGET"]
    assert call.slept == []
    assert protected_results == ["stale"]


def test_a_caller_that_begins_a_refresh_at_the_same_time_gets_the_old_value(protected_results):
    call = Call()
    assert call.run([[make_value(-1), None]], [None], grace=60) == "old"
    assert call.names == ["MGET", "SET lease"]
    assert protected_results == ["stale"]


def test_callers_of_the_process_that_refreshes_do_not_try():
    call = Call()
    call.computations.refreshes.add(KEY)
    assert call.run([[make_value(-1), None]], grace=60) == "old"
    assert call.names == ["MGET"]


@pytest.mark.parametrize("value", [None, make_value(-1)])
def test_the_lease_of_a_computation_that_was_cancelled_is_replaced(value):
    call = Call()
    lease = f"{call.computations.process}1".encode()
    assert call.run([[value, lease]], [b"OK"], [b"OK"], [1], grace=60) == "new"
    assert call.names == ["MGET", "SET lease", "SET value", "DELEX lease"]
    assert call.sent[1][3:] == ("PX", 30_000)
    assert call.sent[1][2].startswith(call.computations.process)
    assert not call.computations.tokens


def test_the_lease_of_a_computation_of_this_process_is_respected():
    call = Call(rng=0.5)
    token = f"{call.computations.process}1"
    call.computations.tokens.add(token)
    found = [[None, token.encode()]], [[make_value(), None]]
    assert call.run(*found, grace=60) == "old"
    assert call.slept == [0.05]


def test_a_caller_does_not_join_one_that_may_use_an_older_value():
    call = Call()
    call.shared = early._Found(Envelope(OLD, NOW - 1000), True, False, {}, 0.0)
    assert call.run([[make_value(-1), None]], [b"OK"], [b"OK"], [1], wait=1) == "new"
    call = Call()
    call.shared = early._Found(Envelope(OLD, NOW - 1000), True, True, {}, 0.0)
    assert call.run(grace=60) == "old"


def test_a_refresh_that_ended_is_forgotten():
    call = Call()
    call.run([[make_value(-1), None]], [b"OK"], [b"OK"], [1], grace=60)
    assert not call.computations.refreshes
    assert not call.computations.tokens


def test_a_value_after_its_grace_is_missing():
    call = Call()
    found = [[make_value(-61), None]]
    assert call.run(found, [b"OK"], [b"OK"], [1], grace=60) == "new"
    assert call.stored[1] == ("PX", 120_000)


@pytest.mark.parametrize(
    ("rng", "beta", "fresh_for", "is_refreshed"),
    [
        (0, True, 0.01, False),  # ln(1) = 0: at its time, not before
        (1 - math.exp(-1), True, 0.9, True),  # 1 second of computing, times -ln(1/e)
        (1 - math.exp(-1), True, 1.1, False),
        (1 - math.exp(-1), 2, 1.9, True),
        (1 - math.exp(-1), 0.5, 0.9, False),
        (1 - math.exp(-20), True, 19, True),
    ],
)
def test_an_early_refresh_is_likelier_near_the_end_and_for_costly_values(
    rng, beta, fresh_for, is_refreshed, protected_results
):
    call = Call(rng=rng)
    value = make_value(fresh_for, compute_ms=1000)
    replies = [[b"OK"], [b"OK"], [1]] if is_refreshed else []
    assert call.run([[value, None]], *replies, early=beta) == ("new" if is_refreshed else "old")
    assert protected_results == (["early"] if is_refreshed else [])


def test_a_failed_refresh_returns_the_old_value_and_keeps_the_lease_for_ten_seconds(
    protected_results, caplog
):
    call = Call()
    value = [[make_value(-1), None]]
    assert call.run(value, [b"OK"], [1], default=OSError("x"), grace=60) == "old"
    assert call.names == ["MGET", "SET lease", "SET lease"]
    assert call.sent[2][2:] == ("failed", "PX", 10_000, "XX")
    assert protected_results == ["stale"]
    assert "the old value is returned: OSError" in caplog.text
    assert not call.computations.refreshes
    assert not call.computations.tokens


@pytest.mark.parametrize(("grace", "fresh_for", "pause"), [(4, -0.5, 1498), (9, 0.1, 7098)])
def test_a_failed_refresh_is_tried_again_while_there_is_an_old_value(grace, fresh_for, pause):
    call = Call(rng=1 - 2**-53)
    value = [[make_value(fresh_for), None]]
    call.run(value, [b"OK"], [1], default=OSError("x"), grace=grace, early=True)
    assert call.sent[2][4] == pause


def test_the_lease_of_a_failed_refresh_delays_no_caller_after_the_value_is_deleted():
    call = Call()
    assert call.run([[None, b"failed"]], [1], [b"OK"], [b"OK"], [1], grace=60) == "new"
    assert call.slept == []
    assert call.names == ["MGET", "DELEX lease", "SET lease", "SET value", "DELEX lease"]
    assert call.sent[1] == ("DELEX", LEASE, "IFEQ", "failed")  # not another caller's new lease
    assert call.sent[2][-1] == "NX"  # of several callers that read it, one computes


def test_without_an_old_value_the_error_is_raised_and_the_lease_released():
    call = Call()
    with pytest.raises(OSError, match="x"):
        call.run([[None, None]], [b"OK"], [1], default=OSError("x"), grace=60)
    assert call.names == ["MGET", "SET lease", "DELEX lease"]


def test_the_old_value_is_returned_if_the_database_fails_before_the_new_one_is_stored():
    call = Call()
    down = ConnectionFailed("down")
    assert call.run([[make_value(-1), None]], down, down, down, grace=60) == "old"
    assert call.names == ["MGET", "SET lease", "SET value", "SET lease"]


def test_a_database_that_stores_no_lease_does_not_prevent_the_computation():
    call = Call()
    full = CapacityExceeded("ERR DB capacity quota exceeded")
    assert call.run([[None, None]], [full], [full], [0], grace=60) == "new"
    assert call.names == ["MGET", "SET lease", "SET value", "DELEX lease"]


def test_a_value_that_cannot_be_stored_is_deleted_if_it_replaces_another():
    call = Call()
    call.keyvalue._max_value_bytes = 3
    found = [[make_value(-1), None]]
    assert call.run(found, [b"OK"], [1], [1], grace=60) == "new"
    assert call.sent[2] == ("UNLINK", KEY)


def test_a_value_that_was_set_meanwhile_is_returned():
    call = Call()
    theirs = [[codec.encode("theirs"), b"lease"]]
    assert call.run([[None, None]], [b"OK"], [None], theirs, [1], grace=60) == "theirs"


def test_an_undecodable_value_is_replaced():
    call = Call()
    broken = [[b"\x04broken", None]]
    assert call.run(broken, [b"OK"], [b"OK"], [1], grace=60) == "new"
    assert call.stored[1] == ("PX", 120_000)
    call = Call()
    broken = [[make_value(content=b"\xc1"), None]]
    assert call.run(broken, [b"OK"], [b"OK"], [1], grace=60) == "new"
