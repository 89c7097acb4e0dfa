"""What the checks find in CACHES."""

from __future__ import annotations

import re

import pytest
from django.core.checks import Tags, run_checks
from django.core.management import call_command
from django.core.management.base import SystemCheckError

from continuum_upstash.checks.caches import check_caches, check_caches_in_production
from tests.unit.checks.cache_entries import REST, get_ids, make_entry

UNVERIFIED = {"CONNECTION_POOL_KWARGS": {"ssl_cert_reqs": None}}
NULL = {"CONNECTION_POOL_KWARGS": None}


def test_valid_settings_have_no_findings():
    assert check_caches() == []
    assert get_ids(check_caches_in_production()) == ["I030"]


def test_messages_contain_no_secret(settings):
    settings.CACHES = {
        "default": make_entry(OPTIONS={"TOKEN": "literal-token", "READ_TIMEOUT": 60}),
        "tcp": make_entry("redis://default:pass-word@db.example.com"),
    }
    text = str([*check_caches(), *check_caches_in_production()])
    assert {"literal-token", "pass-word"} & set(re.findall(r"[\w-]+", text)) == set()
    assert "W011" in text


@pytest.mark.parametrize(
    ("caches", "expected"),
    [
        ({"default": make_entry("")}, ["E001"]),
        ({"default": make_entry("", OPTIONS={"MODE": "local"})}, []),
        ({"default": make_entry(OPTIONS={"POOLSIZE": 3})}, ["E002"]),
        ({"default": make_entry(OPTIONS={"MODE": "redis"})}, ["E002"]),
        ({"default": make_entry(KEY_FUNCTION="no.such.function")}, ["E002"]),
        ({"default": make_entry(KEY_FUNCTION=5)}, ["E002"]),
        ({"default": make_entry(REVERSE_KEY_FUNCTION="no.such.function")}, ["E002"]),
        ({"default": make_entry(), "b": make_entry(OPTIONS={"SERIALIZER": "json"})}, ["E003"]),
        (
            {"default": make_entry(), "b": make_entry(OPTIONS={"PICKLE": "never"}, KEY_PREFIX="b")},
            [],
        ),
        ({"default": make_entry(), "b": make_entry()}, ["W003"]),
        ({"default": make_entry(), "b": make_entry(KEY_PREFIX="b")}, []),
        ({"default": make_entry(KEY_PREFIX="b"), "b": make_entry(KEY_PREFIX="b:2")}, ["W024"]),
        ({"default": make_entry(KEY_PREFIX="b:2"), "b": make_entry(KEY_PREFIX="b")}, ["W024"]),
        ({"default": make_entry(KEY_PREFIX="b"), "b": make_entry(KEY_PREFIX="b:eu")}, []),
        ({"default": make_entry(KEY_PREFIX="b"), "b": make_entry(KEY_PREFIX="b2")}, []),
        (
            {
                "default": make_entry(KEY_PREFIX="b", VERSION="v2"),
                "b": make_entry(KEY_PREFIX="b:v2"),
            },
            ["W024"],
        ),
        ({"default": make_entry("http://db.example.com")}, ["E004"]),
        ({"default": make_entry("http://127.0.0.1:8000")}, []),
        ({"default": make_entry("redis://db.example.com")}, ["E004"]),
        ({"default": make_entry("rediss://db.example.com")}, []),
        ({"default": make_entry("redis://default:x@fly-late-1133.upstash.io:6379")}, []),
        ({"default": make_entry("redis://default:x@db-1133.upstash.io:6379")}, ["E004"]),
        ({"default": make_entry("unix:///run/redis.sock")}, []),
        ({"default": make_entry("https://u:s3[cret@db.example.com")}, ["E002"]),
        ({"default": make_entry("[x")}, ["E002"]),
        ({"default": make_entry("", LOCATION=["redis://127.0.0.1"])}, []),
        ({"default": make_entry(OPTIONS={"NEAR": {"query:": 2.0, "page:": 60}})}, []),
        ({"default": make_entry(OPTIONS={"NEAR": {"session:": 2.0}})}, ["E023"]),
        ({"default": make_entry(OPTIONS={"NEAR": {"se": 2.0}})}, ["E023"]),
        ({"default": make_entry(OPTIONS={"NEAR": {"rl:x": 2.0}})}, ["E023"]),
        ({"default": make_entry(OPTIONS={"NEAR": {"": 2.0}})}, ["E002"]),
    ],
)
def test_cache_entries(caches, expected, settings):
    settings.CACHES = caches
    assert get_ids(check_caches()) == expected


def test_settings_of_django_redis_without_effect_are_reported(settings):
    settings.DJANGO_REDIS_LOGGER = "my.logger"
    (found,) = check_caches()
    assert get_ids([found]) == ["W022"]
    assert found.msg.startswith("DJANGO_REDIS_LOGGER has no effect: outages are logged by")


def test_missing_credentials_are_a_warning_in_development(settings):
    settings.CACHES, settings.DEBUG = {"default": make_entry("")}, True
    assert get_ids(check_caches()) == ["W001"]


@pytest.mark.parametrize("debug", [True, False])
def test_the_hint_names_the_missing_variables_with_their_prefix(debug, settings):
    settings.CACHES = {"default": make_entry("", OPTIONS={"ENV_PREFIX": "SHOP_"})}
    settings.DEBUG = debug
    (found,) = check_caches()
    assert "SHOP_UPSTASH_REDIS_REST_URL and SHOP_UPSTASH_REDIS_REST_TOKEN" in found.hint


def test_missing_credentials_are_a_warning_for_the_test_runner(settings, monkeypatch):
    settings.CACHES = {"default": make_entry("")}
    monkeypatch.setattr("sys.argv", ["manage.py", "test", "shop"])
    assert get_ids(check_caches()) == ["W001"]


def test_a_prefix_that_is_set_is_named(settings, monkeypatch):
    settings.CACHES = {"default": make_entry("")}
    monkeypatch.setenv("STORAGE_KV_REST_API_URL", REST)
    (found,) = check_caches()
    assert found.id == "continuum_upstash.E001"
    assert "STORAGE_KV_REST_API_URL is set: to use it, set ENV_PREFIX = 'STORAGE_'" in found.msg


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "all_proxy"])
def test_a_proxy_that_cannot_be_used_is_named(variable, monkeypatch):
    monkeypatch.setenv(variable, "http://user:s3 cret@proxy:3128")
    (found,) = check_caches()
    assert found.id == "continuum_upstash.E002"
    assert f"The proxy in {variable} cannot be parsed" in found.msg
    assert "cret" not in found.msg


def test_the_source_of_the_proxy_is_reported(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://user:s3cret@proxy:3128")
    (found,) = check_caches_in_production()
    assert found.msg.endswith("token from OPTIONS, proxy from HTTPS_PROXY")


def test_an_unknown_option_is_reported_with_the_closest_valid_one(settings):
    settings.CACHES = {"default": make_entry(OPTIONS={"POOLSIZE": 3})}
    (found,) = check_caches()
    assert "POOL_SIZE" in found.msg


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"CACHES": {"default": make_entry(OPTIONS={"TOKEN": "literal"})}}, ["W010", "I030"]),
        ({"CACHES": {"default": make_entry("rediss://:pw@db.example.com")}}, ["W011", "I030"]),
        (
            {"CACHES": {"default": make_entry("rediss://db.example.com?ssl_cert_reqs=none")}},
            ["W019", "I030"],
        ),
        (
            {"CACHES": {"default": make_entry("rediss://db.example.com", OPTIONS=UNVERIFIED)}},
            ["W019", "I030"],
        ),
        ({"CACHES": {"default": make_entry("rediss://db.example.com", OPTIONS=NULL)}}, ["I030"]),
        ({"CACHES": {"default": make_entry(TIMEOUT=None)}}, ["W014", "I030"]),
        (
            {"CACHES": {"default": make_entry(TIMEOUT=None, OPTIONS={"TTL_BY_PREFIX": {"a:": 1}})}},
            ["I030"],
        ),
        ({"CACHES": {"default": make_entry("", OPTIONS={"MODE": "local"})}}, ["W017", "I030"]),
    ],
)
def test_caches_in_production(changes, expected, settings):
    for name, value in changes.items():
        setattr(settings, name, value)
    assert get_ids(check_caches_in_production()) == expected


def test_a_read_timeout_longer_than_the_platforms_limit(settings, monkeypatch):
    settings.CACHES = {"default": make_entry(OPTIONS={"READ_TIMEOUT": 30.0})}
    assert "W015" not in get_ids(check_caches_in_production())
    monkeypatch.setenv("VERCEL", "1")
    assert "W015" in get_ids(check_caches_in_production())


def test_a_read_only_token(settings, monkeypatch):
    settings.CACHES = {"default": make_entry(OPTIONS={"TOKEN": "reader"})}
    monkeypatch.setenv("KV_REST_API_READ_ONLY_TOKEN", "reader")
    assert get_ids(check_caches()) == ["W012"]


@pytest.mark.parametrize(
    ("location", "options", "prefix"),
    [
        ("", {"REST_URL": REST, "TOKEN": "reader"}, ""),
        ("", {"REST_URL": REST, "TOKEN": "reader", "MODE": "redis"}, ""),
        ("rediss://default:reader@db.upstash.io", {}, ""),
        (REST, {"TOKEN": "reader", "ENV_PREFIX": "S_"}, "S_"),
    ],
)
def test_a_read_only_token_over_tcp_or_with_a_prefix(
    location, options, prefix, settings, monkeypatch
):
    settings.CACHES = {"default": make_entry(location, OPTIONS=options)}
    monkeypatch.setenv(f"{prefix}KV_REST_API_READ_ONLY_TOKEN", "reader")
    (found,) = check_caches()
    assert found.id == "continuum_upstash.W012"
    assert f"the value of {prefix}KV_REST_API_READ_ONLY_TOKEN" in found.msg


def test_a_read_only_token_in_a_file(settings, monkeypatch, tmp_path):
    (tmp_path / "token").write_text("reader\n")
    monkeypatch.setenv("UPSTASH_REDIS_REST_URL", REST)
    monkeypatch.setenv("UPSTASH_REDIS_REST_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("KV_REST_API_READ_ONLY_TOKEN", '"reader"')
    settings.CACHES = {"default": make_entry("")}
    assert get_ids(check_caches()) == ["W012"]


def test_the_environment_may_select_local_mode(settings, monkeypatch):
    settings.CACHES = {"default": make_entry("", OPTIONS={"ENV_PREFIX": "S_"})}
    monkeypatch.setenv("S_CONTINUUM_CACHE_MODE", "Local")
    assert check_caches() == []
    assert get_ids(check_caches_in_production()) == ["W017", "I030"]


def test_a_wrong_entry_does_not_abort_the_checks_of_django(settings):
    settings.CACHES = {"default": make_entry(OPTIONS={"POOLSIZE": 3})}
    assert "continuum_upstash.E002" in [each.id for each in run_checks(tags=[Tags.caches])]
    with pytest.raises(SystemCheckError, match="Did you mean POOL_SIZE"):
        call_command("check")
