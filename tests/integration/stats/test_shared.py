from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from continuum_upstash.health.overview import Overseer
from continuum_upstash.plans.effects import Batch
from continuum_upstash.stats.counters import counters
from continuum_upstash.stats.shared import reader, writer
from continuum_upstash.stats.totals import total
from continuum_upstash.transports import registry
from tests.conftest import SyncOrAsync
from tests.integration.management.command_runs import cache, entry
from tests.integration.stats.gunicorn_site import gunicorn, use_and_kill


@pytest.fixture(params=["rest", "tcp"])
def site(request, emulator, settings):
    settings.CACHES = {"default": entry(emulator, request.param, KEY_PREFIX="shop")}
    settings.CONTINUUM_STATS = {"INTERVAL": 0, "SHARE": 1000}
    counters.forget()
    writer.shared.forget()
    writer.start()
    yield settings
    writer.stop()
    counters.forget()
    registry.reset()


@pytest.fixture
def called(api, site, request):
    return SyncOrAsync(cache(), request.getfixturevalue("runner") if api == "async" else None)


def of_all():
    """The shared sums, as an observer of another process finds them."""
    now = datetime.now(UTC)
    begin = now - timedelta(hours=1)
    return reader.summed(cache().run(reader.minutes("default", begin, now)))


def test_the_count_agrees_with_the_bill_to_the_command(called, emulator):
    with emulator.count() as spent:
        called.set("n", 1)
        called.set_many({f"k{i}": i for i in range(20)}, 60)
        called.get_many([f"k{i}" for i in range(30)])
        called.incr("n")
        with pytest.raises(ValueError, match="not found"):
            called.incr("missing")
        called.get_or_set("made", lambda: 5)
        called.delete_pattern("k*")
        called.touch("n", 60)
        with cache().lock("report"):
            pass
        called.clear()
    counted = total(counters.read("default"))
    assert counted.billed + counted.overhead == spent.billed
    assert counted.overhead > 0


def test_sharing_takes_no_round_trip_of_its_own(called, emulator):
    writer.stop()
    called.get("k")
    with emulator.count() as alone:
        for _ in range(5):
            called.get("k")
    writer.start()
    with emulator.count() as carrying:
        for _ in range(5):
            called.get("k")
    assert carrying.requests == alone.requests
    assert carrying.billed > alone.billed


def test_replies_are_those_of_the_caller_alone(called):
    called.set("k", "value")
    assert called.get("k") == "value"
    assert called.get_many(["k", "other"]) == {"k": "value"}
    assert called.delete("k") is True


def test_transactions_carry_nothing(site):
    cache().get("k")
    before = total(counters.read("default")).overhead
    cache().database.send(Batch([("SET", "a", b"1"), ("GET", "a")], atomic=True))
    assert total(counters.read("default")).overhead == before


def test_statistics_cost_no_more_than_their_share(site, emulator):
    site.CONTINUUM_STATS = {"INTERVAL": 0, "SHARE": 0.05}
    with emulator.count() as spent:
        for i in range(1000):
            cache().get(f"k{i}")
    assert 1000 < spent.billed <= 1055


def test_off_by_setting(site, emulator):
    site.CONTINUUM_STATS = {"SHARED": False}
    writer.start()
    with emulator.count() as spent:
        for _ in range(50):
            cache().get("k")
    assert spent.billed == 50


def test_sums_expire_by_themselves(site):
    cache().get("k")
    cache().get("k")
    keys = cache().client.keys("continuum:stats:*")
    assert len(keys) == 2
    assert all(cache().client.ttl(key) > 3600 for key in keys)


def test_a_refusal_silences_the_statistics_and_not_the_cache(emulator, site):
    options = {"TOKEN": emulator.read_only_token}
    site.CACHES = {"default": entry(emulator, KEY_PREFIX="shop", OPTIONS=options)}
    with emulator.count() as spent:
        assert [cache().get("k") for _ in range(20)] == [None] * 20
    assert spent.billed == 20
    assert total(counters.read("default")).overhead == 0


def test_a_counter_that_the_user_stored_as_text_leaves_the_sums_as_they_are(called, emulator):
    with emulator.count() as spent:
        called.set("stats:cache_misses", "mine")
        for _ in range(10):
            called.get("k")
    writer.stop()
    own = total(counters.read("default"))
    assert own.billed + own.overhead == spent.billed
    assert of_all().misses == own.misses - 1  # the last one carried the sums before it
    assert called.get("stats:cache_misses") == "mine"


def test_a_cut_connection_costs_a_read_nothing(emulator, site):
    cache().set("k", "value")
    with emulator.fault("reset", times=1):
        assert cache().get("k") == "value"
    assert cache().status.local_answers == 0


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


def test_sums_of_several_processes_survive_their_death(emulator, site):
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
    writer.stop()
    found = of_all()
    assert (found.hits, found.sets) == (100, 4)


def test_the_workers_of_gunicorn_agree_and_the_dead_one_counts(tmp_path, emulator, site):
    site.CACHES = {"default": entry(emulator)}
    writer.stop()
    with gunicorn(tmp_path, emulator, INTERVAL=0, SHARE=1000) as port:
        requests = use_and_kill(port)
    found = of_all()
    assert (found.hits, found.sets) == (requests, requests)


def test_an_overview_reads_what_was_shared(called):
    called.set("k", 1)
    called.get("k")
    called.get("k")
    overview = Overseer(cache()).overview(timedelta(hours=1), datetime.now(UTC))
    assert overview.scope == "all processes"
    assert overview.recent.hits == 2
    assert reader.summed(list(overview.points)).as_dict() == overview.recent.as_dict()
