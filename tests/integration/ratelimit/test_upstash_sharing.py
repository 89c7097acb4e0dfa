"""What policies share with @upstash/ratelimit: dynamic limits, deny lists, events."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from django.http import HttpResponse
from django.test import RequestFactory, override_settings

from continuum_upstash.plans.effects import Batch
from continuum_upstash.ratelimit import ratelimit
from continuum_upstash.ratelimit.engine.fallback import get_limiter_state
from tests.integration.ratelimit.limiters import get_database, make_policy

SHARED = ["fixed", "sliding", "token_bucket"]
PREFIX = "@upstash/ratelimit"
DYNAMIC_LIMIT, DENY_LIST = f"{PREFIX}:dynamic:global", f"{PREFIX}:denyList:all"
HOUR_MS = 3_600_000

each_algorithm = pytest.mark.parametrize("algorithm", SHARED)
on_a_server = pytest.mark.parametrize("transport", ["rest", "tcp"])


@pytest.fixture
def send(limiter):
    def send(*command):
        (reply,) = get_database(limiter).send(Batch((command,)))
        return reply

    return send


@pytest.fixture
def forget(limiter):
    """Return a function that ends what the process has in memory, as a minute does."""

    def forget():
        state = get_limiter_state(get_database(limiter))
        state.ephemeral_cache._entries.clear()
        state.deny_lists._denied.clear()
        state.deny_lists._existing.clear()

    return forget


def make_shared(algorithm, rate="3/d", **options):
    return make_policy(algorithm, rate, upstash_prefix=PREFIX, **options)


def count_allowed(limiter, policy, times, identity="user"):
    return [limiter.check([policy], identity).allowed for _ in range(times)].count(True)


# ---- dynamic limits


@each_algorithm
@on_a_server
@pytest.mark.parametrize(
    ("stored", "expected"),
    [("1", 1), ("5", 5), ("0", 0), ("-4", 0), ("2.5", 2), ("many", 3), ("", 3), ("1e1", 3)],
)
def test_a_dynamic_limit_replaces_the_limit_of_the_policy(
    limiter, send, algorithm, stored, expected
):
    send("SET", DYNAMIC_LIMIT, stored)
    assert count_allowed(limiter, make_shared(algorithm), 7) == expected


@each_algorithm
@on_a_server
def test_the_decision_contains_the_dynamic_limit(limiter, send, algorithm):
    send("SET", DYNAMIC_LIMIT, 5)
    policy = make_shared(algorithm)
    decision = limiter.check([policy], "user")
    assert (decision.limit, decision.remaining) == (5, 4)
    for _ in range(5):
        decision = limiter.check([policy], "user")
    assert (decision.reason, decision.limit, decision.remaining) == ("cached", 5, 0)


@each_algorithm
@on_a_server
def test_a_dynamic_limit_below_the_cost_denies_until_the_window_ends(limiter, send, algorithm):
    send("SET", DYNAMIC_LIMIT, 1)
    decision = limiter.check([make_shared(algorithm)], "user", 2)
    assert (decision.allowed, decision.reason) == (False, "limited")
    assert 0 < decision.retry_after <= 2 * 24 * 3600
    assert limiter.check([make_shared(algorithm)], "user", 1).allowed


@each_algorithm
@on_a_server
def test_a_dynamic_limit_is_of_one_prefix_and_of_shared_policies_only(limiter, send, algorithm):
    send("SET", DYNAMIC_LIMIT, 1)
    other = make_policy(algorithm, name="other", upstash_prefix="other")
    own, shared = make_policy(name="own"), make_shared(algorithm)
    decision = limiter.check([own, other, shared], "user")
    assert [verdict.limit for verdict in decision.verdicts] == [3, 3, 1]
    assert [verdict.remaining for verdict in decision.verdicts] == [2, 2, 0]


@each_algorithm
@pytest.mark.parametrize("transport", ["local"])
def test_in_local_mode_the_limit_is_that_of_the_policy(limiter, algorithm):
    policy = make_shared(algorithm, analytics=True)
    assert count_allowed(limiter, policy, 4) == 3


# ---- deny lists


@each_algorithm
@on_a_server
def test_an_identity_on_the_deny_list_is_denied(limiter, send, algorithm):
    send("SADD", DENY_LIST, "mallory")
    policy = make_shared(algorithm)
    for _ in range(2):
        decision = limiter.check([policy], "mallory")
        assert (decision.allowed, decision.reason) == (False, "deny_list")
        assert 0 < decision.retry_after <= 60
    assert count_allowed(limiter, policy, 4, "alice") == 3


@on_a_server
def test_a_denied_client_charges_no_policy_of_the_decision(limiter, send):
    send("SADD", DENY_LIST, "mallory")
    everyone = make_policy(name="everyone", rate="1/d")
    assert limiter.check([everyone, make_shared("fixed")], "mallory").reason == "deny_list"
    assert limiter.check([everyone], "mallory").remaining == 0
    assert send("EXISTS", f"{PREFIX}:mallory") == 0


@on_a_server
def test_a_client_is_denied_from_memory_for_a_minute(limiter, send, emulator, forget):
    send("SADD", DENY_LIST, "mallory")
    policy = make_shared("fixed")
    limiter.check([policy], "mallory")
    send("SREM", DENY_LIST, "mallory")
    with emulator.count() as spent:
        assert limiter.check([policy], "mallory").reason == "deny_list"
    assert spent.billed == 0
    forget()
    assert limiter.check([policy], "mallory").allowed


@on_a_server
def test_a_new_list_is_found_within_a_minute_and_a_new_value_at_once(limiter, send, forget):
    policy = make_shared("fixed")
    assert limiter.check([policy], "mallory").allowed
    send("SADD", DENY_LIST, "trudy")
    assert limiter.check([policy], "trudy").allowed  # there was no list
    forget()
    assert limiter.check([policy], "trudy").reason == "deny_list"
    send("SADD", DENY_LIST, "mallory")
    assert limiter.check([policy], "mallory").reason == "deny_list"


@on_a_server
def test_a_shadow_policy_and_a_check_without_cost_use_no_list(limiter, send):
    send("SADD", DENY_LIST, "mallory")
    assert limiter.check([make_shared("fixed", shadow=True)], "mallory").allowed
    assert limiter.check([make_shared("fixed")], "mallory", 0).allowed


@on_a_server
@pytest.mark.parametrize("api", ["sync"])
@pytest.mark.parametrize("value", ["203.0.113.7", "BadBot/1.0", "key-of-mallory"])
def test_the_address_and_the_user_agent_of_a_request_are_looked_up(limiter, send, value):
    send("SADD", DENY_LIST, value)
    options = {"rate": "9/d", "algorithm": "fixed", "upstash_prefix": PREFIX}

    @ratelimit(**options, key="header:X-Api-Key", group="listed")
    def view(request):
        return HttpResponse("ok")

    def get_status(address="192.0.2.1", agent="Browser", key="key-of-alice"):
        headers = {"User-Agent": agent, "X-Api-Key": key}
        request = RequestFactory().get("/", headers=headers, REMOTE_ADDR=address)
        response = view(request)
        return response.status_code

    assert get_status() == 200
    denied = get_status("203.0.113.7", "BadBot/1.0", "Key-of-Mallory")
    assert denied == 429
    assert get_status() == 200


@on_a_server
def test_a_value_of_one_identity_does_not_deny_the_others_of_that_address(limiter, send):
    send("SADD", DENY_LIST, "BadBot")
    policy, cache = make_shared("fixed"), limiter.cache

    def check(agent):
        charge = cache.build_charge(policy, "203.0.113.7", 1, ["203.0.113.7", agent])
        return limiter.decide([charge]).reason

    assert [check("BadBot"), check("Browser"), check("BadBot")] == [
        "deny_list",
        "allowed",
        "deny_list",
    ]


# ---- analytics


def read_events(send):
    _, keys = send("SCAN", 0, "MATCH", f"{PREFIX}:events:*", "COUNT", 1000)
    if not keys:
        return {}
    (key,) = keys
    hour = int(key.decode().rpartition(":")[2])
    assert hour % HOUR_MS == 0
    flat = send("ZRANGE", key.decode(), 0, -1, "WITHSCORES")
    return {
        member.decode(): float(score) for member, score in zip(flat[::2], flat[1::2], strict=True)
    }


@each_algorithm
@on_a_server
def test_events_are_recorded_on_request(limiter, send, algorithm, forget):
    policy = make_shared(algorithm, rate="2/d", analytics=True)
    for _ in range(4):
        limiter.check([policy], 'us"er/é')
        forget()
    assert read_events(send) == {
        '{"identifier":"us\\"er/é","success":true}': 2,
        '{"identifier":"us\\"er/é","success":false}': 2,
    }


@on_a_server
def test_a_denial_by_the_list_is_recorded_as_one(limiter, send):
    send("SADD", DENY_LIST, "mallory")
    limiter.check([make_shared("fixed", analytics=True)], "mallory")
    assert read_events(send) == {'{"identifier":"mallory","success":"denied"}': 1}


@on_a_server
def test_a_request_that_another_policy_denies_is_no_event(limiter, send):
    other = make_policy(name="other", rate="1/d")
    for _ in range(2):
        limiter.check([other, make_shared("fixed", analytics=True)], "user")
    assert list(read_events(send).values()) == [1]


@on_a_server
def test_no_event_is_recorded_without_the_option_for_shadows_and_without_cost(limiter, send):
    limiter.check([make_shared("fixed")], "user")
    limiter.check([make_shared("fixed", analytics=True, shadow=True)], "user")
    limiter.check([make_shared("fixed", analytics=True)], "user", 0)
    assert read_events(send) == {}


# ---- the price, and names that a client chooses

PRICES = {  # allowed, refused; without a list
    "fixed": (3, 2),
    "sliding": (3, 2),
    "token_bucket": (5, 3),
}


@each_algorithm
@on_a_server
@pytest.mark.parametrize("has_list", [False, True])
@pytest.mark.parametrize("analytics", [False, True])
def test_the_price(limiter, send, emulator, transport, algorithm, has_list, analytics, forget):
    policy = make_shared(algorithm, analytics=analytics)
    if has_list:
        send("SADD", DENY_LIST, "mallory")
    limiter.check([policy], "warm-up")
    clock = transport == "tcp"  # on plain Redis the script also calls TIME
    for price, cost in zip(PRICES[algorithm], (2, 2), strict=True):
        with emulator.count() as spent:
            limiter.check([policy], "user", cost)
        assert spent.billed == price + has_list + analytics + clock
        assert transport == "tcp" or spent.requests == 1
    forget()
    with emulator.count() as spent:
        limiter.check([policy], "first of a minute")
    assert spent.billed == PRICES[algorithm][0] + 2 + analytics + clock
    assert transport == "tcp" or spent.requests == 1


@pytest.mark.parametrize("transport", ["rest"])
@pytest.mark.parametrize("name", ["dynamic:global", "denyList:all", "events", "ipDenyListStatus"])
@each_algorithm
def test_an_identity_cannot_name_what_the_program_stores(limiter, send, algorithm, name):
    send("SET", DYNAMIC_LIMIT, 2)
    send("SADD", DENY_LIST, "mallory")
    policy = make_shared(algorithm, analytics=True)
    assert count_allowed(limiter, policy, 4, name) == 2
    assert send("GET", DYNAMIC_LIMIT) == b"2"
    assert send("SMEMBERS", DENY_LIST) == [b"mallory"]
    assert limiter.check([policy], "mallory").reason == "deny_list"


@pytest.mark.parametrize("transport", ["rest"])
def test_a_list_of_another_type_is_an_error_of_the_limiter(limiter, send):
    send("SET", DENY_LIST, "no set")
    policy = make_shared("fixed", on_error="deny")
    assert limiter.check([policy], "user").reason == "unavailable"


@pytest.mark.parametrize("transport", ["rest"])
def test_a_dynamic_limit_of_another_type_is_none(limiter, send):
    send("SADD", DYNAMIC_LIMIT, "1")
    assert count_allowed(limiter, make_shared("fixed"), 4) == 3


# ---- the same, in JavaScript

NPM = Path(__file__).parents[1] / "sdk" / "npm"
SCRIPT = """
import { Ratelimit } from "@upstash/ratelimit";
import { Redis } from "@upstash/redis";
const limiters = {
  fixed: Ratelimit.fixedWindow(3, "1 d"),
  sliding: Ratelimit.slidingWindow(3, "1 d"),
  token_bucket: Ratelimit.tokenBucket(3, "1 d", 3),
};
const ratelimit = new Ratelimit({
  redis: Redis.fromEnv(), limiter: limiters[process.env.ALGORITHM], ephemeralCache: false,
  dynamicLimits: true, enableProtection: true, analytics: true,
});
const results = [];
for (const [method, argument] of JSON.parse(process.env.CALLS)) {
  const result = await ratelimit[method](argument);
  await result?.pending;
  results.push(result ?? null);
}
const usage = await ratelimit.analytics.getUsage(Date.now() - 2 * 3600 * 1000);
console.log(JSON.stringify({ results, usage }));
process.exit(0);
"""
needs_node = pytest.mark.skipif(
    shutil.which("node") is None or not (NPM / "node_modules").exists(),
    reason="npm ci --prefix tests/integration/sdk/npm",
)


def run_javascript(emulator, algorithm, *calls):
    environment = {
        "UPSTASH_REDIS_REST_URL": emulator.rest_url,
        "UPSTASH_REDIS_REST_TOKEN": emulator.token,
        "ALGORITHM": algorithm,
        "CALLS": json.dumps(calls),
    }
    done = subprocess.run(
        ["node", "--input-type=module", "-e", SCRIPT],
        cwd=NPM,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@needs_node
@each_algorithm
@pytest.mark.parametrize("transport", ["rest"])
def test_the_javascript_sdk_sets_the_limit_and_reads_the_events(limiter, emulator, send, algorithm):
    send("SET", f"{PREFIX}:ipDenyListStatus", "disabled")  # it would download a list
    run_javascript(emulator, algorithm, ["setDynamicLimit", {"limit": 5}])
    policy = make_shared(algorithm, analytics=True)
    assert [limiter.check([policy], "user").remaining for _ in range(3)] == [4, 3, 2]
    done = run_javascript(emulator, algorithm, ["limit", "user"], ["getRemaining", "user"])
    limited, remaining = done["results"]
    assert (limited["success"], limited["limit"], limited["remaining"]) == (True, 5, 1)
    assert remaining["remaining"] == 1
    assert done["usage"]["user"]["success"] == 4  # one member of the set for both programs
    assert limiter.check([policy], "user").allowed
    assert not limiter.check([policy], "user").allowed
    run_javascript(emulator, algorithm, ["setDynamicLimit", {"limit": False}])
    assert limiter.check([policy], "other").limit == 3


@needs_node
@pytest.mark.parametrize("transport", ["rest"])
def test_both_programs_deny_a_value_on_the_list(limiter, emulator, send):
    send("SET", f"{PREFIX}:ipDenyListStatus", "disabled")
    send("SADD", DENY_LIST, "mallory")
    policy = make_shared("sliding", analytics=True)
    assert limiter.check([policy], "mallory").reason == "deny_list"
    done = run_javascript(emulator, "sliding", ["limit", "mallory"])
    assert done["results"][0]["reason"] == "denyList"
    (score,) = read_events(send).values()
    assert score == 2


@pytest.mark.parametrize("transport", ["rest"])
def test_during_an_outage_the_limit_of_the_policy_applies(limiter, emulator, send):
    send("SET", DYNAMIC_LIMIT, 1)
    policy = make_shared("fixed", analytics=True)
    with (
        override_settings(CONTINUUM_RATELIMIT={"DEADLINE": 5.0, "INSTANCES": 1}),
        emulator.fault("refuse"),
    ):
        assert count_allowed(limiter, policy, 4) == 3
