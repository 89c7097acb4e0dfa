"""Samples of the round trips: families, code paths and loops, bounded and shared."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from continuum_upstash.backend import get_cache
from continuum_upstash.checks.stats import check_statistics
from continuum_upstash.observe import CommandDetails
from continuum_upstash.stats import sampling
from continuum_upstash.stats.counters import read_process_totals
from continuum_upstash.stats.sampling import BATCHES, OTHER, Sampler, trim_samples
from continuum_upstash.stats.shared import reader
from continuum_upstash.stats.shared.schema import encode_totals
from tests.integration.management.command_runs import run_command

HERE = f"{__name__}.read_loop"


@pytest.fixture
def sampled(site, shared_statistics):
    """Examine every round trip."""
    del shared_statistics
    site.CONTINUUM_STATS |= {"SAMPLE": 1}
    sampling.start()
    yield site
    sampling.stop()


def read_samples():
    return read_process_totals("default").samples


def read_loop(count=10):
    for number in range(count):
        get_cache().get(f"query:{number}")


@pytest.mark.usefixtures("sampled")
def test_families_are_counted_with_hits_sizes_and_lifetimes():
    cache = get_cache()
    cache.set("query:1", "x" * 1000, 60)
    cache.set("query:2", "x", 120)
    cache.get_many(["query:1", "query:2", "query:3", "plain"])
    cache.get("memory:1")
    found = read_samples()
    assert (found["sets query:"], found["timed query:"], found["seconds query:"]) == (2, 2, 180)
    assert (found["reads query:"], found["hits query:"]) == (3, 2)
    assert 1000 < found["read_bytes query:"] == found["set_bytes query:"] < 1100
    assert (found["reads (no family)"], found["reads memory:"]) == (1, 1)
    assert "hits memory:" not in found


@pytest.mark.usefixtures("sampled")
def test_a_loop_is_counted_for_its_function():
    read_loop()
    found = read_samples()
    assert found[f"billed {HERE}"] == 10
    assert found[f"repeated_reads {HERE}"] == 9


@pytest.mark.usefixtures("sampled")
def test_calls_of_two_requests_are_no_loop(request_signals):
    for _ in range(5):
        request_signals.request_started.send(None)
        read_loop(1)
    assert f"repeated_reads {HERE}" not in read_samples()


@pytest.mark.usefixtures("sampled")
def test_an_async_loop_is_counted_and_concurrent_calls_are_not():
    cache = get_cache()

    async def set_all():
        for number in range(5):
            await cache.aset(f"query:{number}", number)

    async def read_each():
        await asyncio.gather(*(cache.aget(f"query:{number}") for number in range(5)))

    asyncio.run(set_all())
    asyncio.run(read_each())
    found = read_samples()
    assert not any(name.startswith("repeated_reads") for name in found)
    assert found["sets query:"] == 5


@pytest.mark.usefixtures("sampled")
def test_the_samples_are_shared_by_the_hour():
    read_loop(3)
    (hours, minutes) = (
        get_cache().client.redis.hgetall(name)
        for name in sorted(get_cache().client.redis.keys("continuum:stats:*"), key=len)
    )
    assert any("samples" in json.loads(each) for each in hours.values())
    assert not any("samples" in json.loads(each) for each in minutes.values())


@pytest.mark.usefixtures("sampled")
def test_cache_cost_reports_the_samples():
    read_loop(30)
    (found,) = run_command("cache_cost", "--format", "json").json["caches"]
    assert found["report"]["sampled"] > 20
    assert "Savings" not in run_command("cache_cost", "--savings").out
    (stats,) = run_command("cache_stats", "--format", "json").json["caches"]
    assert "samples" not in stats["recent"]


@pytest.mark.usefixtures("site", "new_process_state")
def test_nothing_is_sampled_by_default():
    sampling.start()
    read_loop(3)
    assert read_samples() == {}
    assert "samples" not in json.loads(encode_totals(read_process_totals("default")))


def record(*commands, replies=None, alias="plain", backend="upstash-rest"):
    replies = [None] * len(commands) if replies is None else replies
    return CommandDetails(alias, backend, commands, replies, 0.001, None)


def make_sampler(**arguments):
    return Sampler(draw=lambda: 0.0, **arguments)


def test_names_are_bounded_and_reserved_keys_have_no_names():
    sampler = make_sampler()
    for number in range(100):
        sampler.observe(record(("GET", f"user{number}:x")))
    sampler.observe(record(("GET", "continuum:session:abc")))
    sampler.observe(record(("GET", f"{'y' * 500}:x")))
    found = sampler.read("plain")
    assert len(found) < 60
    assert found[f"reads {OTHER}"] == 100 + 2 - 32
    assert not any("abc" in name or "continuum" in name for name in found)


def test_the_local_store_and_failed_round_trips_are_not_sampled():
    sampler = make_sampler()
    sampler.observe(record(("GET", "a:1"), backend="local"))
    sampler.observe(record(("GET", "a:1"))._replace(error=OSError()))
    assert sampler.read("plain") == {}


@pytest.mark.parametrize("command", [("SET", "a:1", b"1", "EX"), ("SET", "a:1", 5, "EX", "x")])
def test_a_malformed_command_of_a_plain_client_is_counted(command):
    sampler = make_sampler()
    sampler.observe(record(command, replies=[b"OK"]))
    assert sampler.read("plain")["sets a:"] == 1
    assert "timed a:" not in sampler.read("plain")


def test_one_round_trip_of_so_many_is_examined(settings):
    settings.CONTINUUM_STATS = {"SAMPLE": 50}
    sampler = Sampler()
    for _ in range(10_000):
        sampler.observe(record(("GET", "a:1")))
    assert 120 < sampler.read("plain")[BATCHES] < 300  # 200 on average


def test_threads_may_sample_at_the_same_time():
    sampler = make_sampler()

    def run():
        for _ in range(500):
            sampler.observe(record(("GET", "a:1")))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sampler.read("plain")["reads a:"] == sampler.read("plain")[BATCHES]


def test_the_sum_of_a_month_keeps_the_most_frequent_names():
    samples = {BATCHES: 5} | {f"reads f{n}:": n for n in range(100)}
    samples |= {f"hits f{n}:": n for n in range(100)} | {f"billed p{n}": n for n in range(100)}
    kept = trim_samples(samples)
    assert len(kept) == 1 + 3 * 32
    assert {"reads f99:", "hits f99:", "billed p99", BATCHES} <= kept.keys()


def test_the_hours_of_several_processes_add_up(sampled):
    del sampled
    read_loop(4)
    cache = get_cache()
    now = datetime.now(UTC)
    hours = cache.run(reader.read_hours("default", now - timedelta(hours=1), now))
    assert reader.sum_buckets(hours).samples["reads query:"] >= 3


def hash_keys(key, prefix, version):
    return f"{prefix}:{version}:{hash(key)}"


def fail_for_numbers(key, prefix, version):
    raise ValueError(key)


@pytest.mark.parametrize("function", [hash_keys, fail_for_numbers])
def test_keys_that_a_key_function_hides_have_no_family(function, site):
    site.CACHES["hidden"] = site.CACHES["default"] | {"KEY_FUNCTION": function}
    sampler = make_sampler()
    for number in range(3):
        with contextlib.suppress(ValueError):
            sampler.observe(record(("GET", f"shop:1:{number}"), alias="hidden"))
    assert sampler.read("hidden")[f"reads {OTHER}"] >= 2


@pytest.mark.parametrize("value", ["100", True, -5, 2.5, None])
def test_an_invalid_interval_samples_nothing_and_is_reported(value, site):
    site.CONTINUUM_STATS = {"SAMPLE": value}
    sampling.start()
    read_loop(3)
    assert read_samples() == {}
    (found,) = check_statistics()
    assert "SAMPLE" in found.msg
