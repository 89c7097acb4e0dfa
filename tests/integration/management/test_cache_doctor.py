from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from continuum_upstash.errors import ConnectionFailed
from continuum_upstash.stats.shared.schema import day_key
from continuum_upstash.transports import registry
from tests.integration.management.command_runs import BACKEND, cache, entry, ran


@pytest.fixture(autouse=True)
def site(emulator, settings):
    settings.CACHES = {"default": entry(emulator)}
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    yield
    registry.reset()


def examined(*arguments):
    ended = ran("cache_doctor", "--format", "json", *arguments)
    (only,) = ended.json["caches"]
    return ended, {each["name"]: each for each in only["findings"]}


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_a_healthy_database(transport, emulator, settings):
    settings.CACHES = {"default": entry(emulator, transport)}
    ended, found = examined()
    assert ended.code == 0
    assert {each["outcome"] for each in found.values()} <= {"ok", "info"}
    assert {"connection", "round trip", "clock", "token", "eviction", "quota"} <= found.keys()
    assert found["configuration"]["detail"].endswith("from LOCATION, token from OPTIONS") or (
        transport == "tcp"
    )


def test_what_a_server_can_do_is_told_where_it_says_so(valkey, settings):
    settings.CACHES = {"default": {"BACKEND": BACKEND, "LOCATION": valkey.url}}
    _, found = examined()
    assert found["features"]["outcome"] == "ok"
    assert "EVAL" in found["features"]["detail"]
    assert "; not DELEX" in found["features"]["detail"]


def test_text_for_people():
    ended = ran("cache_doctor")
    assert (ended.code, ended.err) == (0, "")
    assert "Cache 'default'" in ended.out
    assert "20 pings" in ended.out


def test_it_costs_a_few_commands(emulator):
    with emulator.count() as spent:
        examined()
    assert spent.billed <= 40


def test_a_write_probe_leaves_nothing_behind(emulator):
    _, found = examined("--write")
    assert found["write"]["outcome"] == "ok"
    with emulator.fault("capacity"):
        ended, found = examined("--write")
    assert (ended.code, found["write"]["outcome"]) == (1, "failed")
    assert found["write"]["fix"]


def test_a_read_only_token_is_found_out(emulator, settings):
    settings.CACHES = {"default": entry(emulator, OPTIONS={"TOKEN": emulator.read_only_token})}
    ended, found = examined()
    assert (ended.code, found["token"]["outcome"]) == (1, "failed")
    assert "standard token" in found["token"]["fix"]


def test_it_claims_no_writing_that_it_has_not_tried():
    assert "--write tests" in examined()[1]["token"]["detail"]
    assert "--write" not in examined("--write")[1]["token"]["detail"]


def test_an_unknown_plan_is_no_failed_connection(settings):
    settings.CONTINUUM_STATS = {"PLAN": "gold"}
    ended, found = examined("--write")
    assert (ended.code, found["connection"]["outcome"], found["write"]["outcome"]) == (
        1,
        "ok",
        "ok",
    )
    assert (found["quota"]["outcome"], "gold" in found["quota"]["detail"]) == ("failed", True)


def test_a_month_that_cannot_be_read_is_told_as_such():
    cache().client.redis.set(day_key("default", datetime.now(UTC)), "text")
    _, found = examined()
    assert found["quota"]["outcome"] == "warning"
    assert "WRONGTYPE" in found["quota"]["detail"]


def test_a_wrong_token_is_told_from_an_outage(emulator, settings):
    settings.CACHES = {"default": entry(emulator, OPTIONS={"TOKEN": "wrong-token"})}
    ended, found = examined()
    assert (ended.code, found["connection"]["outcome"]) == (2, "failed")
    assert "Copy the token" in found["connection"]["fix"]
    assert "wrong-token" not in ended.out


def test_a_wrong_token_is_told_as_such_when_the_breaker_has_opened_for_it(emulator, settings):
    options = {"TOKEN": "of-another-database"}
    settings.CACHES = {"default": entry(emulator, OPTIONS=options)}
    cache().get("k")
    assert cache().status.state == "open"
    assert "they differ" in ran("cache_doctor").out


def test_an_outage(emulator):
    with emulator.fault("refuse"):
        ended, found = examined()
    assert (ended.code, found["connection"]["outcome"]) == (2, "failed")
    assert "manage.py upstash_emulator" in found["connection"]["fix"]
    assert f":{urlsplit(emulator.rest_url).port})" in found["connection"]["detail"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://db.upstash.io", "Does db.upstash.io resolve from here?"),
        ("http://10.0.0.5:8079", "IP allow list"),
        ("http://localhost:8079", "manage.py upstash_emulator"),
        ("http://[::1]:8079", "manage.py upstash_emulator"),
    ],
)
def test_who_does_not_answer_is_looked_for_where_it_is(url, words, settings, monkeypatch):
    settings.CACHES = {"default": {"BACKEND": BACKEND, "LOCATION": url, "OPTIONS": {"TOKEN": "t"}}}

    def refuse(*_):
        raise ConnectionFailed("Connection refused.", unsent=True)

    monkeypatch.setattr(registry.Database, "send", refuse)
    assert words in examined()[1]["connection"]["fix"]


def test_a_database_that_takes_too_long(emulator):
    with emulator.fault("latency", seconds=9):
        ended, found = examined()
    assert (ended.code, found["connection"]["outcome"]) == (2, "failed")


def test_a_used_up_quota(emulator):
    with emulator.fault("quota"):
        ended, found = examined()
    assert ended.code == 2
    assert "plan" in found["connection"]["fix"]


def test_a_wrong_configuration_is_a_finding(settings, emulator):
    settings.CACHES = {"default": entry(emulator, OPTIONS={"POOLSIZE": 1})}
    ended, found = examined()
    assert (ended.code, found["configuration"]["outcome"]) == (2, "failed")
    assert "POOL_SIZE" in found["configuration"]["detail"]


def test_a_local_cache_is_a_warning_that_may_fail(settings):
    settings.CACHES = {"default": entry(None, "local")}
    assert examined()[0].code == 0
    assert examined("--fail-on", "warning")[0].code == 1


def test_forgotten_variables_are_a_failure_in_production_and_a_warning_before(settings):
    settings.CACHES, settings.DEBUG = {"default": entry(None, "forgotten")}, False
    ended, found = examined()
    assert (ended.code, found["configuration"]["outcome"]) == (2, "failed")
    assert "UPSTASH_REDIS_REST_URL" in found["configuration"]["fix"]
    settings.DEBUG = True
    ended, found = examined()
    assert (ended.code, found["configuration"]["outcome"]) == (0, "warning")


@pytest.mark.parametrize("transport", ["forgotten", "local"])
def test_sessions_without_a_database_are_a_failure(transport, settings):
    settings.CACHES = {"default": entry(None, transport, OPTIONS={"ENV_PREFIX": "SESSIONS_"})}
    settings.SESSION_ENGINE, settings.DEBUG = "continuum_upstash.sessions", True
    ended, found = examined()
    assert (ended.code, found["sessions"]["outcome"]) == (1, "failed")
    assert "Set SESSIONS_UPSTASH_REDIS_REST_URL" in found["sessions"]["fix"]
    assert ("Remove MODE" in found["sessions"]["fix"]) is (transport == "local")
    settings.SESSION_ALLOW_EVICTION = True
    ended, found = examined()
    assert (ended.code, found["sessions"]["outcome"]) == (0, "info")


def test_an_unknown_alias():
    ended = ran("cache_doctor", "--cache", "nobody")
    assert (ended.code, "There is default." in ended.error) == (2, True)


def test_no_alias_of_ours(settings):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    ended = ran("cache_doctor")
    assert (ended.code, "BACKEND" in ended.error) == (2, True)
