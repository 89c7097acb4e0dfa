from __future__ import annotations

import pytest
from django.test import Client, RequestFactory
from health_check.exceptions import ServiceUnavailable

from continuum_upstash.backend import get_cache
from continuum_upstash.health import views
from continuum_upstash.health_plugin import UpstashCache
from continuum_upstash.observe import unsubscribe
from continuum_upstash.stats.exporters import prometheus
from tests.integration.cache_entries import BACKEND, make_entry


@pytest.fixture(autouse=True)
def urls(site, new_process_state):
    site.ROOT_URLCONF = "continuum_upstash.urls"
    site.ALLOWED_HOSTS = ["*"]


def get(path):
    return Client().get(path)


def test_readiness():
    response = get("/ready/")
    assert response.status_code == 200
    assert response.json() == {
        "status": "ok",
        "caches": {"default": {"verdict": "ok", "backend": "upstash-rest", "state": "closed"}},
    }
    assert response["Cache-Control"] == "no-store"


def test_a_degraded_cache_is_ready_unless_strict(emulator):
    with emulator.fault("refuse"):
        assert (get("/ready/").status_code, get("/ready/").json()["status"]) == (200, "degraded")
        assert get("/ready/?strict=1").status_code == 503


def test_a_cache_that_is_down_is_not_ready(emulator, site):
    site.CACHES = {"default": make_entry(emulator, OPTIONS={"FALLBACK": False})}
    with emulator.fault("refuse"):
        assert get("/ready/").status_code == 503


@pytest.mark.parametrize(
    ("transport", "debug", "strict_code", "status"),
    [
        ("unconfigured", False, 503, "degraded"),
        ("unconfigured", True, 200, "ok"),
        ("local", False, 200, "ok"),
    ],
)
def test_a_missing_configuration_is_degraded_and_local_mode_is_not(
    transport, debug, strict_code, status, site
):
    site.CACHES, site.DEBUG = {"default": make_entry(None, transport)}, debug
    assert (get("/ready/").status_code, get("/ready/").json()["status"]) == (200, status)
    assert get("/ready/?strict=1").status_code == strict_code


HALF_A_PAIR = {"BACKEND": BACKEND, "OPTIONS": {"ENV_PREFIX": "HALF_"}}


@pytest.fixture
def half_a_pair(site, emulator, monkeypatch):
    monkeypatch.setenv("HALF_UPSTASH_REDIS_REST_URL", emulator.rest_url)
    site.CACHES = {"default": make_entry(emulator), "half": HALF_A_PAIR}


def test_half_a_pair_of_credentials_is_down_with_the_reason(half_a_pair):
    response = get("/ready/")
    assert (response.status_code, response["Content-Type"]) == (503, "application/json")
    caches = response.json()["caches"]
    assert caches["default"]["verdict"] == "ok"
    assert caches["half"] == {
        "verdict": "down",
        "backend": None,
        "state": None,
        "reason": (
            "Cache 'half': A REST URL is set (HALF_UPSTASH_REDIS_REST_URL), but no REST token. Set "
            "HALF_UPSTASH_REDIS_REST_URL and HALF_UPSTASH_REDIS_REST_TOKEN (REST), or "
            "HALF_UPSTASH_REDIS_URL (TCP)."
        ),
    }
    assert get("/live/").status_code == 200


@pytest.mark.parametrize("prometheus_extra", [True, False])
def test_metrics_omit_a_cache_that_is_misconfigured(half_a_pair, site, prometheus_extra):
    get_cache().get("k")
    site.CONTINUUM_STATS = {"PROMETHEUS": prometheus_extra}
    prometheus.start()
    try:
        assert get("/metrics/").status_code == 200
    finally:
        unsubscribe(prometheus.get_observer())


def test_a_key_function_that_cannot_be_imported_is_down_with_the_reason(site, emulator):
    site.CACHES = {"default": make_entry(emulator, KEY_FUNCTION="no.such.function")}
    response = get("/ready/")
    assert response.status_code == 503
    assert "KEY_FUNCTION cannot be imported" in response.json()["caches"]["default"]["reason"]


def test_an_error_of_the_configuration_is_down_although_fallback_is_on(site, emulator):
    site.CACHES = {"default": make_entry(emulator, OPTIONS={"TOKEN": lambda: None})}
    assert (get("/ready/").status_code, get("/ready/").json()["status"]) == (503, "down")


def test_liveness_does_not_contact_the_database(emulator):
    with emulator.fault("hang"), emulator.count() as spent:
        assert get("/live/").json() == {"status": "ok"}
    assert spent.requests == 0


def test_ten_probes_make_one_round_trip_that_is_not_billed(emulator):
    get_cache().client.ping()
    with emulator.count() as spent:
        for _ in range(10):
            get("/ready/")
    assert (spent.requests, spent.billed) == (1, 0)


def test_probes_show_no_host_and_no_error(emulator):
    with emulator.fault("refuse"):
        text = get("/ready/").content.decode()
    assert "127.0.0.1" not in text
    assert emulator.token not in text


def test_metrics_without_the_extra_are_those_of_this_process():
    get_cache().set("k", 1)
    get_cache().get("k")
    response = get("/metrics/")
    assert response["Content-Type"].startswith("text/plain")
    text = response.content.decode()
    assert 'continuum_cache_hits_total{alias="default"} 1' in text
    assert 'continuum_cache_breaker_state{alias="default",state="closed"} 1' in text


def test_metrics_of_the_extra(site):
    site.CONTINUUM_STATS = {"PROMETHEUS": True}
    prometheus.start()
    try:
        get_cache().get("k")
        text = views.metrics(RequestFactory().get("/")).content.decode()
    finally:
        unsubscribe(prometheus.get_observer())
    assert 'continuum_cache_breaker_state{alias="default",state="closed"} 1.0' in text
    assert 'continuum_cache_misses_total{alias="default",operation="GET"}' in text
    assert 'continuum_cache_memory_used_ratio{alias="default"}' in text


async def test_the_plugin_of_django_health_check_reports_an_error_of_the_configuration(half_a_pair):
    with pytest.raises(ServiceUnavailable, match="HALF_UPSTASH_REDIS_REST_URL"):
        await UpstashCache("half").run()


async def test_the_plugin_of_django_health_check(emulator):
    check = UpstashCache()
    await check.run()
    assert check.pretty_status() == "OK"
    with emulator.fault("refuse"):
        await check.run()
        assert check.pretty_status().startswith("degraded")
        with pytest.raises(Exception, match="degraded"):
            await UpstashCache(strict=True).run()
    await get_cache().database.aclose()
