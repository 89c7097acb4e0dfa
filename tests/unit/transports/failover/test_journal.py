"""What the database has yet to forget: noted, unlinked, bounded."""

from __future__ import annotations

import sys

import pytest

from continuum_upstash.errors import ReplyError
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.failover.journal import Journal
from tests.unit.plans.drive import drive
from tests.unit.transports.failover.failover_harness import Clock
from tests.unit.transports.local.local_store import Store

LEASE = 6.0


class Bench:
    def __init__(self, most=10):
        self.clock = Clock()
        self.forgotten = []
        self.owed = []
        self.journal = Journal(LEASE, self._forget, self.clock, most)

    def _forget(self, keys):
        self.owed.append(self.journal.owes and all(key in self.journal for key in keys or ()))
        self.forgotten.append(None if keys is None else sorted(keys))

    def unlink_for(self, *replies, batch=(("GET", "nothing"),)):
        _, sent = drive(self.journal.unlink_for(Batch(batch)), *replies)
        return sent


@pytest.fixture
def bench():
    return Bench()


def get(*keys):
    return tuple(("GET", key) for key in keys)


def test_an_empty_journal_owes_nothing_and_asks_nothing(bench):
    assert not bench.journal.owes
    assert bench.unlink_for() == []


def test_a_calls_own_keys_are_unlinked_and_dropped_locally(bench):
    bench.journal.note(["a", "b", "c"])
    bench.journal._may_carry()  # somebody else carries the rest
    assert bench.unlink_for([2], batch=get("a", "x", "c")) == [[("UNLINK", "a", "c")]]
    assert bench.forgotten == [["a", "c"]]
    assert ("b" in bench.journal, "a" in bench.journal, len(bench.journal)) == (True, False, 1)


def test_a_key_is_owed_until_its_local_copy_is_gone(bench):
    """Else somebody might change it in the database, and read the old copy in the next outage."""
    bench.journal.note(["a", "b"])
    bench.unlink_for([2])
    bench.journal.note(f"key{number}" for number in range(11))
    bench.unlink_for([[b"0", []]])
    assert bench.forgotten == [["a", "b"], None]
    assert bench.owed == [True, True]
    assert not bench.journal.owes


def test_one_call_at_a_time_carries_some_of_the_others(bench):
    bench.journal.note(["a", "b"])
    first = bench.journal.unlink_for(Batch(get("x")))
    assert next(first).commands == (("UNLINK", "a", "b"),)
    assert bench.unlink_for(batch=get("y")) == [], "the second caller does not wait for the first"
    with pytest.raises(StopIteration):
        first.send([2])
    assert not bench.journal.owes


def test_who_loses_its_way_while_carrying_is_replaced_after_the_lease(bench):
    bench.journal.note(["a"])
    lost = bench.journal.unlink_for(Batch(get("x")))
    next(lost)
    assert bench.unlink_for() == []
    bench.clock.now += LEASE
    assert bench.unlink_for([1]) == [[("UNLINK", "a")]]


def test_who_fails_while_carrying_is_replaced_at_once(bench):
    bench.journal.note(["a"])
    with pytest.raises(ReplyError):
        bench.unlink_for([ReplyError("READONLY")])
    assert bench.journal.owes
    assert bench.unlink_for([1]) == [[("UNLINK", "a")]]


def test_a_key_that_is_changed_again_during_its_unlink_stays(bench):
    bench.journal.note(["a", "b"])
    plan = bench.journal.unlink_for(Batch(get("a")))
    next(plan)
    bench.journal.note(["a"])
    with pytest.raises(StopIteration):
        plan.send([2])
    assert ("a" in bench.journal, "b" in bench.journal) == (True, False)
    assert bench.forgotten == [["b"]]


def test_it_empties_by_and_by_whoever_calls():
    bench = Bench(most=10_000)
    bench.journal.note([f"k{number}" for number in range(2_500)])
    sizes = []
    while bench.journal.owes:
        ((command,),) = bench.unlink_for([0])
        sizes.append(len(command) - 1)
    assert sizes == [1_000, 1_000, 500]


def test_too_many_keys_become_heads_and_every_key_is_still_in_it(bench):
    keys = [f"shop:1:user{number}" for number in range(1_000)]
    bench.journal.note(keys)
    assert len(bench.journal) <= 10 + 5
    assert all(key in bench.journal for key in keys)
    assert "session:1" not in bench.journal
    assert "shop:1:cart" not in bench.journal


@pytest.mark.parametrize(
    "keys",
    [
        [chr(0x4E00 + number) for number in range(50)],
        [f"{'x' * number}" for number in range(1, 60)],
        [f"{number:060}" for number in range(60)],
    ],
    ids=["nothing in common", "each the beginning of the next", "late differences"],
)
def test_no_key_is_lost_however_keys_look(bench, keys):
    for key in keys:
        bench.journal.note([key])
    assert all(key in bench.journal for key in keys)
    assert "session:1" not in bench.journal


@pytest.mark.parametrize("beginning", ["shop:1:item", "shop[1]*?\\"])
def test_a_sweep_unlinks_what_begins_with_a_head_and_nothing_else(bench, beginning):
    remote = Store(local_max_entries=10_000)
    ours = [f"{beginning}{number}" for number in range(2_500)]
    others = [f"other{number}" for number in range(1_500)]
    for key in [*others, *ours, "session:1"]:
        remote.call("SET", key, b"v")
    bench.journal.note(ours)

    rounds = 0
    while bench.journal.owes:
        plan = bench.journal.unlink_for(Batch(get("x")))
        rounds += 1
        assert rounds < 100, "it gets nowhere"
        try:
            batch = next(plan)
            while True:
                batch = plan.send(remote.send(batch))
        except StopIteration:
            pass
    assert rounds >= 3, "a page for each call, so that nobody waits for all of it"
    assert remote.call("DBSIZE") == 1_501
    assert bench.forgotten[-1] is None, "the local copies are gone, too"
    assert bench.journal._head_length == sys.maxsize


def test_a_key_under_a_head_is_unlinked_each_time_until_the_sweep_is_done(bench):
    bench.journal.note([f"item{number}" for number in range(100)])
    bench.journal._may_carry()
    for _ in range(2):
        assert bench.unlink_for([1], batch=get("item1")) == [[("UNLINK", "item1")]]
    assert bench.forgotten == [["item1"], ["item1"]]


def test_more_heads_during_a_sweep_start_it_anew(bench):
    bench.journal.note([f"item{number}" for number in range(100)])
    plan = bench.journal.unlink_for(Batch(get("x")))
    batch = next(plan)
    while batch.commands[0][0] != "SCAN":
        batch = plan.send([1])
    bench.journal.note([f"item{number}" for number in range(1_000, 1_100)])
    with pytest.raises(StopIteration):
        plan.send([[b"0", []]])
    assert bench.journal.owes
    assert "item5" in bench.journal


def test_it_does_not_grow_with_the_number_of_keys():
    journal = Journal(LEASE, lambda keys: None, most=100)
    for start in range(0, 100_000, 100):
        journal.note([f"shop:1:{number}" for number in range(start, start + 100)])
        assert len(journal) <= 150


@pytest.mark.parametrize("haste", [{"needs_server": True}, {"deadline_s": 0.25}])
def test_a_batch_in_a_hurry_carries_nothing(bench, haste):
    bench.journal.note(["a"])
    assert drive(bench.journal.unlink_for(Batch(get("x"), **haste)))[1] == []
    assert bench.journal.owes
