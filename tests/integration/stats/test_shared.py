from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from time import monotonic, sleep

import pytest
from django.core.signals import request_finished, request_started

from continuum_upstash.backend import get_cache
from continuum_upstash.health.overview import read_overview
from continuum_upstash.observe import subscribe, unsubscribe
from continuum_upstash.stats.counters import read_process_totals
from continuum_upstash.stats.shared import reader, writer
from tests.conftest import SyncOrAsync
from tests.integration.cache_entries import make_entry
from tests.integration.stats.gunicorn_site import gunicorn, kill, use


@pytest.fixture(params=["rest", "tcp"])
def site(request, site, emulator, request_signals):
    """A process that handles requests, and shares its statistics after each."""
    site.CACHES = {"default": make_entry(emulator, request.param, KEY_PREFIX="shop")}
    return site


@pytest.fixture(autouse=True)
def started_request(shared_statistics):
    request_started.send(None)


def respond():
    """Do what Django does after each response."""
    request_finished.send(None)


@pytest.fixture
def api_cache(api, site, request):
    return SyncOrAsync(get_cache(), request.getfixturevalue("runner") if api == "async" else None)


def read_all_totals():
    """Return the totals of all processes."""
    now = datetime.now(UTC)
    begin = now - timedelta(hours=1)
    return reader.sum_buckets(get_cache().run(reader.read_minutes("default", begin, now)))


def test_the_count_equals_the_bill(api_cache, emulator):
    with emulator.count() as spent:
        api_cache.set("n", 1)
        api_cache.set_many({f"k{i}": i for i in range(20)}, 60)
        api_cache.get_many([f"k{i}" for i in range(30)])
        api_cache.incr("n")
        with pytest.raises(ValueError, match="not found"):
            api_cache.incr("missing")
        api_cache.get_or_set("made", lambda: 5)
        api_cache.delete_pattern("k*")
        api_cache.touch("n", 60)
        with get_cache().lock("report"):
            pass
        api_cache.clear()
        respond()
        api_cache.get("n")
        respond()
    counted = read_process_totals("default")
    assert counted.billed + counted.overhead == spent.billed
    assert counted.overhead > 0


@pytest.fixture
def trips():
    """The first command of each round trip."""
    found = []

    def observe(record):
        found.append(record.commands[0][0])

    subscribe(observe)
    yield found
    unsubscribe(observe)


def test_a_write_is_one_round_trip_per_interval_after_a_response(api_cache, trips, site):
    site.CONTINUUM_STATS = {"INTERVAL": 60, "SHARE": 1000}
    for _ in range(3):
        api_cache.get("k")
        api_cache.get("k")
        respond()
    assert trips == ["GET", "GET", "HSET", *["GET"] * 4]


def test_statistics_cost_at_most_their_share(site, emulator):
    site.CONTINUUM_STATS = {"INTERVAL": 0, "SHARE": 0.05}
    with emulator.count() as spent:
        for i in range(300):
            get_cache().get(f"k{i}")
            respond()
    assert 300 < spent.billed <= 300 * 1.05 + 5


def test_shared_statistics_can_be_switched_off(site, emulator):
    site.CONTINUUM_STATS = {"SHARED": False}
    writer.start()
    with emulator.count() as spent:
        for _ in range(50):
            get_cache().get("k")
            respond()
    assert spent.billed == 50


def test_shared_statistics_expire(site):
    get_cache().get("k")
    respond()
    keys = get_cache().client.keys("continuum:stats:*")
    assert len(keys) == 2
    assert all(get_cache().client.ttl(key) > 3600 for key in keys)


def test_a_refusal_stops_the_statistics_but_not_the_cache(emulator, site):
    options = {"TOKEN": emulator.read_only_token}
    site.CACHES = {"default": make_entry(emulator, KEY_PREFIX="shop", OPTIONS=options)}
    with emulator.count() as spent:
        for _ in range(20):
            assert get_cache().get("k") is None
            respond()
    assert spent.billed == 20
    assert read_process_totals("default").overhead == 0


def test_a_counter_that_is_a_text_does_not_affect_the_totals(api_cache, emulator):
    with emulator.count() as spent:
        api_cache.set("stats:cache_misses", "mine")
        for _ in range(10):
            api_cache.get("k")
            respond()
    own = read_process_totals("default")
    assert own.billed + own.overhead == spent.billed
    assert read_all_totals().misses == own.misses
    assert api_cache.get("stats:cache_misses") == "mine"


PROGRAM = """
import os, sys, time, django
from django.conf import settings
settings.configure(
    CACHES={"default": {"BACKEND": "continuum_upstash.backend.CacheBackend", "KEY_PREFIX": "shop"}},
    INSTALLED_APPS=["continuum_upstash"],
    CONTINUUM_STATS={"INTERVAL": 0, "SHARE": 1000},
    SECRET_KEY="s",
)
django.setup()
from django.core.cache import cache
cache.set("k", 1)
for _ in range(int(sys.argv[1])):
    cache.get("k")
cache.client.ping()
print("done", flush=True)
time.sleep(60)
"""


def test_the_totals_of_killed_processes_are_kept(emulator, site):
    environ = {
        **os.environ,
        "UPSTASH_REDIS_REST_URL": emulator.rest_url,
        "UPSTASH_REDIS_REST_TOKEN": emulator.token,
    }
    environ.pop("DJANGO_SETTINGS_MODULE", None)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(n)], env=environ, stdout=subprocess.PIPE, text=True
        )
        for n in (10, 20, 30, 40)
    ]
    try:
        for process in processes:
            assert process.stdout.readline() == "done\n"
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    found = read_all_totals()
    assert (found.hits, found.sets) == (100, 4)


def test_a_process_writes_its_last_totals_at_exit(emulator, site):
    environ = {
        **os.environ,
        "UPSTASH_REDIS_REST_URL": emulator.rest_url,
        "UPSTASH_REDIS_REST_TOKEN": emulator.token,
    }
    environ.pop("DJANGO_SETTINGS_MODULE", None)
    program = PROGRAM.replace("time.sleep(60)", "").replace('"INTERVAL": 0', '"INTERVAL": 60')
    subprocess.run([sys.executable, "-c", program, "10"], env=environ, check=True, timeout=30)
    found = read_all_totals()
    assert (found.hits, found.sets) == (10, 1)


def test_the_totals_of_gunicorn_workers_include_a_killed_one(tmp_path, emulator, site):
    site.CACHES = {"default": make_entry(emulator)}
    with gunicorn(tmp_path, emulator, INTERVAL=0, SHARE=1000) as port:
        workers, requests = use(port)
        until = monotonic() + 10  # the write follows the response
        while read_all_totals().hits < requests and monotonic() < until:
            sleep(0.01)
        kill(workers.pop())
    found = read_all_totals()
    assert (found.hits, found.sets) == (requests, requests)


def test_an_overview_reads_what_was_shared(api_cache):
    api_cache.set("k", 1)
    api_cache.get("k")
    api_cache.get("k")
    respond()
    overview = api_cache.run(read_overview(get_cache(), minutes=timedelta(hours=1)))
    assert overview.scope == "all processes"
    assert overview.recent.hits == 2
    assert overview.minutes.totals.as_dict() == overview.recent.as_dict()
