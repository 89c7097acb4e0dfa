"""The limiter on each transport, sync and async: its decisions, round trips and billed commands."""

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
from tests.integration.ratelimit.limiters import ALGORITHMS, get_database, make_policy
from tests.python_calls import count_calls_until_send


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_identity_has_its_own_limit(limiter, algorithm):
    policy = make_policy(algorithm)
    allowed = [limiter.check([policy], "a").allowed for _ in range(4)]
    assert allowed == [True, True, True, False]
    assert limiter.check([policy], "b").remaining == 2


def test_a_cost_is_charged_at_once_and_one_above_the_limit_is_an_error(limiter):
    assert limiter.check([make_policy()], "a", 2).remaining == 1
    assert not limiter.check([make_policy()], "a", 2).allowed
    assert limiter.check([make_policy()], "a", 1).allowed
    with pytest.raises(ValueError, match="would never be allowed"):
        limiter.check([make_policy()], "a", 4)


def test_with_mode_off_every_check_is_exempt(limiter):
    policy = make_policy(rate="1/d")
    with override_settings(CONTINUUM_RATELIMIT={"MODE": "off"}):
        checks = [([policy], "a"), ([policy], "a"), ([policy], "a", 2), (["missing"], "a")]
        assert {limiter.check(*each).reason for each in checks} == {"exempt"}
    assert limiter.check([policy], "a").reason == "allowed"


def test_policies_of_one_group_cannot_apply_to_one_request(limiter):
    one, other = make_policy(name="one", group="g"), make_policy(name="other", group="g")
    with pytest.raises(ConfigurationError, match="share a counter"):
        limiter.check([one, other], "a")
    assert limiter.check([one], "a", 3).allowed
    assert not limiter.check([other], "a").allowed


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_reset_restores_the_quota(limiter, algorithm):
    policy = make_policy(algorithm)
    limiter.check([policy], "a", 3)
    assert not limiter.check([policy], "a").allowed
    assert limiter.reset([policy], "a") == 1
    assert limiter.check([policy], "a").remaining == 2


@pytest.mark.parametrize("name", ["x" * 512, "\0", "é\u0301\u202e", "a b:{c}\n*", "\ud800"])
def test_any_text_can_be_an_identity(limiter, name):
    policy = make_policy(rate="1/d")
    assert [limiter.check([policy], name).allowed for _ in range(2)] == [True, False]


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_a_script_that_the_server_dropped_is_sent_again_and_charged_once(limiter):
    policy = make_policy()
    limiter.check([policy], "a")
    get_database(limiter).send(Batch([("SCRIPT", "FLUSH")]))
    assert limiter.check([policy], "a").remaining == 1


BILLS = {"strict": (3, 2), "fixed": (3, 2), "sliding": (3, 2), "token_bucket": (4, 2)}


@pytest.mark.parametrize("transport", ["rest", "tcp"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_check_is_one_request_and_a_cached_denial_none(limiter, emulator, algorithm, transport):
    policy = make_policy(algorithm)
    limiter.check([policy], "warm-up")
    charged, denied = BILLS[algorithm]
    clock = transport == "tcp"  # on plain Redis the script also calls TIME
    for reason, billed, requests in (
        ("allowed", charged + clock, 1),
        ("limited", denied + clock, 1),
        ("cached", 0, 0),
    ):
        with emulator.count() as spent:
            decision = limiter.check([policy], "a", 2)
        assert (decision.reason, spent.billed) == (reason, billed)
        assert transport == "tcp" or spent.requests == requests


@pytest.mark.parametrize("api", ["sync"])
@pytest.mark.parametrize(("transport", "maximum"), [("rest", 55), ("tcp", 52)])
def test_a_check_makes_few_python_calls_before_it_sends(limiter, maximum):
    policy = make_policy(rate="9/d")
    limiter.check([policy], "a")
    check, counts = limiter.check, []
    for _ in range(3):  # a reconnection after a slow reply adds calls to one of them
        with count_calls_until_send() as calls_at_send:
            check([policy], "a")
        counts.append(calls_at_send[0])
    assert min(counts) <= maximum


@pytest.mark.parametrize("transport", ["rest"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_exhausted_limit_is_denied_from_memory_at_once(limiter, emulator, algorithm):
    policy, other = make_policy(algorithm), make_policy(algorithm, name="other", rate="9/d")
    last = limiter.check([policy, other], "a", 3)
    with emulator.count() as spent:
        denied = limiter.check([policy, other], "a")
    assert (denied.reason, denied.limit, spent.requests) == ("cached", 3, 0)
    assert denied.retry_after == pytest.approx(last.verdicts[0].reset_after, abs=30)
    assert limiter.check([other], "a").remaining == 5


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_decision_names_the_limit_that_denies_longest(limiter, algorithm):
    short = make_policy(algorithm, name="short", rate="1/s")
    long = make_policy(algorithm, name="long", rate="100/d", cost=60)
    assert limiter.check([short, long], "a").allowed
    for reason in ("limited", "cached"):
        denied = limiter.check([short, long], "a")
        assert (denied.reason, denied.tightest.policy.name) == (reason, "long")
        assert denied.retry_after > 2


@pytest.mark.parametrize("transport", ["rest"])
def test_shadow_policies_are_checked_in_the_same_round_trip(limiter, emulator):
    policy, shadow = make_policy(name="policy"), make_policy(name="shadow", rate="1/d", shadow=True)
    limiter.check([policy, shadow], "warm-up")
    limiter.check([policy, shadow], "a")
    with emulator.count() as spent:
        decision = limiter.check([policy, shadow], "a")
    assert spent.requests == 1
    assert (decision.allowed, decision.reason, decision.remaining) == (True, "shadow", 1)
    assert decision.shadowed[0].retry_after > 0


@pytest.mark.parametrize("transport", ["rest", "tcp"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_client_that_waits_for_retry_after_is_allowed(limiter, algorithm, runner):
    policy = make_policy(algorithm, rate="2/200ms")

    async def wait(seconds):
        await asyncio.sleep(seconds)

    for _ in range(2):
        while (decision := limiter.check([policy], "a")).allowed:
            pass
        runner.run(wait(decision.retry_after))
        assert limiter.check([policy], "a").allowed


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_a_wrong_local_clock_is_corrected_by_the_databases(limiter, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1_000_000_000.0)  # 2001
    (seconds, _) = get_database(limiter).send(Batch([("TIME",)]))[0]
    decision = limiter.check([make_policy("fixed")], "a")
    assert abs(decision.at / 1000 - int(seconds)) < 60


def test_an_alias_of_another_package_is_rejected():
    locmem = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    with (
        override_settings(CACHES=locmem),
        pytest.raises(ImproperlyConfiguredLimits, match="LocMemCache"),
    ):
        Limiter()


@pytest.mark.parametrize("transport", ["tcp"])
def test_the_keys_have_the_documented_form_and_contain_no_identity(limiter):
    limiter.check([make_policy("fixed", rate="5/m", group="api")], "203.0.113.7")
    ((_, keys),) = get_database(limiter).send(Batch([("SCAN", 0)]))
    (key,) = (key.decode() for key in keys)
    root, family, prefix, group, identity, window = key.split(":")
    assert (root, family, prefix, group) == ("continuum", "ratelimit", "", "api")
    assert (len(identity), window.isdecimal()) == (32, True)


# ---- the counters of @upstash/ratelimit


SDKS = {
    "fixed": upstash_ratelimit.FixedWindow(max_requests=3, window=1, unit="d"),
    "sliding": upstash_ratelimit.SlidingWindow(max_requests=3, window=1, unit="d"),
}


def test_identities_are_case_sensitive(limiter):
    policy = make_policy(rate="1/d")
    assert [limiter.check([policy], name).allowed for name in ("user=Ab", "user=aB")] == [True] * 2


def test_different_windows_of_one_group_have_separate_counters(limiter):
    by_day, by_second = make_policy(rate="1/d", group="g"), make_policy(rate="1/s", group="g")
    assert limiter.check([by_day], "a").allowed
    assert limiter.check([by_second], "a").allowed


@pytest.mark.parametrize("transport", ["rest"])
@pytest.mark.parametrize("algorithm", SDKS)
def test_counters_are_shared_with_the_python_sdk(limiter, emulator, algorithm):
    policy = make_policy(algorithm, upstash_prefix="@upstash/ratelimit")
    with Redis(emulator.rest_url, emulator.token) as redis:
        ratelimit = upstash_ratelimit.Ratelimit(redis=redis, limiter=SDKS[algorithm])
        assert limiter.check([policy], "user_Ab").remaining == 2
        assert ratelimit.limit("user_Ab").remaining == 1
        assert limiter.check([policy], "user_Ab").remaining == 0
        assert not ratelimit.limit("user_Ab").allowed
        assert not limiter.check([policy], "user_Ab").allowed


@pytest.mark.parametrize("transport", ["rest"])
def test_a_shadow_policy_charges_nothing_to_a_shared_counter(limiter):
    options = {"upstash_prefix": "@upstash/ratelimit"}
    limiter.check([make_policy("fixed", shadow=True, **options)], "user", 3)
    assert limiter.check([make_policy("fixed", **options)], "user").remaining == 2


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
def test_counters_are_shared_with_the_javascript_sdk(limiter, emulator, algorithm):
    policy = make_policy(algorithm, upstash_prefix="@upstash/ratelimit")

    def check_in_javascript():
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

    assert limiter.check([policy], "user").remaining == 2
    assert check_in_javascript() == {"success": True, "remaining": 1}
    assert limiter.check([policy], "user").remaining == 0
    assert check_in_javascript()["success"] is False
    assert not limiter.check([policy], "user").allowed
