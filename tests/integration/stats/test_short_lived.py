"""Processes that end within seconds, with the default settings of the statistics."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from continuum_upstash.backend import get_cache
from continuum_upstash.stats.shared import reader
from tests.integration.cache_entries import make_entry

PROGRAM = """
import asyncio, multiprocessing, os, sys, django
from django.conf import settings
from django.core.signals import request_finished, request_started
settings.configure(
    CACHES={"default": {"BACKEND": "continuum_upstash.backend.CacheBackend"}},
    INSTALLED_APPS=["continuum_upstash"],
    SECRET_KEY="s",
)
django.setup()
from django.core.cache import cache
from continuum_upstash.stats.shared import writer

# On a busy machine the reads take longer than this second. A write between them would leave too
# few commands for the end, where these are written by chance.
writer._RECHECK_SECONDS = 10.0

def read():
    for _ in range(120):
        cache.get("k")

async def aread():
    for _ in range(120):
        await cache.aget("k")

"""
# The program and its exit status.
ENDS = {
    "command": ("read(); sys.exit(3)", 3),
    "loop": ("asyncio.run(aread()); raise ValueError", 1),
    "child": (
        "child = multiprocessing.Process(target=read); child.start(); child.join()",
        0,
    ),
    # A frozen environment of AWS Lambda is killed later: exit hooks do not run.
    "invocation": (
        "request_started.send(None); read(); request_finished.send(None); os._exit(0)",
        0,
    ),
}


@pytest.mark.parametrize(("end", "code"), ENDS.values(), ids=ENDS)
def test_the_last_counts_of_a_process_are_written(end, code, emulator, site):
    site.CACHES = {"default": make_entry(emulator)}
    environ = {
        **os.environ,
        "UPSTASH_REDIS_REST_URL": emulator.rest_url,
        "UPSTASH_REDIS_REST_TOKEN": emulator.token,
    }
    environ.pop("DJANGO_SETTINGS_MODULE", None)
    program = [sys.executable, "-c", PROGRAM + end]
    ended = subprocess.run(program, env=environ, check=False, timeout=30, capture_output=True)
    now = datetime.now(UTC)
    hours = get_cache().run(reader.read_hours("default", now - timedelta(hours=1), now))
    assert (ended.returncode, reader.sum_buckets(hours).misses) == (code, 120)
