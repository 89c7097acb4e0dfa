"""Threads: nobody waits for another's round trip, and no race brings a stale value back."""

from __future__ import annotations

import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count

import pytest

from continuum_upstash.errors import DeadlineExceeded
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.failover.policy import Standby
from continuum_upstash.transports.failover.transport import Failover
from continuum_upstash.transports.local.transport import Local
from tests.outage.history_checker import Operation, stale_reads
from tests.unit.transports.failover.failover_harness import CONFIG, refused
from tests.unit.transports.local.local_store import Store

THREADS = 16


class Together:
    """A primary that answers when as many callers are in it as there are threads."""

    name = "upstash-rest"

    def __init__(self):
        self.barrier = threading.Barrier(THREADS)

    def send(self, batch):
        self.barrier.wait(timeout=30)
        return [1] * len(batch.commands)

    def close(self):
        """There is nothing to close."""


@pytest.mark.parametrize("owing", [False, True])
def test_no_lock_is_held_over_a_round_trip(owing):
    standby = Standby(CONFIG, Local(CONFIG))
    failover = Failover(Together(), standby)
    if owing:
        standby.journal.note([f"k{number}" for number in range(THREADS)])
    with ThreadPoolExecutor(THREADS) as threads:
        batches = [Batch((("GET", f"k{number}"),)) for number in range(THREADS)]
        assert list(threads.map(failover.send, batches)) == [[1]] * THREADS
    assert not standby.journal.owes


class Flaky:
    """A primary that fails now and then, for a while, before or after it ran the batch."""

    name = "upstash-rest"

    def __init__(self):
        self.store = Store()
        self._calls = count()
        self._random = random.Random(7)

    def send(self, batch):
        time.sleep(0)  # another thread may run here, as it does during a round trip
        if next(self._calls) // 300 % 3 != 1 or self._random.random() < 0.3:
            replies = self.store.send(batch)
            time.sleep(0)
            return replies
        if self._random.random() < 0.5:
            raise refused()
        self.store.send(batch)
        raise DeadlineExceeded("too late")


@pytest.fixture
def busy_switching():
    """Have threads switch far more often than they would."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_never_read_what_was_older_than_their_process_wrote(busy_switching):
    clock = count()  # a breaker that lives fast: a second passes with each look at the clock
    standby = Standby(CONFIG, Local(CONFIG), lambda: next(clock) / 10, lambda: 0.0)
    failover = Failover(Flaky(), standby)
    values, history = count(1), []

    def work(seed):
        chance = random.Random(seed)
        for _ in range(600):
            key, value = chance.choice("abcd"), str(next(values))
            command = chance.choice(
                [("GET", key), ("GET", key), ("SET", key, value.encode()), ("DEL", key)]
            )
            began = time.monotonic()
            (reply,) = failover.send(Batch((command,)))
            ended = time.monotonic()
            if command[0] != "GET":
                written = value if command[0] == "SET" else None
                history.append(Operation(0, "write", key, written, began, ended))
            elif reply is not None:
                history.append(Operation(0, "read", key, reply.decode(), began, ended))

    with ThreadPoolExecutor(THREADS) as threads:
        list(threads.map(work, range(THREADS)))
    assert stale_reads(history) == []
    assert standby.status().local_answers > 0
    reads = [each for each in history if each.kind == "read"]
    assert len(reads) > 100, "it was no failover if nobody read anything"
