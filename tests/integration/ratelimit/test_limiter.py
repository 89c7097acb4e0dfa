"""The engine over each transport and sync and async: its round trips, its bill, its honesty."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import upstash_ratelimit
from django.test import override_settings
from upstash_redis import Redis

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.plans.effects import Batch
from continuum_upstash.ratelimit.engine.limiter import ImproperlyConfiguredLimits, Limiter
from tests.integration.ratelimit.limiters import database, policy

ALGORITHMS = ["strict", "fixed", "sliding", "token_bucket"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_limit_holds_for_each_identity_by_itself(limiter, algorithm):
    kept = policy(algorithm)
    allowed = [limiter.check([kept], "a").allowed for _ in range(4)]
    assert allowed == [True, True, True, False]
    assert limiter.check([kept], "b").remaining == 2


def test_a_cost_is_taken_at_once_and_one_that_never_fits_is_a_mistake(limiter):
    assert limiter.check([policy()], "a", 2).remaining == 1
    assert not limiter.check([policy()], "a", 2).allowed
    assert limiter.check([policy()], "a", 1).allowed
    with pytest.raises(ValueError, match="would never fit"):
        limiter.check([policy()], "a", 4)


def test_where_limits_are_off_everybody_is_exempt_whatever_is_asked(limiter):
    kept = policy(rate="1/d")
    with override_settings(CONTINUUM_RATELIMIT={"MODE": "off"}):
        asked = [([kept], "a"), ([kept], "a"), ([kept], "a", 2), (["missing"], "a")]
        assert {limiter.check(*each).reason for each in asked} == {"exempt"}
    assert limiter.check([kept], "a").reason == "allowed"


def test_policies_of_one_group_cannot_both_charge_a_request(limiter):
    one, other = policy(name="one", group="g"), policy(name="other", group="g")
    with pytest.raises(ConfigurationError, match="share a counter"):
        limiter.check([one, other], "a")
    assert limiter.check([one], "a", 3).allowed
    assert not limiter.check([other], "a").allowed


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_reset_gives_the_quota_back(limiter, algorithm):
    kept = policy(algorithm)
    limiter.check([kept], "a", 3)
    assert not limiter.check([kept], "a").allowed
    assert limiter.reset([kept], "a") == 1
    assert limiter.check([kept], "a").remaining == 2


@pytest.mark.parametrize("name", ["x" * 512, "\0", "é\u0301\u202e", "a b:{c}\n*", "\ud800"])
def test_any_text_is_an_identity(limiter, name):
    kept = policy(rate="1/d")
    assert [limiter.check([kept], name).allowed for _ in range(2)] == [True, False]


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_a_script_that_the_server_forgot_is_sent_again_and_charged_once(limiter):
    kept = policy()
    limiter.check([kept], "a")
    database(limiter).send(Batch([("SCRIPT", "FLUSH")]))
    assert limiter.check([kept], "a").remaining == 1


BILLS = {"strict": (3, 2), "fixed": (3, 2), "sliding": (3, 2), "token_bucket": (4, 2)}


@pytest.mark.parametrize("transport", ["rest", "tcp"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_check_is_one_request_and_a_known_refusal_none(limiter, emulator, algorithm, transport):
    kept = policy(algorithm)
    limiter.check([kept], "warm-up")
    charged, refused = BILLS[algorithm]
    clock = transport == "tcp"  # a plain server is asked for its time, too
    for reason, billed, requests in (
        ("allowed", charged + clock, 1),
        ("limited", refused + clock, 1),
        ("cached", 0, 0),
    ):
        with emulator.count() as spent:
            decision = limiter.check([kept], "a", 2)
        assert (decision.reason, spent.billed) == (reason, billed)
        assert transport == "tcp" or spent.requests == requests


@pytest.mark.parametrize("transport", ["rest"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_who_has_used_up_everything_is_refused_from_memory_at_once(limiter, emulator, algorithm):
    kept, other = policy(algorithm), policy(algorithm, name="other", rate="9/d")
    used_up = limiter.check([kept, other], "a", 3)
    with emulator.count() as spent:
        refused = limiter.check([kept, other], "a")
    assert (refused.reason, refused.limit, spent.requests) == ("cached", 3, 0)
    assert refused.retry_after == pytest.approx(used_up.verdicts[0].reset_after, abs=30)
    assert limiter.check([other], "a").remaining == 5


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_who_has_used_up_one_limit_is_told_of_the_other_that_lasts_longer(limiter, algorithm):
    short = policy(algorithm, name="short", rate="1/s")
    long = policy(algorithm, name="long", rate="100/d", cost=60)
    assert limiter.check([short, long], "a").allowed
    for reason in ("limited", "cached"):
        refused = limiter.check([short, long], "a")
        assert (refused.reason, refused.tightest.policy.name) == (reason, "long")
        assert refused.retry_after > 2


@pytest.mark.parametrize("transport", ["rest"])
def test_watching_policies_travel_with_those_that_count(limiter, emulator):
    kept, watched = policy(name="kept"), policy(name="watched", rate="1/d", shadow=True)
    limiter.check([kept, watched], "warm-up")
    limiter.check([kept, watched], "a")
    with emulator.count() as spent:
        decision = limiter.check([kept, watched], "a")
    assert spent.requests == 1
    assert (decision.allowed, decision.reason, decision.remaining) == (True, "shadow", 1)
    assert decision.shadowed[0].retry_after > 0


@pytest.mark.parametrize("transport", ["rest", "tcp"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_who_waits_as_long_as_told_is_let_in_at_once(limiter, algorithm, runner):
    kept = policy(algorithm, rate="2/300ms")

    async def wait(seconds):
        await asyncio.sleep(seconds)

    for _ in range(5):
        while (decision := limiter.check([kept], "a")).allowed:
            pass
        runner.run(wait(decision.retry_after))
        assert limiter.check([kept], "a").allowed


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_a_clock_that_is_wrong_here_is_corrected_by_the_databases(limiter, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1_000_000_000.0)  # 2001
    (seconds, _) = database(limiter).send(Batch([("TIME",)]))[0]
    decision = limiter.check([policy("fixed")], "a")
    assert abs(decision.at / 1000 - int(seconds)) < 60


def test_an_alias_of_another_package_cannot_count():
    locmem = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    with (
        override_settings(CACHES=locmem),
        pytest.raises(ImproperlyConfiguredLimits, match="LocMemCache"),
    ):
        Limiter()


@pytest.mark.parametrize("transport", ["tcp"])
def test_the_keys_are_those_of_the_guide_and_name_nobody(limiter):
    limiter.check([policy("fixed", rate="5/m", group="api")], "203.0.113.7")
    ((_, keys),) = database(limiter).send(Batch([("SCAN", 0)]))
    (key,) = (key.decode() for key in keys)
    family, group, who, window = key.split(":")
    assert (family, group, len(who), window.isdecimal()) == ("ratelimit", "api", 32, True)


# ---- the counters of @upstash/ratelimit


SDKS = {
    "fixed": upstash_ratelimit.FixedWindow(max_requests=3, window=1, unit="d"),
    "sliding": upstash_ratelimit.SlidingWindow(max_requests=3, window=1, unit="d"),
}


def test_an_identity_is_taken_to_the_letter(limiter):
    kept = policy(rate="1/d")
    assert [limiter.check([kept], name).allowed for name in ("user=Ab", "user=aB")] == [True] * 2


def test_limits_of_one_group_that_count_in_different_ways_are_apart(limiter):
    by_day, by_second = policy(rate="1/d", group="g"), policy(rate="1/s", group="g")
    assert limiter.check([by_day], "a").allowed
    assert limiter.check([by_second], "a").allowed


@pytest.mark.parametrize("transport", ["rest"])
@pytest.mark.parametrize("algorithm", SDKS)
def test_counters_are_shared_with_the_python_sdk(limiter, emulator, algorithm):
    kept = policy(algorithm, upstash_prefix="@upstash/ratelimit")
    with Redis(emulator.rest_url, emulator.token) as redis:
        theirs = upstash_ratelimit.Ratelimit(redis=redis, limiter=SDKS[algorithm])
        assert limiter.check([kept], "user_Ab").remaining == 2
        assert theirs.limit("user_Ab").remaining == 1
        assert limiter.check([kept], "user_Ab").remaining == 0
        assert not theirs.limit("user_Ab").allowed
        assert not limiter.check([kept], "user_Ab").allowed


@pytest.mark.parametrize("transport", ["rest"])
def test_a_policy_that_only_watches_takes_nothing_from_a_shared_counter(limiter):
    options = {"upstash_prefix": "@upstash/ratelimit"}
    limiter.check([policy("fixed", shadow=True, **options)], "user", 3)
    assert limiter.check([policy("fixed", **options)], "user").remaining == 2


NPM = Path(__file__).parents[1] / "sdk" / "npm"
SCRIPT = """
import { Ratelimit } from "@upstash/ratelimit";
import { Redis } from "@upstash/redis";
const limiters = {
  fixed: Ratelimit.fixedWindow(3, "1 d"),
  sliding: Ratelimit.slidingWindow(3, "1 d"),
  token_bucket: Ratelimit.tokenBucket(3, "1 d", 3),
};
const limiter = limiters[process.env.ALGORITHM];
const ratelimit = new Ratelimit({ redis: Redis.fromEnv(), limiter, ephemeralCache: false });
const { success, remaining, pending } = await ratelimit.limit("user");
await pending;
console.log(JSON.stringify({ success, remaining }));
process.exit(0);
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.skipif(
    not (NPM / "node_modules").exists(), reason="npm ci --prefix tests/integration/sdk/npm"
)
@pytest.mark.parametrize("transport", ["rest"])
@pytest.mark.parametrize("algorithm", ["fixed", "sliding", "token_bucket"])
def test_counters_are_shared_with_a_next_js_front(limiter, emulator, algorithm):
    kept = policy(algorithm, upstash_prefix="@upstash/ratelimit")

    def front():
        done = subprocess.run(
            ["node", "--input-type=module", "-e", SCRIPT],
            cwd=NPM,
            env=os.environ
            | {
                "UPSTASH_REDIS_REST_URL": emulator.rest_url,
                "UPSTASH_REDIS_REST_TOKEN": emulator.token,
                "ALGORITHM": algorithm,
            },
            capture_output=True,
            text=True,
            check=True,
        )
        return json.loads(done.stdout)

    assert limiter.check([kept], "user").remaining == 2
    assert front() == {"success": True, "remaining": 1}
    assert limiter.check([kept], "user").remaining == 0
    assert front()["success"] is False
    assert not limiter.check([kept], "user").allowed
