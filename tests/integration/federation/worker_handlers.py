"""What worker processes run: each attempt is a line in a file."""

from __future__ import annotations

import os
import time

LOG = os.environ.get("WORKER_LOG", os.devnull)


def append(text):
    descriptor = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{text}\n".encode())  # one write: lines of processes do not mix
    os.close(descriptor)


def run(job):
    """Record the attempt; a payload may say how long it takes, or that it fails."""
    options = job.payload if isinstance(job.payload, dict) else {"number": job.payload}
    append(f"{time.monotonic_ns()} {os.getpid()} {job.id} {job.attempts} {options['number']}")
    time.sleep(options.get("seconds", 0))
    if options.get("fails"):
        raise ValueError(f"number {options['number']}")
