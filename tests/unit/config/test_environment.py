"""Credentials in files, and in variables with a prefix that is not set."""

from __future__ import annotations

import re

import pytest

from continuum_upstash.config.resolve import resolve
from continuum_upstash.errors import ConfigurationError
from tests.unit.config.test_config import KV_ENV, REST, REST_ENV, TCP, prefixed


def put_in_files(folder, environ):
    """Return the variables that name files with these values."""
    for name, value in environ.items():
        (folder / name).write_text(f"{value}\n")
    return {f"{name}_FILE": str(folder / name) for name in environ}


@pytest.mark.parametrize("prefix", ["", "S_"])
@pytest.mark.parametrize("pair", [REST_ENV, KV_ENV])
def test_credentials_may_be_files(pair, prefix, tmp_path):
    environ = put_in_files(tmp_path, prefixed(prefix, pair))
    config = resolve({"ENV_PREFIX": prefix}, environ)
    assert (config.mode, config.rest_url, config.token.reveal()) == ("rest", *pair.values())
    assert {source for _, source in config.sources} == environ.keys()
    one_file = dict([environ.popitem()]) | dict(list(prefixed(prefix, pair).items())[:1])
    assert resolve({"ENV_PREFIX": prefix}, one_file) == config
    assert config.has_rotating_credentials


@pytest.mark.parametrize("name", ["UPSTASH_REDIS_URL", "KV_URL", "REDIS_URL"])
def test_a_redis_url_may_be_a_file_that_changes(name, tmp_path):
    environ = put_in_files(tmp_path, {name: TCP})
    config = resolve({}, environ)
    assert (config.mode, config.redis_url.reveal(), config.is_upstash) == ("redis", TCP, True)
    assert (config.sources, config.has_rotating_credentials) == (
        (("redis_url", f"{name}_FILE"),),
        True,
    )
    (tmp_path / name).write_text("redis://:pw@localhost:1\n")
    assert (config.redis_url.reveal(), config.port) == ("redis://:pw@localhost:1", 1)
    assert resolve({}, environ) == config


@pytest.mark.parametrize(
    ("files", "variables", "message"),
    [
        (REST_ENV, {"UPSTASH_REDIS_REST_URL": REST}, "UPSTASH_REDIS_REST_URL_FILE are both set"),
        ({"KV_REST_API_TOKEN": "s3cret"}, {}, "token is set (KV_REST_API_TOKEN_FILE), but no REST"),
        ({"UPSTASH_REDIS_URL": "rediss://u:3#s3cret@db"}, {}, "(UPSTASH_REDIS_URL_FILE) cannot be"),
        (
            {"UPSTASH_REDIS_REST_URL": REST, "UPSTASH_REDIS_REST_TOKEN": "s3 cret"},
            {},
            "UPSTASH_REDIS_REST_TOKEN_FILE has characters",
        ),
        ({}, {"REDIS_URL_FILE": "/nowhere/url"}, "REDIS_URL_FILE names the file '/nowhere/url'"),
    ],
)
def test_a_file_without_valid_credentials_is_named(files, variables, message, tmp_path):
    with pytest.raises(ConfigurationError, match=re.escape(message)) as caught:
        resolve({}, put_in_files(tmp_path, files) | variables)
    assert "cret" not in str(caught.value)


def test_a_token_that_may_change_is_a_password_that_may_change(tmp_path):
    files = put_in_files(tmp_path, {"UPSTASH_REDIS_REST_TOKEN": "t0ken"})
    environ = {"UPSTASH_REDIS_REST_URL": REST} | files
    for options, variables in (({"REST_URL": REST, "TOKEN": list}, {}), ({}, environ)):
        config = resolve({"MODE": "redis"} | options, variables)
        assert config.redis_url.reveal() == "rediss://db.upstash.io:6379"
        assert not config.token.is_fixed


@pytest.mark.parametrize(
    ("names", "prefix", "hint"),
    [
        (["STORAGE_KV_REST_API_URL", "STORAGE_KV_REST_API_TOKEN"], "", "ENV_PREFIX = 'STORAGE_'"),
        (["REDIS_KV_REST_API_URL", "REDIS_REDIS_URL"], "", "ENV_PREFIX = 'REDIS_'"),
        (["UPSTASH_REDIS_REST_KV_REST_API_URL"], "", "ENV_PREFIX = 'UPSTASH_REDIS_REST_'"),
        (["SHOP_UPSTASH_REDIS_REST_URL_FILE"], "", "SHOP_UPSTASH_REDIS_REST_URL_FILE is set"),
        (
            ["SHOP_KV_REST_API_URL"],
            "SHOP",
            "SHOP_KV_REST_API_URL is set: to use it, set ENV_PREFIX",
        ),
        (["A_KV_REST_API_URL", "B_UPSTASH_REDIS_URL"], "", "ENV_PREFIX = 'B_'"),
        (["CELERY_REDIS_URL", "MY_KV_URL", "KV_REST_API_READ_ONLY_TOKEN"], "", ""),
    ],
)
def test_the_setup_hint_names_a_prefix_that_is_set(names, prefix, hint):
    environ = dict.fromkeys(names, "s3cret")
    config = resolve({"ENV_PREFIX": prefix}, environ)
    assert config.unconfigured
    assert hint in config.setup_hint
    assert ("is set: to use it" in config.setup_hint) is bool(hint)
    assert "s3cret" not in config.setup_hint
    with pytest.raises(ConfigurationError, match=hint or "no database is configured"):
        resolve({"ENV_PREFIX": prefix, "FALLBACK": False}, environ)
