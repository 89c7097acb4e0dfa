"""The unmodified upstash-ratelimit package: its scripts carry the key-locking flag."""

import pytest
from upstash_ratelimit import FixedWindow, Ratelimit, SlidingWindow, TokenBucket
from upstash_ratelimit.asyncio import Ratelimit as AsyncRatelimit
from upstash_redis import Redis
from upstash_redis.asyncio import Redis as AsyncRedis

LIMITERS = [
    FixedWindow(max_requests=3, window=1, unit="d"),
    SlidingWindow(max_requests=3, window=1, unit="d"),
    TokenBucket(max_tokens=3, refill_rate=1, interval=1, unit="d"),
]


@pytest.mark.parametrize("limiter", LIMITERS, ids=lambda limiter: type(limiter).__name__)
def test_requests_over_the_limit_are_denied(emulator, limiter):
    with Redis(emulator.rest_url, emulator.token) as redis:
        ratelimit = Ratelimit(redis=redis, limiter=limiter)
        assert [ratelimit.limit("user").allowed for _ in range(5)] == [True] * 3 + [False] * 2
        assert ratelimit.limit("other").allowed
        assert ratelimit.get_remaining("user") == 0
        assert ratelimit.get_reset("user") > 0


@pytest.mark.parametrize("limiter", LIMITERS, ids=lambda limiter: type(limiter).__name__)
async def test_requests_over_the_limit_are_denied_async(emulator, limiter):
    async with AsyncRedis(emulator.rest_url, emulator.token) as redis:
        ratelimit = AsyncRatelimit(redis=redis, limiter=limiter)
        allowed = [(await ratelimit.limit("user")).allowed for _ in range(5)]
        assert allowed == [True] * 3 + [False] * 2
        assert await ratelimit.get_remaining("user") == 0


@pytest.mark.parametrize(
    ("limiter", "first", "later"), [(LIMITERS[0], 3, 2), (LIMITERS[1], 5, 4), (LIMITERS[2], 4, 4)]
)
def test_a_check_costs_what_the_service_documents(emulator, limiter, first, later):
    with Redis(emulator.rest_url, emulator.token) as redis:
        ratelimit = Ratelimit(redis=redis, limiter=limiter)
        for expected in (first, later):
            with emulator.count() as spent:
                ratelimit.limit("user")
            assert spent.billed == expected
