"""Keeps worker processes of a queue alive: forks another one for each that is killed.

    python -m tests.outage.queue_forker '{"cache": …, "workers": 4, "log": …, "visibility": 1}'

Prints the process ID of each worker. When its standard input ends, it stops all workers as a
deployment does, and waits for them.
"""

from __future__ import annotations

import json
import logging
import os
import select
import signal
import sys
import time

import django
from django.conf import settings

QUEUE = "killed"


def configure(cache):
    default = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    settings.configure(
        SECRET_KEY="only-for-tests",
        CACHES={"default": default, "federation": cache},
        INSTALLED_APPS=["continuum_upstash"],
        CONTINUUM_STATS={"SHARED": False},
    )
    django.setup()
    logging.disable()


def make_handler(log):
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    pid = os.getpid()

    def run(job):
        """Record the start and the end of the attempt; each is one write."""
        number, fails = job.payload["number"], job.payload.get("fails", False)
        line = f"{time.time():.4f} {pid} {job.id} {job.attempts} {job.priority} {number}"
        os.write(descriptor, f"start {line}\n".encode())
        time.sleep(0.001)
        if fails:
            raise ValueError(f"number {number}")
        os.write(descriptor, f"end {line}\n".encode())

    return run


def work(task):
    from continuum_upstash.federation.worker.options import WorkerOptions  # noqa: PLC0415 needs settings
    from continuum_upstash.federation.worker.worker import Worker  # noqa: PLC0415 as above

    options = WorkerOptions(
        handlers={QUEUE: make_handler(task["log"])}, visibility=task["visibility"]
    )
    worker = Worker(options)
    signal.signal(signal.SIGTERM, lambda *_: setattr(worker, "is_stopping", True))
    worker.run()


def main(task):
    configure(task["cache"])
    from continuum_upstash.federation.worker import worker  # noqa: F401, PLC0415 imported before the forks

    alive = set()
    while not select.select([sys.stdin], [], [], 0.02)[0]:
        while len(alive) < task["workers"]:
            pid = os.fork()
            if not pid:
                try:
                    work(task)
                finally:
                    os._exit(0)
            alive.add(pid)
            sys.stdout.write(f"{pid}\n")
            sys.stdout.flush()
        alive -= reap()
    for pid in alive:
        os.kill(pid, signal.SIGTERM)
    kill_at = time.monotonic() + 10
    while alive:
        alive -= reap()
        if time.monotonic() > kill_at:
            for pid in alive:
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def reap():
    try:
        pid, _ = os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return set()
    return {pid} if pid else set()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
