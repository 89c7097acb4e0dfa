"""Threads do not wait for each other's round trips, and no race returns a stale value."""

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
from continuum_upstash.transports.failover.failover_policy import FailoverPolicy
from continuum_upstash.transports.failover.transport import FailoverTransport
from continuum_upstash.transports.local.transport import LocalTransport
from tests.outage.history_checker import Operation, find_stale_reads
from tests.unit.transports.failover.failover_harness import CONFIG, refused
from tests.unit.transports.local.local_store import Store

THREADS = 16


class Together:
    """A primary that replies once all threads have called it."""

    name = "upstash-rest"

    def __init__(self):
        self.barrier = threading.Barrier(THREADS)

    def send(self, batch):
        self.barrier.wait(timeout=30)
        return [b"1"] * len(batch.commands)

    def close(self):
        """There is nothing to close."""


@pytest.mark.parametrize("dirty", [False, True])
def test_no_lock_is_held_over_a_round_trip(dirty):
    policy = FailoverPolicy(CONFIG, LocalTransport(CONFIG))
    failover = FailoverTransport(Together(), policy)
    if dirty:
        policy.dirty_keys.mark([f"k{number}" for number in range(THREADS)])
    with ThreadPoolExecutor(THREADS) as threads:
        batches = [Batch((("GET", f"k{number}"),)) for number in range(THREADS)]
        assert list(threads.map(failover.send, batches)) == [[b"1"]] * THREADS
    assert not policy.dirty_keys.has_pending


class Flaky:
    """A primary that fails at times, before or after it has run the batch."""

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
        raise DeadlineExceeded("no reply in time")


@pytest.fixture
def busy_switching():
    """Make threads switch far more often than usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_never_read_a_value_older_than_their_process_wrote(busy_switching):
    clock = (
        count()
    )  # each reading of the clock adds 0.1 s, so that the breaker's times pass quickly
    policy = FailoverPolicy(CONFIG, LocalTransport(CONFIG), lambda: next(clock) / 10, lambda: 0.0)
    failover = FailoverTransport(Flaky(), policy)
    values, history = count(1), []

    def work(seed):
        rng = random.Random(seed)
        for _ in range(600):
            key, value = rng.choice("abcd"), str(next(values))
            command = rng.choice(
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
    assert find_stale_reads(history) == []
    assert policy.status.local_replies > 0
    reads = [each for each in history if each.kind == "read"]
    assert len(reads) > 100, "without reads the test shows nothing"
