"""Waits for worker processes instead of a fixed time, which is too short on a busy machine."""

from __future__ import annotations

import os
import time
from pathlib import Path

_REST_SECONDS = 0.7  # until the worker handles signals, and runs a task


def announce_worker():
    Path(f"ready-{os.getpid()}").touch()


def wait_for_workers(processes):
    deadline = time.monotonic() + 30
    for process in processes:
        while process.poll() is None and not Path(f"ready-{process.pid}").exists():
            assert time.monotonic() < deadline, "a worker did not start"
            time.sleep(0.01)
    time.sleep(_REST_SECONDS)
