from __future__ import annotations

import pytest

from continuum_upstash.plans.info import parse


@pytest.mark.parametrize(
    "text",
    [
        "",
        "db0:",
        "db0:keys=",
        "db0:keys=many",
        "total_keys:-1",
        "used_memory:9e9",
        "db0:keys=\u00b2",
    ],
)
def test_a_count_that_is_no_number_is_0(text):
    info = parse(text)
    assert (info["keys"], info["used_memory"], info["used_memory_human"]) == (0, 0, "0B")


def test_the_counts_of_redis_and_of_upstash():
    assert parse("db0:keys=15,expires=5,avg_ttl=3600\r\nused_memory:2048\r\n") == {
        "db0": "keys=15,expires=5,avg_ttl=3600",
        "keys": 15,
        "used_memory": 2048,
        "used_memory_human": "2.00K",
        "maxmemory_policy": "",
        "version": "",
    }
    assert parse("total_keys:7\r\ntotal_data_size:1024")["keys"] == 7
