"""Cleaning a cache keeps sessions unless --cache names their alias."""

from __future__ import annotations

from importlib import import_module

import pytest

from continuum_upstash.backend import get_cache
from tests.integration.cache_entries import make_entry
from tests.integration.management.command_runs import run_command

ENGINE = "continuum_upstash.sessions"


@pytest.fixture(autouse=True)
def session_cache(site, emulator):
    site.CACHES["sessions"] = make_entry(emulator, KEY_PREFIX="shop-sessions")


@pytest.fixture
def log_in(settings):
    """Return a function that stores a session and returns a function that reads it."""

    def store(engine, alias):
        settings.SESSION_ENGINE, settings.SESSION_CACHE_ALIAS = engine, alias
        session = import_module(engine).SessionStore()
        session["_auth_user_id"] = "7"
        session.save()
        return lambda: import_module(engine).SessionStore(session.session_key).get("_auth_user_id")

    return store


def run_cleanup(*arguments):
    run = run_command("cache_cleanup", *arguments, "--no-input")
    assert run.code == 0
    return run


@pytest.mark.parametrize(
    ("transport", "engine"),
    [("rest", ENGINE), ("tcp", ENGINE), ("rest", "tests.integration.sessions.derived_sessions")],
)
def test_sessions_are_recognised_in_a_cache_with_another_url(
    transport, engine, log_in, emulator, settings
):
    entry = make_entry(emulator, transport, KEY_PREFIX="shop")
    settings.CACHES = {**settings.CACHES, "default": entry}
    read_user = log_in(engine, "sessions")
    get_cache("sessions").set("query:1", 1)
    run = run_cleanup("*", "--raw", "--all")
    assert (read_user(), get_cache("sessions").get("query:1")) == ("7", None)
    assert "2 keys of sessions will be kept: pass --cache with their alias" in run.out
    run_cleanup("*", "--raw", "--all", "--cache", "default")
    assert read_user(), "--cache named another cache of their database"
    run_cleanup("*", "--raw", "--all", "--cache", "sessions")
    assert not read_user()


def make_key_without_version(key, prefix, version):
    return f"{prefix}:{key}"


def test_sessions_are_kept_where_keys_have_no_version(log_in, emulator, settings):
    entry = make_entry(emulator, KEY_PREFIX="shop", KEY_FUNCTION=make_key_without_version)
    settings.CACHES = {"default": entry}
    read_user = log_in(ENGINE, "default")
    get_cache().set("session:of-cache", 1)
    run = run_cleanup("--family", "session", "--format", "json")
    assert (run.json["deleted"], run.json["excluded"], read_user()) == (1, 0, "7")


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["cache", "cached_db"])
def test_sessions_of_django_engines_are_kept(kind, log_in):
    read_user = log_in(f"django.contrib.sessions.backends.{kind}", "default")
    get_cache().set("query:1", 1)
    run = run_cleanup("*", "--all", "--format", "json")
    assert (run.json["deleted"], run.json["excluded"], read_user()) == (1, 1, "7")
    assert run_cleanup("*", "--all", "--cache", "default", "--format", "json").json["deleted"] == 1
