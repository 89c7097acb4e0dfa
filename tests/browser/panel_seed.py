"""Shared statistics of a day, as the processes of a busy site write them."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from django.test import override_settings

from continuum_upstash import UpstashCache
from continuum_upstash.stats.shared.schema import day_key, encode_totals, hour_key
from continuum_upstash.stats.totals import BOUNDS, BUCKETS, Totals

SITE = {"default": {"BACKEND": "continuum_upstash.backend.CacheBackend", "KEY_PREFIX": "shop"}}
FAMILIES = {"query:": 480, "page:": 260, "memory:": 120, "ratelimit:": 90, "ws:": 30, "fed:": 12}


@override_settings(CACHES=SITE)
def write_busy_day(server, families=FAMILIES):
    now = datetime.now(UTC)
    with UpstashCache(rest_url=server.rest_url, rest_token=server.token) as cache:
        for minute in range(61):
            at = now - timedelta(minutes=minute)
            cache.redis.hset(hour_key("default", at), f"{at:%M}:seed", _make_field(minute, 300))
        for hour in range(25):
            at = now - timedelta(hours=hour)
            cache.redis.hset(day_key("default", at), f"{at:%H}:seed", _make_field(hour * 6, 14_000))
        for name, count in families.items():
            keys = {f"shop:1:{name}{number}": number for number in range(count)}
            cache.set_many(keys, ttl=300)


def _make_field(step, commands):
    wave = 1 + 0.35 * math.sin(step / 6) + 0.1 * math.sin(step * 1.7)
    requests = int(commands * wave)
    slow = step % 23 in {7, 8}
    latency = [0] * BUCKETS
    for bound, share in {0.001: 0.42, 0.0025: 0.4, 0.005: 0.1, 0.025: 0.06, 0.1: 0.02}.items():
        latency[BOUNDS.index(bound) + (2 if slow and share < 0.2 else 0)] += int(requests * share)
    hits = int(requests * 0.8 * (0.9 + 0.06 * math.sin(step / 4) - (0.3 if slow else 0)))
    errors = {"DeadlineExceeded": requests // 40} if slow else {}
    totals = Totals(
        batches=sum(latency),
        commands={
            "GET": int(requests * 0.8),
            "SET": int(requests * 0.17),
            "INCRBY": int(requests * 0.03),
        },
        hits=hits,
        misses=int(requests * 0.8) - hits,
        errors=errors,
        billed=requests,
        overhead=requests // 50,
        latency=latency,
    )
    return encode_totals(totals).decode()
