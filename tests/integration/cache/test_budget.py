"""A budget over each transport: what the bill, the status, the commands and the probes show."""

from __future__ import annotations

import asyncio
import io
import json
import re
import time

import pytest
import redis
from django.core.cache import caches
from django.core.management import call_command
from django.test import Client

from continuum_upstash.errors import BudgetExceeded, SessionStoreUnavailable
from continuum_upstash.health import budget_source
from continuum_upstash.health.doctor import examine
from continuum_upstash.ratelimit import Limiter
from continuum_upstash.ratelimit.policy import parse_policy
from continuum_upstash.sessions import SessionStore
from continuum_upstash.signals import backend_changed, budget_changed
from continuum_upstash.transports import registry
from tests.conftest import SyncOrAsync
from tests.integration.cache_entries import make_entry

POLICY = parse_policy("api", {"rate": "1000/1m", "on_error": "deny"})
KEPT = {"SOFT": 0.5, "NEAR": 0.6, "ESSENTIAL": 0.7, "HARD": 0.8}


@pytest.fixture
def guarded(make_cache, transport, api, request):
    if transport == "local":
        pytest.skip("there is nothing to limit")
    cache = make_cache(transport, OPTIONS={"BUDGET": {"COMMANDS": 100, **KEPT}})
    return SyncOrAsync(cache, request.getfixturevalue("runner") if api == "async" else None)


def get_stage(cache):
    budget = cache.database.status.budget
    return budget and budget.stage


def use_until(cache, stage):
    repeat(lambda: cache.get("other"), lambda: get_stage(getattr(cache, "cache", cache)) == stage)


def repeat(call, is_done=lambda: False):
    for _ in range(2_000):
        if is_done():
            return
        call()
    pytest.fail("the budget has not restricted anything")


def test_the_cache_is_local_and_locks_are_not_until_the_end(guarded, emulator):
    with emulator.count() as spent:
        guarded.set("k", "old")
        use_until(guarded, "essential")
        guarded.set("k", "local")
        assert guarded.get("k") == "local"
        assert guarded.cache.current_backend == "local"
        lock = guarded.cache.lock("lock", timeout=5)
        assert lock.acquire(blocking=False)
        lock.release()
        guarded.hset("hash", "field", 1)
        with pytest.raises(BudgetExceeded):
            repeat(lambda: guarded.hset("hash", "field", 1))
        assert get_stage(guarded.cache) == "local"
        guarded.set("k", "new")
        with pytest.raises(BudgetExceeded, match="command not sent"):
            guarded.clear()
    assert 75 <= spent.billed <= 82


def test_sessions_and_limits_are_sent_until_the_end(emulator, settings, new_process_state):
    settings.CACHES = {
        "default": make_entry(emulator, OPTIONS={"BUDGET": {"COMMANDS": 300, **KEPT}})
    }
    cache = caches["default"]
    use_until(cache, "essential")
    session = SessionStore()
    session["user"] = 5
    session.save()
    assert SessionStore(session.session_key)["user"] == 5
    assert Limiter().check([POLICY], "x").allowed
    with pytest.raises(SessionStoreUnavailable, match="no user was logged out"):
        repeat(session.save)
    assert Limiter().check([POLICY], "x").reason == "unavailable"
    assert asyncio.run(read_session_error(session.session_key)) == "SessionStoreUnavailable"


async def read_session_error(key):
    try:
        await SessionStore(key).aload()
    except SessionStoreUnavailable as error:
        return type(error).__name__


def test_sessions_may_continue(emulator, settings, new_process_state):
    entry = make_entry(emulator, OPTIONS={"BUDGET": {"COMMANDS": 100, "SESSIONS": "continue"}})
    settings.CACHES = {"default": entry}
    use_until(caches["default"], "essential")
    session = SessionStore()
    for number in range(30):
        session["number"] = number
        session.save()
    assert get_stage(caches["default"]) == "local"
    assert SessionStore(session.session_key)["number"] == 29


def test_a_change_sends_signals(make_cache, emulator):
    cache, found = make_cache("rest", OPTIONS={"BUDGET": {"COMMANDS": 100}}), []

    def on_budget(alias, stage, previous, used, limit, backend, **_):
        found.append((alias, previous, stage, used >= 80, limit, backend))

    def on_backend(backend, reason, **_):
        found.append((backend, reason))

    budget_changed.connect(on_budget)
    backend_changed.connect(on_backend)
    try:
        use_until(cache, "essential")
    finally:
        budget_changed.disconnect(on_budget)
        backend_changed.disconnect(on_backend)
    assert found == [
        ("default", "within", "warn", True, 100, "upstash-rest"),
        ("default", "warn", "near", True, 100, "upstash-rest"),
        ("default", "near", "essential", True, 100, "local"),
        ("local", "95 % of the month's budget of 100 commands used"),
    ]


def test_near_copies_are_kept_longer_and_dropped_afterwards(make_cache, emulator):
    amounts = [100]
    budget = {"COMMANDS": lambda: amounts[0], "NEAR": 0.5, "NEAR_FACTOR": 1000.0}
    cache = make_cache("rest", OPTIONS={"NEAR": {"q:": 0.01}, "BUDGET": budget})
    use_until(cache, "near")
    cache.set("q:a", "old")
    with redis.Redis.from_url(emulator.redis_url) as other:
        other.set(cache.make_key("q:a"), "new")
    time.sleep(0.02)
    assert cache.get("q:a") == "old"
    amounts[0] = 10_000
    cache.database.failover.budget._checked_until = 0
    cache.get("other")
    assert get_stage(cache) == "within"
    assert cache.get("q:a") == "new"


@pytest.fixture
def budget_site(emulator, settings, new_process_state, monkeypatch):
    """A site whose budget of 200 commands is used up to the stage `warn`."""
    monkeypatch.setattr(registry._process, "budget_source", budget_source.StatisticsSource())
    settings.CONTINUUM_STATS = {"PLAN": "payg"}
    settings.CACHES = {"default": make_entry(emulator, OPTIONS={"BUDGET": {"DOLLARS": 0.0004}})}
    use_until(caches["default"], "warn")
    return settings


def call(*arguments):
    output = io.StringIO()
    call_command(*arguments, stdout=output)
    return output.getvalue()


def test_cache_stats_shows_the_budget(budget_site):
    text = call("cache_stats")
    assert re.search(r"Budget +\d+ of 200 commands \(8\d(\.\d)? %\), stage warn\n", text)
    (values,) = json.loads(call("cache_stats", "--format", "json"))["caches"]
    assert values["verdict"] == "degraded"
    assert values["status"]["budget"]["stage"] == "warn"
    percent = round(values["status"]["budget"]["used"] / 200 * 100)
    warning = f"Budget stage warn: {percent} % of the month's budget"
    assert values["warnings"][0].startswith(warning)
    text = call("cache_stats", "--format", "prometheus")
    assert 'continuum_cache_budget_stage{alias="default",stage="warn"} 1' in text
    assert 'continuum_cache_budget_used_ratio{alias="default"} 0.' in text


def test_a_new_process_shows_the_budget_too(budget_site):
    registry.reset()
    assert ", stage warn\n" in call("cache_stats")


def test_the_doctor_shows_the_budget(budget_site):
    cache = caches["default"]
    (finding,) = [each for each in examine(cache) if each.name == "budget"]
    assert (finding.outcome, finding.detail[:10]) == ("warning", "stage warn")
    use_until(cache, "essential")
    with pytest.raises(BudgetExceeded):
        repeat(lambda: cache.hset("hash", "field", 1))
    (finding,) = [each for each in examine(cache) if each.name == "budget"]
    assert finding.outcome == "failed"
    assert finding.fix == "Raise OPTIONS['BUDGET'], or wait for the next month."


def test_the_probe_and_the_metrics_show_the_stage(budget_site):
    budget_site.ROOT_URLCONF = "continuum_upstash.urls"
    response = Client().get("/ready/")
    assert response.status_code == 200
    values = response.json()["caches"]["default"]
    assert (values["verdict"], values["budget"]) == ("degraded", "warn")
    text = Client().get("/metrics/").content.decode()
    assert 'continuum_cache_budget_stage{alias="default",stage="warn"} 1' in text


def test_a_cache_that_fails_is_down(emulator, settings, new_process_state):
    entry = make_entry(emulator, OPTIONS={"FALLBACK": False, "BUDGET": {"COMMANDS": 100}})
    settings.CACHES = {"default": entry}
    settings.ROOT_URLCONF = "continuum_upstash.urls"
    with pytest.raises(BudgetExceeded):
        use_until(caches["default"], "local")
    assert Client().get("/ready/").json()["caches"]["default"]["verdict"] == "down"


def test_the_counter_begins_with_the_statistics(shared_statistics, emulator, monkeypatch, settings):
    for _ in range(60):
        caches["default"].get("k")
    entry = make_entry(emulator, KEY_PREFIX="shop", OPTIONS={"BUDGET": {"COMMANDS": 1000}})
    settings.CACHES = {"default": entry}
    monkeypatch.setattr(registry._process, "budget_source", budget_source.StatisticsSource())
    caches["default"].get("k")
    assert caches["default"].status.budget.used >= 60
