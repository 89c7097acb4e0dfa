"""A copy while the application writes: the new cache never gets an outdated value."""

from __future__ import annotations

import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.cache import caches

from continuum_upstash.migration.conf import BACKEND
from tests.integration.cache_entries import BACKEND as OWN
from tests.integration.cache_entries import make_entry
from tests.integration.management.command_runs import run_command

KEYS = [f"k{i}" for i in range(40)]
# 20 copies find a missing check of the source in every second run, 300 in every run.
COPIES = 300 if os.environ.get("TEST_LENGTH") else 20
WRITERS = 2


@pytest.fixture(autouse=True, params=["shadow", "new_primary"])
def moving(site, emulator, valkey, request):
    options = {"OLD": "old", "NEW": "new", "PHASE": request.param}
    site.CACHES = {
        "default": {"BACKEND": BACKEND, "OPTIONS": options},
        "old": {"BACKEND": OWN, "LOCATION": valkey.url, "KEY_PREFIX": "old"},
        "new": make_entry(emulator, KEY_PREFIX="new"),
    }


def write_until(is_done, number):
    rng, count, cache = random.Random(number), 0, caches["default"]
    own = KEYS[number::WRITERS]  # two writers of one key could reach the caches in another order
    while not is_done.is_set():
        key = rng.choice(own)
        count += 1
        if rng.random() < 0.5:
            cache.delete(key)
        else:
            cache.set(key, f"{number}:{count}" * rng.choice([1, 100]), 100)
    return count


def test_a_copy_stores_no_value_that_was_replaced_or_deleted():
    is_done = threading.Event()
    with ThreadPoolExecutor(WRITERS) as pool:
        writers = [pool.submit(write_until, is_done, number) for number in range(WRITERS)]
        try:
            codes = [run_command("cache_migrate", "copy").code for _ in range(COPIES)]
        finally:
            is_done.set()
        assert sum(each.result() for each in writers) > COPIES
    assert codes == [0] * COPIES
    old, new = caches["old"].get_many(KEYS), caches["new"].get_many(KEYS)
    assert new.items() <= old.items()
