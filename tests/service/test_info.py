"""INFO: what the panel, the health report, sessions and cache_doctor read."""

from __future__ import annotations

from typing import Any

from continuum_upstash.plans.info import parse
from tests.service.catalogue import OVER_TCP, assume
from tests.service.expectations import between, matching, one_of


def read_info(call: Any) -> dict[str, Any]:
    reply = call("INFO")
    assert isinstance(reply, str), reply
    return parse(reply)


@assume(
    "INFO-001",
    seen_in="redis/RedisInsight (provider detection), keepselvesreal/Xai_Community",
    affects="A server that is Upstash's is not recognized behind a host name of its own.",
    commands=0,
    profiles=OVER_TCP,
)
def test_the_version_of_upstash(call, record_property):
    """INFO has the field upstash_version."""
    info = read_info(call)
    record_property("observed", f"{info.get('upstash_version')} (Redis {info.get('version')})")
    assert info.get("upstash_version", "") == matching(r"\d+\.\d+")


@assume(
    "INFO-002",
    documented="redis/commands/server/info",
    affects="cache_doctor and the panel: the version is empty.",
    commands=0,
)
def test_the_version_of_redis(call):
    """INFO has the field redis_version."""
    assert read_info(call)["version"] == matching(r"\d+\.\d+")


@assume(
    "INFO-003",
    seen_in="taskforcesh/bullmq (its warning on Upstash: optimistic-volatile)",
    affects="Sessions on a database that evicts are not refused; the check and the panel err.",
    commands=0,
    profiles=OVER_TCP,
)
def test_the_eviction_policy(call):
    """INFO has maxmemory_policy: `noeviction`, or `optimistic-volatile` if eviction is on."""
    assert read_info(call)["maxmemory_policy"] == one_of("noeviction", "optimistic-volatile")


@assume(
    "INFO-004",
    seen_in="keepselvesreal/Xai_Community (a recorded response)",
    affects="Nothing warns before the database is full.",
    commands=0,
    profiles=OVER_TCP,
)
def test_sizes(call):
    """INFO has total_data_size and max_data_size in bytes."""
    info = read_info(call)
    assert info.get("total_data_size") == between(0, 10**13)
    assert info.get("max_data_size") == between(1, 10**13)


@assume(
    "INFO-005",
    seen_in="keepselvesreal/Xai_Community (a recorded response)",
    affects="The panel and cache_stats: the number of keys is 0.",
    commands=1,
)
def test_the_number_of_keys(call, key):
    """INFO has the number of keys: `db0:keys=…`, or total_keys."""
    assert call("SET", key, "1", "PX", "60000") == "OK"
    assert read_info(call)["keys"] == between(1, 10**12)


@assume(
    "INFO-006",
    documented="redis/commands/server/info",
    affects="Only the emulator: it returns other sections than the service.",
    commands=0,
    profiles=OVER_TCP,
)
def test_one_section(call):
    """INFO with the name of a section in lower case returns that section."""
    text = call("INFO", "memory")
    assert "maxmemory_policy:" in text
    assert "upstash_version:" not in text
