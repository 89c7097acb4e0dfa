"""Dirty keys: marked, unlinked, bounded."""

from __future__ import annotations

import sys
from time import perf_counter

import pytest

from continuum_upstash.errors import ReplyError
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.failover.dirty_keys import (
    MAX_CHARACTERS,
    MAX_PREFIX,
    DirtyKeys,
)
from continuum_upstash.transports.service_errors import make_reply_error
from tests.unit.fake_clock import FakeClock
from tests.unit.plan_runner import run_plan
from tests.unit.transports.local.local_store import Store

SWEEP_TIMEOUT = 6.0


class DirtyKeysHarness:
    """Dirty keys and what they removed from the local store; None means all keys."""

    def __init__(self, max_keys=10):
        self.clock = FakeClock()
        self.dropped = []
        self.dirty_when_dropped = []
        self.dirty_keys = DirtyKeys(SWEEP_TIMEOUT, self._drop_local, self.clock, max_keys)

    def _drop_local(self, keys):
        self.dirty_when_dropped.append(
            self.dirty_keys.has_pending and all(key in self.dirty_keys for key in keys or ())
        )
        self.dropped.append(None if keys is None else sorted(keys))

    def flush_for(self, *replies, batch=(("GET", "nothing"),)):
        _, sent = run_plan(self.dirty_keys.flush_for(Batch(batch)), *replies)
        return sent


@pytest.fixture
def harness():
    return DirtyKeysHarness()


def get(*keys):
    return tuple(("GET", key) for key in keys)


def test_without_dirty_keys_nothing_is_sent(harness):
    assert not harness.dirty_keys.has_pending
    assert harness.flush_for() == []


def test_a_batchs_own_keys_are_unlinked_and_dropped_locally(harness):
    harness.dirty_keys.mark(["a", "b", "c"])
    harness.dirty_keys._claim_sweep()  # another caller sweeps the rest
    assert harness.flush_for([2], batch=get("a", "x", "c")) == [[("UNLINK", "a", "c")]]
    assert harness.dropped == [["a", "c"]]
    assert ("b" in harness.dirty_keys, "a" in harness.dirty_keys, len(harness.dirty_keys)) == (
        True,
        False,
        1,
    )


def test_a_key_is_dirty_until_its_local_copy_is_dropped(harness):
    """Otherwise the next outage would return the old copy, which another process has replaced."""
    harness.dirty_keys.mark(["a", "b"])
    harness.flush_for([2])
    harness.dirty_keys.mark(f"key{number}" for number in range(11))
    harness.flush_for([[b"0", []]])
    assert harness.dropped == [["a", "b"], None]
    assert harness.dirty_when_dropped == [True, True]
    assert not harness.dirty_keys.has_pending


def test_one_call_at_a_time_unlinks_other_calls_keys(harness):
    harness.dirty_keys.mark(["a", "b"])
    first = harness.dirty_keys.flush_for(Batch(get("x")))
    assert next(first).commands == (("UNLINK", "a", "b"),)
    assert harness.flush_for(batch=get("y")) == [], "the second caller does not wait for the first"
    with pytest.raises(StopIteration):
        first.send([2])
    assert not harness.dirty_keys.has_pending


def test_a_lost_sweep_is_replaced_after_the_sweep_timeout(harness):
    harness.dirty_keys.mark(["a"])
    lost = harness.dirty_keys.flush_for(Batch(get("x")))
    next(lost)
    assert harness.flush_for() == []
    harness.clock.now += SWEEP_TIMEOUT
    assert harness.flush_for([1]) == [[("UNLINK", "a")]]


def test_a_failed_sweep_is_replaced_at_once(harness):
    harness.dirty_keys.mark(["a"])
    with pytest.raises(ReplyError):
        harness.flush_for([make_reply_error("LOADING Redis is loading")])
    assert harness.dirty_keys.has_pending
    assert harness.flush_for([1]) == [[("UNLINK", "a")]]


def test_a_server_that_refuses_deletes_stops_the_sweep_but_no_other_batch(harness):
    harness.dirty_keys.mark(["a"])
    assert harness.flush_for([make_reply_error("READONLY")]) == [[("UNLINK", "a")]]
    assert "a" in harness.dirty_keys
    assert harness.flush_for() == [], "not with each batch"
    with pytest.raises(ReplyError):
        harness.flush_for([make_reply_error("READONLY")], batch=get("a"))
    harness.clock.now += SWEEP_TIMEOUT
    assert harness.flush_for([1]) == [[("UNLINK", "a")]]


def test_a_key_marked_again_during_its_unlink_stays_dirty(harness):
    harness.dirty_keys.mark(["a", "b"])
    plan = harness.dirty_keys.flush_for(Batch(get("a")))
    next(plan)
    harness.dirty_keys.mark(["a"])
    with pytest.raises(StopIteration):
        plan.send([2])
    assert ("a" in harness.dirty_keys, "b" in harness.dirty_keys) == (True, False)
    assert harness.dropped == [["b"]]


def test_any_calls_empty_the_set_in_batches():
    harness = DirtyKeysHarness(max_keys=10_000)
    harness.dirty_keys.mark([f"k{number}" for number in range(2_500)])
    sizes = []
    while harness.dirty_keys.has_pending:
        ((command,),) = harness.flush_for([0])
        sizes.append(len(command) - 1)
    assert sizes == [1_000, 1_000, 500]


def test_too_many_keys_become_prefixes_and_every_key_is_still_dirty(harness):
    keys = [f"shop:1:user{number}" for number in range(1_000)]
    harness.dirty_keys.mark(keys)
    assert len(harness.dirty_keys) <= 10 + 5
    assert all(key in harness.dirty_keys for key in keys)
    assert "session:1" not in harness.dirty_keys
    assert "shop:1:cart" not in harness.dirty_keys


@pytest.mark.parametrize(
    "keys",
    [
        [chr(0x4E00 + number) for number in range(50)],
        [f"{'x' * number}" for number in range(1, 60)],
        [f"{number:060}" for number in range(60)],
    ],
    ids=["nothing in common", "each a prefix of the next", "late differences"],
)
def test_no_key_is_lost_however_keys_look(harness, keys):
    for key in keys:
        harness.dirty_keys.mark([key])
    assert all(key in harness.dirty_keys for key in keys)
    assert "session:1" not in harness.dirty_keys


@pytest.mark.parametrize("prefix", ["shop:1:item", "shop[1]*?\\"])
def test_a_sweep_unlinks_the_keys_with_a_dirty_prefix_and_no_others(harness, prefix):
    remote = Store(local_max_entries=10_000)
    ours = [f"{prefix}{number}" for number in range(2_500)]
    others = [f"other{number}" for number in range(1_500)]
    for key in [*others, *ours, "session:1"]:
        remote.call("SET", key, b"v")
    harness.dirty_keys.mark(ours)

    rounds = 0
    while harness.dirty_keys.has_pending:
        plan = harness.dirty_keys.flush_for(Batch(get("x")))
        rounds += 1
        assert rounds < 100, "the sweep does not end"
        try:
            batch = next(plan)
            while True:
                batch = plan.send(remote.send(batch))
        except StopIteration:
            pass
    assert rounds >= 3, "each call sweeps one page, so no call waits for all pages"
    assert remote.count_keys() == 1_501
    assert harness.dropped[-1] is None, "the local copies are dropped, too"
    assert harness.dirty_keys._prefix_length == sys.maxsize


def test_a_key_with_a_dirty_prefix_is_unlinked_each_time_until_the_sweep_ends(harness):
    harness.dirty_keys.mark([f"item{number}" for number in range(100)])
    harness.dirty_keys._claim_sweep()
    for _ in range(2):
        assert harness.flush_for([1], batch=get("item1")) == [[("UNLINK", "item1")]]
    assert harness.dropped == [["item1"], ["item1"]]


def test_new_prefixes_during_a_sweep_restart_it(harness):
    harness.dirty_keys.mark([f"item{number}" for number in range(100)])
    plan = harness.dirty_keys.flush_for(Batch(get("x")))
    batch = next(plan)
    while batch.commands[0][0] != "SCAN":
        batch = plan.send([1])
    harness.dirty_keys.mark([f"item{number}" for number in range(1_000, 1_100)])
    with pytest.raises(StopIteration):
        plan.send([[b"0", []]])
    assert harness.dirty_keys.has_pending
    assert "item5" in harness.dirty_keys


def test_the_size_does_not_grow_with_the_number_of_keys():
    dirty_keys = DirtyKeys(SWEEP_TIMEOUT, lambda keys: None, max_keys=100)
    for start in range(0, 100_000, 100):
        dirty_keys.mark([f"shop:1:{number}" for number in range(start, start + 100)])
        assert len(dirty_keys) <= 150


def test_a_batch_that_needs_the_server_unlinks_no_other_keys(harness):
    harness.dirty_keys.mark(["a"])
    assert run_plan(harness.dirty_keys.flush_for(Batch(get("x"), needs_server=True)))[1] == []
    assert harness.dirty_keys.has_pending


def test_long_keys_are_bounded_in_size_and_not_only_in_number():
    dirty_keys = DirtyKeys(SWEEP_TIMEOUT, lambda keys: None)
    keys = [f"{number}:" + "x" * 100_000 for number in range(400)]
    started = perf_counter()
    for key in keys:
        dirty_keys.mark([key])
    assert perf_counter() - started < 1
    assert all(key in dirty_keys for key in keys)
    stored = sum(map(len, [*dirty_keys._versions, *dirty_keys._prefixes]))
    assert stored <= MAX_CHARACTERS + 400 * MAX_PREFIX


def test_unlinked_keys_free_their_size(harness):
    for _ in range(3):
        harness.dirty_keys.mark(["a", "bc"])
        harness.dirty_keys.mark(["a"])
        assert harness.dirty_keys._characters == 3
        harness.flush_for([2], batch=get("a", "bc"))
        assert harness.dirty_keys._characters == 0
