"""A database that evicts keys when it is full: check, doctor and panel agree on its use."""

from __future__ import annotations

import pytest

from continuum_upstash.checks.live import check_live
from continuum_upstash.emulator.process import running
from continuum_upstash.transports import registry
from tests.integration.cache_entries import make_entry
from tests.integration.management.command_runs import run_command
from tests.integration.panel.panel_html import Page
from tests.integration.panel.panel_site import Accounts, page

CONTINUUM_ENGINE = "continuum_upstash.sessions"
CACHE_ENGINE = "django.contrib.sessions.backends.cache"
CACHED_DB_ENGINE = "django.contrib.sessions.backends.cached_db"


@pytest.fixture(scope="module")
def evicting():
    with running("--eviction") as emulator:
        yield emulator


@pytest.fixture(autouse=True)
def site(evicting, settings, monkeypatch):
    settings.CACHES = {"default": make_entry(evicting)}
    monkeypatch.setattr("sys.argv", ["manage.py", "check", "--tag", "continuum_upstash_live"])
    yield
    registry.reset()


@pytest.mark.parametrize(
    ("engine", "accepted", "checks", "outcome"),
    [
        (CONTINUUM_ENGINE, False, ["E041"], "failed"),
        (CONTINUUM_ENGINE, True, ["I041"], "info"),
        (CACHE_ENGINE, False, ["E041"], "failed"),
        (CACHE_ENGINE, True, ["I041"], "info"),
        (CACHED_DB_ENGINE, False, [], "ok"),
    ],
)
def test_eviction_of_sessions_is_an_error_unless_it_is_accepted(
    engine, accepted, checks, outcome, settings
):
    settings.SESSION_ENGINE, settings.SESSION_ALLOW_EVICTION = engine, accepted
    assert [each.id.removeprefix("continuum_upstash.") for each in check_live()] == checks
    run = run_command("cache_doctor", "--format", "json")
    (found,) = (each for each in run.json["caches"][0]["findings"] if each["name"] == "eviction")
    assert (found["outcome"], run.code) == (outcome, 1 if outcome == "failed" else 0)
    assert ("SESSION_ALLOW_EVICTION" in found["detail"]) == accepted


def test_eviction_of_rate_limits_is_a_warning(settings):
    settings.CONTINUUM_RATELIMIT = {"POLICIES": {"api": {"rate": "5/m"}}}
    assert [each.id for each in check_live()] == ["continuum_upstash.W205"]
    run = run_command("cache_doctor", "--format", "json")
    (found,) = (each for each in run.json["caches"][0]["findings"] if each["name"] == "eviction")
    assert (found["outcome"], run.code) == ("warning", 0)
    assert "ALIAS" in found["fix"]


def test_the_panel_warns_if_eviction_is_accepted(client, transactional_db, settings):
    settings.ROOT_URLCONF = "tests.integration.panel.panel_site"
    settings.SESSION_ENGINE, settings.SESSION_ALLOW_EVICTION = CONTINUUM_ENGINE, True
    client.force_login(Accounts().operator())
    text = Page(client.get(page())).text
    assert "including sessions, when it is full (optimistic-volatile)" in text
    assert "SESSION_ALLOW_EVICTION allows this" in text


@pytest.mark.parametrize(("using", "expected"), [("default", ["E304"]), ("other", [])])
def test_eviction_of_tasks_is_an_error(using, expected, settings):
    backend = "continuum_upstash.federation.tasks.UpstashTasks"
    settings.TASKS = {"default": {"BACKEND": backend, "OPTIONS": {"USING": using}}}
    assert [each.id for each in check_live()] == [f"continuum_upstash.{each}" for each in expected]


@pytest.mark.parametrize(("alias", "outcome"), [("default", "failed"), ("other", "ok")])
def test_eviction_of_queues_is_an_error(alias, outcome, settings):
    settings.CONTINUUM_FEDERATION = {"ALIAS": alias}
    assert len(check_live()) == (outcome == "failed")
    run = run_command("cache_doctor", "--format", "json")
    (found,) = (each for each in run.json["caches"][0]["findings"] if each["name"] == "eviction")
    assert (found["outcome"], "jobs" in found["detail"]) == (outcome, outcome == "failed")
