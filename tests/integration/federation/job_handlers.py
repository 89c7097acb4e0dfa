"""Handlers of the tests' workers, by dotted path."""

from __future__ import annotations

import asyncio
import threading

from django.core.cache import caches

done = []
may_end = threading.Event()


def record(job):
    done.append(job.payload)


async def arecord(job):
    await asyncio.sleep(0)
    done.append(job.payload)


def fail_always(job):
    raise ValueError(f"no {job.payload}\nat all")


def exit_always(job):
    raise SystemExit(job.payload)


def fail_at_once(job):
    job.fail("never again")


def wait(job):
    done.append(job.payload)
    assert may_end.wait(10)


def record_or_wait(job):
    done.append(job.payload)
    assert job.payload != "slow" or may_end.wait(10)


def read_value(job):
    done.append(caches["federation"].get(job.payload))


async def aread_value(job):
    done.append(await caches["federation"].aget(job.payload))


not_callable = 1
