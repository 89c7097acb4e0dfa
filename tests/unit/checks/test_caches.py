from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core import checks as django_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command

from continuum_upstash.checks import caches as checks
from continuum_upstash.checks.caches import check_configuration, check_deployment, check_live
from continuum_upstash.checks.catalogue import TABLE

BACKEND = "continuum_upstash.backend.CacheBackend"
REST = "https://db.upstash.io"
UNCHECKED = {"CONNECTION_POOL_KWARGS": {"ssl_cert_reqs": None}}
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "checks.md"


def entry(location=REST, **params):
    options = {"TOKEN": lambda: "secret-token"} if location.startswith("http") else {}
    options |= params.pop("OPTIONS", {})
    return {"BACKEND": BACKEND, "LOCATION": location, "OPTIONS": options, **params}


def particular(key, prefix, version):
    if "/" not in key:
        raise ValueError("keys are namespace/name")
    return f"{prefix}:{version}:{key}"


@pytest.fixture(autouse=True)
def plain(settings, monkeypatch):
    """Settings and an environment that no check objects to."""
    names = ("UPSTASH", "KV_", "REDIS_URL", "CONTINUUM", "VERCEL", "AWS_")
    for name in [name for name in checks.os.environ if name.startswith(names)]:
        monkeypatch.delenv(name)
    settings.CACHES = {"default": entry()}
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    settings.DEBUG = False


def numbers(found):
    return [each.id.removeprefix("continuum_upstash.") for each in found]


def test_good_settings_have_nothing_to_object_to():
    assert check_configuration() == []
    assert numbers(check_deployment()) == ["I030"]


def test_what_the_checks_say_holds_no_secret(settings):
    settings.CACHES = {
        "default": entry(OPTIONS={"TOKEN": "literal-token", "READ_TIMEOUT": 60}),
        "tcp": entry("redis://default:pass-word@db.example.com"),
    }
    text = str([*check_configuration(), *check_deployment()])
    assert {"literal-token", "pass-word"} & set(re.findall(r"[\w-]+", text)) == set()
    assert "W011" in text


@pytest.mark.parametrize(
    ("caches", "expected"),
    [
        ({"default": entry("")}, ["E001"]),
        ({"default": entry("", OPTIONS={"MODE": "local"})}, []),
        ({"default": entry(OPTIONS={"POOLSIZE": 3})}, ["E002"]),
        ({"default": entry(OPTIONS={"MODE": "redis"})}, ["E002"]),
        ({"default": entry(), "b": entry(OPTIONS={"SERIALIZER": "json"})}, ["E003"]),
        ({"default": entry(), "b": entry(OPTIONS={"PICKLE": "never"}, KEY_PREFIX="b")}, []),
        ({"default": entry(), "b": entry()}, ["W003"]),
        ({"default": entry(), "b": entry(KEY_PREFIX="b")}, []),
        ({"default": entry("http://db.example.com")}, ["E004"]),
        ({"default": entry("http://127.0.0.1:8000")}, []),
        ({"default": entry("redis://db.example.com")}, ["E004"]),
        ({"default": entry("rediss://db.example.com")}, []),
    ],
)
def test_entries_of_caches(caches, expected, settings):
    settings.CACHES = caches
    assert numbers(check_configuration()) == expected


def test_without_credentials_development_is_warned_only(settings):
    settings.CACHES, settings.DEBUG = {"default": entry("")}, True
    assert numbers(check_configuration()) == ["W001"]


@pytest.mark.parametrize("debug", [True, False])
def test_the_variables_that_lack_are_named_with_their_prefix(debug, settings):
    settings.CACHES = {"default": entry("", OPTIONS={"ENV_PREFIX": "SHOP_"})}
    settings.DEBUG = debug
    (found,) = check_configuration()
    assert "SHOP_UPSTASH_REDIS_REST_URL and SHOP_UPSTASH_REDIS_REST_TOKEN" in found.hint


def test_an_unknown_option_is_answered_with_the_nearest(settings):
    settings.CACHES = {"default": entry(OPTIONS={"POOLSIZE": 3})}
    (found,) = check_configuration()
    assert "POOL_SIZE" in found.msg


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"CACHES": {"default": entry(OPTIONS={"TOKEN": "literal"})}}, ["W010", "I030"]),
        ({"CACHES": {"default": entry("rediss://:pw@db.example.com")}}, ["W011", "I030"]),
        (
            {"CACHES": {"default": entry("rediss://db.example.com?ssl_cert_reqs=none")}},
            ["W019", "I030"],
        ),
        (
            {"CACHES": {"default": entry("rediss://db.example.com", OPTIONS=UNCHECKED)}},
            ["W019", "I030"],
        ),
        (
            {
                "SESSION_ENGINE": "continuum_upstash.sessions",
                "MIDDLEWARE": ["django.contrib.sessions.middleware.SessionMiddleware"],
            },
            ["I030", "W018"],
        ),
        (
            {
                "SESSION_ENGINE": "continuum_upstash.sessions",
                "MIDDLEWARE": ["continuum_upstash.sessions.middleware.SessionMiddleware"],
            },
            ["I030"],
        ),
        ({"CACHES": {"default": entry(TIMEOUT=None)}}, ["W014", "I030"]),
        (
            {"CACHES": {"default": entry(TIMEOUT=None, OPTIONS={"TTL_BY_PREFIX": {"a:": 1}})}},
            ["I030"],
        ),
        ({"CACHES": {"default": entry("", OPTIONS={"MODE": "local"})}}, ["W017", "I030"]),
    ],
)
def test_deployments(changes, expected, settings):
    for name, value in changes.items():
        setattr(settings, name, value)
    assert numbers(check_deployment()) == expected


def test_a_wait_longer_than_the_platforms(settings, monkeypatch):
    settings.CACHES = {"default": entry(OPTIONS={"READ_TIMEOUT": 30.0})}
    assert "W015" not in numbers(check_deployment())
    monkeypatch.setenv("VERCEL", "1")
    assert "W015" in numbers(check_deployment())


def test_a_read_only_token(settings, monkeypatch):
    settings.CACHES = {"default": entry(OPTIONS={"TOKEN": "reader"})}
    monkeypatch.setenv("KV_REST_API_READ_ONLY_TOKEN", "reader")
    assert numbers(check_configuration()) == ["W012"]


@pytest.mark.parametrize(
    ("engine", "alias", "caches", "expected"),
    [
        ("continuum_upstash.sessions", "default", {"default": entry()}, []),
        ("continuum_upstash.sessions", "gone", {"default": entry()}, ["E005"]),
        (
            "continuum_upstash.sessions",
            "s",
            {"default": entry(), "s": entry(KEY_PREFIX="s")},
            ["W016"],
        ),
        (
            "continuum_upstash.sessions",
            "s",
            {"default": entry("https://db.upstash.io"), "s": entry("rediss://db.upstash.io/0")},
            ["W003", "W016"],
        ),
        (
            "continuum_upstash.sessions",
            "default",
            {"default": entry(KEY_PREFIX="shop", KEY_FUNCTION=lambda key, prefix, _: prefix + key)},
            ["W020"],
        ),
        (
            "continuum_upstash.sessions",
            "s",
            {
                "default": entry(KEY_FUNCTION=particular),
                "s": entry(KEY_PREFIX="s", KEY_FUNCTION=particular),
            },
            ["W016"],
        ),
        (
            "tests.integration.sessions.derived_sessions",
            "default",
            {"default": entry(), "other": entry(KEY_PREFIX="other")},
            ["W016"],
        ),
        ("django.contrib.sessions.backends.cache", "default", {"default": entry()}, ["W013"]),
        (
            "django.contrib.sessions.backends.cached_db",
            "default",
            {"default": entry(OPTIONS={"FALLBACK": False})},
            [],
        ),
    ],
)
def test_sessions(engine, alias, caches, expected, settings):
    settings.SESSION_ENGINE, settings.SESSION_CACHE_ALIAS = engine, alias
    settings.CACHES = caches
    assert numbers(check_configuration()) == expected


def test_the_statistics_are_checked_with_the_rest(settings):
    settings.CONTINUUM_STATS = {"SHARD": True}
    assert numbers(check_configuration()) == ["E006"]


def test_nobody_is_asked_unless_the_tag_is(monkeypatch):
    monkeypatch.setattr("sys.argv", ["manage.py", "check"])
    assert check_live() == []


def test_the_live_tag_alone_does_not_pass_what_is_misconfigured(settings, monkeypatch):
    monkeypatch.setattr("sys.argv", ["manage.py", "check", "--tag=continuum_upstash_live"])
    settings.CACHES = {"default": entry(OPTIONS={"POOLSIZE": 3})}
    assert numbers(check_live()) == ["E002"]


def test_the_live_tag_alone_does_not_pass_what_nobody_configured(settings, monkeypatch):
    monkeypatch.setattr("sys.argv", ["manage.py", "check", "--tag=continuum_upstash_live"])
    settings.CACHES = {"default": entry("")}
    assert numbers(check_live()) == ["E001"]


def test_the_local_mode_may_be_chosen_by_the_environment(settings, monkeypatch):
    settings.CACHES = {"default": entry("", OPTIONS={"ENV_PREFIX": "S_"})}
    monkeypatch.setenv("S_CONTINUUM_CACHE_MODE", "Local")
    assert check_configuration() == []
    assert numbers(check_deployment()) == ["W017", "I030"]


def test_djangos_own_check_opens_every_cache_and_ends_in_the_message_of_e002(settings):
    # As checks.md says; it may say better once Django does not.
    settings.CACHES = {"default": entry(OPTIONS={"POOLSIZE": 3})}
    with pytest.raises(ImproperlyConfigured, match="Did you mean POOL_SIZE"):
        call_command("check")


def test_django_runs_them():
    caches = {check.__name__ for check in django_checks.registry.registry.get_checks(True)}
    assert {"check_configuration", "check_deployment", "check_live"} <= caches


def test_each_check_has_its_section_and_no_other_has():
    sections = re.findall(r"^## ([A-Z]\d{3})$", PAGE.read_text(), re.MULTILINE)
    assert sections == list(TABLE)
