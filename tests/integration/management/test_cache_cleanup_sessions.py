"""What clears a cache ends nobody's session, unless the sessions' cache was named."""

from __future__ import annotations

from importlib import import_module

import pytest

from continuum_upstash.transports import registry
from tests.integration.management.command_runs import cache, entry, ran

OURS = "continuum_upstash.sessions"


@pytest.fixture(autouse=True)
def site(emulator, settings):
    settings.CACHES = {
        "default": entry(emulator, KEY_PREFIX="shop"),
        "sessions": entry(emulator, KEY_PREFIX="shop-sessions"),
    }
    yield
    registry.reset()


@pytest.fixture
def log_in(settings):
    """Return a function that stores a session and returns whether it is still there."""

    def store(engine, alias):
        settings.SESSION_ENGINE, settings.SESSION_CACHE_ALIAS = engine, alias
        session = import_module(engine).SessionStore()
        session["_auth_user_id"] = "7"
        session.save()
        return lambda: import_module(engine).SessionStore(session.session_key).get("_auth_user_id")

    return store


def clean(*arguments):
    ended = ran("cache_cleanup", *arguments, "--no-input")
    assert ended.code == 0
    return ended


@pytest.mark.parametrize(
    ("transport", "engine"),
    [("rest", OURS), ("tcp", OURS), ("rest", "tests.integration.sessions.derived_sessions")],
)
def test_they_are_told_by_name_whatever_the_url_of_the_cache_is(
    transport, engine, log_in, emulator, settings
):
    there = entry(emulator, transport, KEY_PREFIX="shop")
    settings.CACHES = {**settings.CACHES, "default": there}
    logged_in = log_in(engine, "sessions")
    cache("sessions").set("query:1", 1)
    ended = clean("*", "--raw", "--all")
    assert (logged_in(), cache("sessions").get("query:1")) == ("7", None)
    assert "2 keys of sessions left alone: name their cache with --cache" in ended.out
    clean("*", "--raw", "--all", "--cache", "default")
    assert logged_in(), "their database was named, but not their cache"
    clean("*", "--raw", "--all", "--cache", "sessions")
    assert not logged_in()


def unversioned(key, prefix, version):
    return f"{prefix}:{key}"


def test_they_are_left_alone_where_keys_have_the_form_of_their_names(log_in, emulator, settings):
    versionless = entry(emulator, KEY_PREFIX="shop", KEY_FUNCTION=unversioned)
    settings.CACHES = {"default": versionless}
    logged_in = log_in(OURS, "default")
    cache().set("session:of-work", 1)
    ended = clean("--family", "session", "--format", "json")
    assert (ended.json["deleted"], ended.json["excluded"], logged_in()) == (1, 1, "7")


@pytest.mark.django_db
@pytest.mark.parametrize("kind", ["cache", "cached_db"])
def test_django_s_sessions_are_left_alone_too(kind, log_in):
    logged_in = log_in(f"django.contrib.sessions.backends.{kind}", "default")
    cache().set("query:1", 1)
    ended = clean("*", "--all", "--format", "json")
    assert (ended.json["deleted"], ended.json["excluded"], logged_in()) == (1, 1, "7")
    assert clean("*", "--all", "--cache", "default", "--format", "json").json["deleted"] == 1
