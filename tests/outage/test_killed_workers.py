"""Workers that are killed with SIGKILL at random, with faults of the database in between.

No job is lost. A job runs twice only if its first attempt was cut off by a kill, or a reply was
lost. Jobs of one priority are reserved in the order of the enqueues. Dead letters are complete.

TEST_LENGTH=30 makes it 8 workers and 105,000 jobs per transport. As a program, with other numbers:

    python -m tests.outage.test_killed_workers rest 100000
    python -m tests.outage.test_killed_workers tcp 20000 no-faults
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from contextlib import suppress
from random import Random

import pytest
from django.test import override_settings

from continuum_upstash.emulator.process import running
from continuum_upstash.errors import Unavailable
from continuum_upstash.federation import Queue
from continuum_upstash.transports import registry
from tests.integration.cache_entries import make_entry
from tests.outage.queue_forker import QUEUE
from tests.waiting import wait_until

LENGTH = int(os.environ.get("TEST_LENGTH", "0"))
FAULTS = ("reset", "close", "refuse", "hang")
# Seconds, with and without faults. Without, only a kill may be the reason for a second attempt.
VISIBILITY = {True: 0.6, False: 2.0}
FAILS_EVERY = 97
FLOOD = 2000  # jobs that wait at most: the emulator copies the queue for each script


def must_fail(number):
    return number % FAILS_EVERY == 0


class Run:
    """One run: producer, kills, faults, and what the workers have recorded."""

    def __init__(self, emulator, transport, jobs, workers, kills, faults, directory):
        self.emulator, self.transport, self.jobs = emulator, transport, jobs
        self.random, self.kinds = Random(1), faults
        self.log = directory / f"log-{transport}"
        self.kills_left, self.killed = kills, []
        self.faults, self.repeated, self.enqueued = [], set(), {}
        self.pids = []
        entry = make_entry(emulator, transport, OPTIONS={"READ_TIMEOUT": 0.5})
        self.settings = override_settings(CACHES={"default": entry, "federation": entry})
        task = {
            "cache": entry,
            "workers": workers,
            "log": str(self.log),
            "visibility": VISIBILITY[bool(faults)],
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.outage.queue_forker", json.dumps(task)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._reader = threading.Thread(target=self._read_pids)
        self._reader.start()

    def _read_pids(self):
        for line in self.process.stdout:
            self.pids.append(int(line))

    def stop(self):
        self.process.stdin.close()  # the forker stops its workers
        self.process.wait(30)
        self._reader.join()
        self.process.stdout.close()

    def run(self):
        queue = Queue(QUEUE)
        interval = self.jobs // (self.kills_left + 1)
        number = 0
        while number < self.jobs:
            chunk = range(number, min(self.jobs, number + min(interval, 500)))
            self._enqueue(queue, chunk)
            number = chunk.stop
            if self.kills_left and number >= interval * (len(self.killed) + 1):
                self._kill()
                self._break_for_a_moment()
            self._wait_for(queue, FLOOD)
        while self.kills_left:
            self._kill()
        self._wait_for(queue, 0)
        self.process.stdin.close()
        self.process.wait(30)
        return queue

    def _enqueue(self, queue, numbers):
        """Enqueue jobs of three priorities; repeat a call whose reply was lost."""
        groups = defaultdict(list)
        for number in numbers:
            groups[5 if number % 10 == 0 else 0, must_fail(number)].append(number)
        for (priority, fails), found in groups.items():
            attempts = 1 if fails else 1000
            payloads = [{"number": number, "fails": fails} for number in found]
            while True:
                try:
                    jobs = queue.enqueue_many(payloads, priority=priority, max_attempts=attempts)
                except Unavailable:
                    self.repeated.update(each["number"] for each in payloads)
                    time.sleep(0.05)
                else:
                    for job, payload in zip(jobs, payloads, strict=True):
                        self.enqueued[job.id] = payload["number"]
                    break

    def _kill(self):
        wait_until(lambda: len(self.pids) > len(self.killed) + 1)
        alive = [pid for pid in self.pids if pid not in self.killed]
        pid = self.random.choice(alive)
        os.kill(pid, signal.SIGKILL)
        self.killed.append(pid)
        self.kills_left -= 1

    def _break_for_a_moment(self):
        if not self.kinds:
            return
        kind = self.random.choice(self.kinds)
        self.faults.append((kind, time.time()))
        with self.emulator.fault(kind, side="both"):
            time.sleep(self.random.uniform(0.02, 0.1))

    def _wait_for(self, queue, jobs):
        def is_reached():
            with suppress(Unavailable):
                size = queue.size()
                return size.ready + size.waiting <= jobs
            return False

        wait_until(is_reached, seconds=120)

    def report(self, queue):
        starts, ends = [], Counter()
        for line in self.log.read_text().splitlines():
            kind, at, pid, job, attempts, priority, number = line.split()
            if kind == "start":
                starts.append((float(at), int(pid), job, int(attempts), int(priority)))
            else:
                ends[int(number)] += 1
        dead = []
        while len(page := queue.dead(1000, len(dead))) and not dead.extend(page):
            pass
        return {
            "jobs": self.jobs,
            "kills": len(self.killed),
            "faults": len(self.faults),
            "lost": sorted(self._find_lost(ends, dead)),
            "run twice": sum(count > 1 for count in ends.values()),
            "unexplained": self._find_unexplained(starts),
            "enqueued twice": len(self.repeated),
            "out of order": find_out_of_order(starts),
            "dead": len(dead),
            "reasons": dict(Counter(each.reason.partition(":")[0] for each in dead)),
        }

    def _find_lost(self, ends, dead):
        found = {each.payload["number"] for each in dead}
        for number in range(self.jobs):
            is_done = number in found if must_fail(number) else ends[number]
            if not is_done:
                yield number

    def _find_unexplained(self, starts):
        """Return the jobs that were repeated although nothing was killed or broken before."""
        first, found = {}, []
        killed = set(self.killed)
        broken = [at for _, at in self.faults]
        for at, pid, job, attempts, _ in sorted(starts):
            if attempts > 1 and job in first:
                before, worker = first[job]
                is_explained = worker in killed or any(
                    before - 1 <= fault <= at + 1 for fault in broken
                )
                if not is_explained and not must_fail(self.enqueued.get(job, 0)):
                    found.append(job)
            first[job] = (at, pid)
        return found


def find_out_of_order(starts):
    """Return first attempts that a worker began after one of a later job of the same priority."""
    latest, found = {}, []
    for _, pid, job, attempts, priority in starts:
        if attempts == 1:
            if job < latest.get((pid, priority), ""):
                found.append(job)
            latest[pid, priority] = job
    return found


def run(emulator, transport, jobs, workers, kills, faults, directory):
    logging.disable()
    try:
        one = Run(emulator, transport, jobs, workers, kills, faults, directory)
        with one.settings:
            try:
                queue = one.run()
                queue.database.database.failover.breaker.reset()
                return one.report(queue), queue.size()
            finally:
                one.stop()
                registry.reset()
    finally:
        logging.disable(logging.NOTSET)


CASES = {"rest with faults": ("rest", FAULTS), "tcp": ("tcp", ())}
if LENGTH:
    CASES |= {"rest": ("rest", ()), "tcp with faults": ("tcp", FAULTS)}


@pytest.mark.parametrize(("transport", "faults"), CASES.values(), ids=CASES)
def test_no_job_is_lost(emulator, transport, faults, tmp_path):
    jobs, workers, kills = 200, 2, 2
    if LENGTH:
        jobs, workers, kills = (3500 if faults else 300) * LENGTH, 8, 15 * LENGTH
    report, size = run(emulator, transport, jobs, workers, kills, faults, tmp_path)
    assert report["lost"] == report["unexplained"] == report["out of order"] == [], report
    assert report["kills"] == kills
    assert report["dead"] >= sum(map(must_fail, range(jobs)))
    assert set(report["reasons"]) <= {"ValueError", "lost"}
    assert size == (0, 0, report["dead"], False)


if __name__ == "__main__":
    from pathlib import Path
    from tempfile import TemporaryDirectory

    import django
    from django.conf import settings

    settings.configure(SECRET_KEY="only-for-tests", CACHES={})
    django.setup()
    with running() as started, TemporaryDirectory() as folder:
        total, faults = int(sys.argv[2]), () if "no-faults" in sys.argv else FAULTS
        began = time.monotonic()
        result, _ = run(started, sys.argv[1], total, 8, total // 200, faults, Path(folder))
        result["seconds"] = round(time.monotonic() - began, 1)
        sys.stdout.write(json.dumps(result, indent=2) + "\n")
