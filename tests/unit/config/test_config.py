from __future__ import annotations

import math
import pickle
import re

import pytest

from continuum_upstash.config.hashable import from_hashable, to_hashable
from continuum_upstash.config.resolve import Config, resolve
from continuum_upstash.errors import ConfigurationError

REST = "https://db.upstash.io"
TCP = "rediss://default:s3cret@db.upstash.io:6379"
REST_ENV = {"UPSTASH_REDIS_REST_URL": REST, "UPSTASH_REDIS_REST_TOKEN": "t0ken"}
KV_ENV = {"KV_REST_API_URL": "https://kv.upstash.io", "KV_REST_API_TOKEN": "kv-t0ken"}
DERIVED = "rediss://default:t0ken@db.upstash.io:6379"
KV_DERIVED = "rediss://default:kv-t0ken@kv.upstash.io:6379"
NONE = (None, None)
UNIX = "unix:///run/redis.sock"


class Unhashable:
    __hash__ = None

    def __call__(self):
        return "t0ken"


def prefixed(prefix, environ):
    return {prefix + name: value for name, value in environ.items()}


@pytest.mark.parametrize(
    ("options", "environ", "location", "expected"),
    [
        ({}, {}, "", ("local", None, None, None)),
        ({}, REST_ENV, "", ("rest", REST, "t0ken", None)),
        ({}, KV_ENV, "", ("rest", "https://kv.upstash.io", "kv-t0ken", None)),
        ({}, REST_ENV | KV_ENV, "", ("rest", REST, "t0ken", None)),
        ({}, {"UPSTASH_REDIS_URL": TCP}, "", ("redis", None, None, TCP)),
        ({}, {"KV_URL": TCP}, "", ("redis", None, None, TCP)),
        ({}, {"REDIS_URL": "redis://h:1/0"}, "", ("redis", None, None, "redis://h:1/0")),
        ({}, REST_ENV | {"REDIS_URL": TCP}, "", ("rest", REST, "t0ken", None)),
        ({"MODE": "redis"}, REST_ENV | {"REDIS_URL": TCP}, "", ("redis", None, None, TCP)),
        ({"MODE": "local"}, REST_ENV, "", ("local", None, None, None)),
        ({"MODE": "upstash"}, REST_ENV, "", ("rest", REST, "t0ken", None)),
        # The token is the password.
        ({"MODE": "redis"}, REST_ENV, "", ("redis", None, None, DERIVED)),
        ({"MODE": "redis", "REST_URL": REST, "TOKEN": "t0ken"}, {}, "", ("redis", *NONE, DERIVED)),
        ({}, KV_ENV | {"CONTINUUM_CACHE_MODE": "redis"}, "", ("redis", *NONE, KV_DERIVED)),
        (
            {"MODE": "redis", "REST_URL": "http://[::1]:8079/path", "TOKEN": "t0/k@n"},
            {},
            "",
            ("redis", *NONE, "redis://default:t0%2Fk%40n@[::1]:6379"),
        ),
        ({"TOKEN": "a"}, {}, "rediss://h:1", ("redis", *NONE, "rediss://default:a@h:1")),
        ({"TOKEN": "a"}, {}, "rediss://me@h", ("redis", *NONE, "rediss://me:a@h")),
        ({"TOKEN": "a"}, {}, "rediss://:pw@h", ("redis", *NONE, "rediss://:pw@h")),
        (
            {"TOKEN": "a", "REDIS_URL": "rediss://h"},
            {},
            "",
            ("redis", *NONE, "rediss://default:a@h"),
        ),
        ({"TOKEN": "a", "REDIS_URL": "rediss://h"}, REST_ENV, "", ("rest", REST, "a", None)),
        (
            {},
            REST_ENV,
            "https://DB.upstash.io.:443/",
            ("rest", "https://DB.upstash.io.:443", "t0ken", None),
        ),
        ({"TOKEN": "a"}, {}, UNIX, ("redis", *NONE, UNIX)),
        ({}, {"REDIS_URL": f" {UNIX} "}, "", ("redis", *NONE, UNIX)),
        ({}, REST_ENV | {"CONTINUUM_CACHE_MODE": "local"}, "", ("local", None, None, None)),
        ({}, REST_ENV, TCP, ("redis", None, None, TCP)),
        ({"TOKEN": "mine"}, {}, REST, ("rest", REST, "mine", None)),
        ({"TOKEN": "mine"}, REST_ENV, "https://x.io/", ("rest", "https://x.io", "mine", None)),
        ({}, {"UPSTASH_REDIS_REST_TOKEN": "t0ken"}, REST, ("rest", REST, "t0ken", None)),
        ({}, REST_ENV, f"{REST}/", ("rest", REST, "t0ken", None)),
        ({"REST_URL": REST, "TOKEN": "a"}, KV_ENV, "", ("rest", REST, "a", None)),
        (
            {"ENV_PREFIX": "SESSIONS_"},
            REST_ENV | prefixed("SESSIONS_", KV_ENV),
            "",
            ("rest", "https://kv.upstash.io", "kv-t0ken", None),
        ),
        ({"ENV_PREFIX": "SESSIONS_"}, REST_ENV, "", ("local", None, None, None)),
        (
            {},
            {"UPSTASH_REDIS_REST_URL": f' "{REST}" \n', "UPSTASH_REDIS_REST_TOKEN": "'t0ken'\n"},
            "",
            ("rest", REST, "t0ken", None),
        ),
    ],
)
def test_arguments_come_before_options_before_environment(options, environ, location, expected):
    config = resolve(options, environ, location=location)
    reveal = [secret and secret.reveal() for secret in (config.token, config.redis_url)]
    assert (config.mode, config.rest_url, *reveal) == expected


@pytest.mark.parametrize(
    ("options", "environ", "location", "message"),
    [
        ({"TOKN": "x"}, {}, "", "Unknown option TOKN. Did you mean TOKEN?"),
        ({"POOLSIZE": 3}, {}, "", "Did you mean POOL_SIZE?"),
        ({}, {"UPSTASH_REDIS_REST_URL": REST}, "", "URL is set (UPSTASH_REDIS_REST_URL), but no"),
        ({}, {"KV_REST_API_TOKEN": "x"}, "", "token is set (KV_REST_API_TOKEN), but no REST URL"),
        ({}, {"UPSTASH_REDIS_REST_URL": REST} | KV_ENV, "", "but no REST token"),
        ({}, {}, REST, "URL is set (LOCATION), but no REST token"),
        ({"MODE": "rest"}, {"REDIS_URL": TCP}, "", "MODE is rest, but no URL is set"),
        ({"MODE": "redis"}, REST_ENV, REST, "LOCATION is a rest URL, but MODE is redis"),
        ({"MODE": "tcp"}, {}, "", "MODE is 'tcp'. Set it to auto, rest, redis or local"),
        ({}, {"CONTINUUM_CACHE_MODE": "foo"}, "", "CONTINUUM_CACHE_MODE is 'foo'. Set it to auto"),
        (
            {"ENV_PREFIX": "S_"},
            {"S_CONTINUUM_CACHE_MODE": "foo", "CONTINUUM_CACHE_MODE": "rest"},
            "",
            "S_CONTINUUM_CACHE_MODE is 'foo'",
        ),
        ({}, {"CONTINUUM_CACHE_MODE": "rest"}, "", "CONTINUUM_CACHE_MODE is rest, but no URL"),
        ({}, {"CONTINUUM_CACHE_MODE": "redis"}, REST, "but CONTINUUM_CACHE_MODE is redis"),
        ({"COMPRESSOR": "x"}, {}, "", "Set COMPRESS_MIN_BYTES"),
        ({}, {}, "127.0.0.1:6379", "Write https://127.0.0.1 (REST) or rediss://127.0.0.1 (TCP)"),
        ({}, {}, "default:s3cret@db.upstash.io:6379", "Write https://db.upstash.io (REST)"),
        ({}, {}, "s3cretAbc", "must have the form https://"),
        ({}, {}, [], "one URL, as a string"),
        ({}, REST_ENV, "https://x.io", "LOCATION and UPSTASH_REDIS_REST_URL are different"),
        ({"REST_URL": "https://x.io"}, KV_ENV, "", "KV_REST_API_TOKEN is for the second"),
        ({"TOKEN": "x"}, {}, "ftp://db", "must have the form https://"),
        ({"TOKEN": "x"}, {}, "https://db:port", "cannot be parsed"),
        ({"TOKEN": "x"}, {}, "https://u:s3cret@db", "a scheme and a host only"),
        ({"TOKEN": "x"}, {}, "https://:s3cret@db", "a scheme and a host only"),
        ({"TOKEN": "two words"}, {}, REST, "Copy it again"),
        ({"TOKEN": 5}, {}, REST, "must be a string or a callable"),
        ({"TOKEN": "''"}, {}, REST, "TOKEN must not be empty"),
        ({}, {"KV_REST_API_TOKEN": "s3 cret"}, REST, "KV_REST_API_TOKEN has characters"),
        ({"TOKEN": Unhashable()}, {}, REST, "that is hashable"),
        ({"TOKEN": "x"}, {}, "https://db#s3cret", "a scheme and a host only"),
        ({"TOKEN": "x"}, {}, "https://a..b", "cannot be parsed"),
        ({"TOKEN": "x"}, {}, "[x", "must have the form https://"),
        ({"TOKEN": "x"}, {}, "https://u:s3[cret@db", "The URL (LOCATION) cannot be parsed"),
        ({}, {}, "rediss://u:s3]cret@db", "The URL (LOCATION) cannot be parsed"),
        ({}, {"KV_URL": "rediss://u:s3\u2100cret@db"}, "", "The URL (KV_URL) cannot be parsed"),
        ({"REDIS_URL": "rediss://u:3#s3cret@db"}, {}, "", "percent-encode the special characters"),
        ({}, {}, "/run/redis.sock", "must have the form https://"),
        ({}, {"REDIS_URL": "/run/redis.sock"}, "", "Write unix:///path/of/the/socket"),
        ({}, {"REDIS_URL": "//u:s3cret@db.upstash.io"}, "", "(REDIS_URL) has no scheme"),
        ({}, {"REDIS_URL": "unix://run/redis.sock"}, "", "form unix:///path/of/the/socket"),
        ({}, {"REDIS_URL": "unix:/run/redis.sock"}, "", "form unix:///path/of/the/socket"),
        ({"MODE": "redis"}, {"UPSTASH_REDIS_REST_URL": REST}, "", "but no REST token"),
        ({}, {"REDIS_URL": TCP + "/3"}, "", "only database 0"),
        ({"POOL_SIZE": 0}, {}, "", "POOL_SIZE must be a whole number above 0"),
        ({"POOL_SIZE": True}, {}, "", "POOL_SIZE must be a whole number"),
        ({"READ_TIMEOUT": None}, {}, "", "READ_TIMEOUT must be seconds above 0"),
        ({"READ_TIMEOUT": float("inf")}, {}, "", "READ_TIMEOUT must be seconds"),
        ({"READ_TIMEOUT": 10**400}, {}, "", "READ_TIMEOUT must be seconds"),
        ({"FALLBACK": "yes"}, {}, "", "FALLBACK must be True or False"),
        ({"FALLBACK": False}, {}, "", "no database is configured. Set UPSTASH_REDIS_REST_URL and"),
        ({}, {"CONTINUUM_CACHE_FALLBACK": "off"}, "", "CONTINUUM_CACHE_FALLBACK is False, but no"),
        ({"SERIALIZER": "pickle"}, {}, "", "SERIALIZER must be msgpack or json"),
        ({"ON_FULL": "ignore"}, {}, "", "ON_FULL must be drop or raise"),
        ({"ON_FUL": "raise"}, {}, "", "Did you mean ON_FULL"),
        ({"TTL_BY_PREFIX": {"a": "b"}}, {}, "", "TTL_BY_PREFIX must map"),
        ({"TTL_BY_PREFIX": ["a"]}, {}, "", "TTL_BY_PREFIX must be a dict"),
        ({"NEAR": 2.0}, {}, "", 'NEAR must be a dict, for example {"query:": 2.0}'),
        ({"NEAR": {"query:": 0}}, {}, "", "NEAR['query:'] must be seconds above 0, not 0"),
        ({"NEAR": {"query:": True}}, {}, "", "NEAR['query:'] must be seconds above 0, not True"),
        ({"NEAR": {"query:": math.inf}}, {}, "", "NEAR['query:'] must be seconds above 0"),
        ({"NEAR": {"": 2.0}}, {}, "", "NEAR must name the first characters of the keys"),
        ({"NEAR": {7: 2.0}}, {}, "", "NEAR must name the first characters of the keys"),
        ({"NEAR_SCOPE": "x"}, {}, "", "Unknown option NEAR_SCOPE"),
        ({"NEAR_MAX_BYTE": 5}, {}, "", "Did you mean NEAR_MAX_BYTES"),
        ({"NEAR_MAX_ENTRIES": 0}, {}, "", "NEAR_MAX_ENTRIES must be a whole number above 0"),
        ({"ENV_PREFIX": 5}, {}, "", "ENV_PREFIX must be a string"),
        ({}, {"UPSTASH_POOL_SIZE": "many"}, "", "UPSTASH_POOL_SIZE is 'many'"),
        ({}, {"UPSTASH_POOL_SIZE": "0"}, "", "UPSTASH_POOL_SIZE is '0'"),
        ({"ENV_PREFIX": "S_"}, {"S_UPSTASH_POOL_SIZE": "x"}, "", "S_UPSTASH_POOL_SIZE is 'x'"),
        ({}, {"CONTINUUM_CACHE_FALLBACK": "perhaps"}, "", "Set it to true or false"),
    ],
)
def test_an_invalid_configuration_is_reported_with_its_fix(options, environ, location, message):
    with pytest.raises(ConfigurationError, match=re.escape(message)) as caught:
        resolve(options, environ, alias="mine", location=location)
    assert str(caught.value).startswith("Cache 'mine': ")
    assert "s3" not in str(caught.value)
    assert "cret" not in str(caught.value)


def test_options_take_precedence_over_the_environment():
    environ = {
        "CONTINUUM_CACHE_FALLBACK": "off",
        "UPSTASH_POOL_SIZE": "3",
        "UPSTASH_ENABLE_TELEMETRY": "1",
    }
    config = resolve({}, environ | REST_ENV)
    assert (config.fallback, config.pool_size, config.telemetry) == (False, 3, True)
    assert resolve({"POOL_SIZE": 4}, environ | REST_ENV).pool_size == 4
    environ |= prefixed("S_", {"UPSTASH_POOL_SIZE": "5"} | REST_ENV)
    assert resolve({"ENV_PREFIX": "S_"}, environ).pool_size == 5
    assert Config().telemetry is False


@pytest.mark.parametrize(
    ("options", "environ", "location"),
    [
        ({"FALLBACK": False}, {}, ""),
        ({"MODE": "rest"}, {}, ""),
        ({}, {"S_UPSTASH_REDIS_REST_URL": REST}, ""),
        ({}, {"S_UPSTASH_REDIS_REST_TOKEN": "t0ken"}, ""),
        ({"TOKEN": "x"}, {}, "ftp://db"),
        ({"TOKEN": "x"}, {}, "https://db:port"),
        ({"TOKEN": "x"}, {}, "https://u:p@db"),
    ],
)
def test_what_to_set_has_the_prefix(options, environ, location):
    with pytest.raises(ConfigurationError, match="Set S_UPSTASH_REDIS_REST_URL and S_UPSTASH"):
        resolve({"ENV_PREFIX": "S_", **options}, environ, location=location)


def test_a_local_mode_without_credentials_is_unconfigured():
    assert resolve({}, {}).unconfigured
    assert not resolve({}, REST_ENV).unconfigured
    for chosen in (
        resolve({"MODE": "local", "FALLBACK": False}, {}),
        resolve({"FALLBACK": False}, {"CONTINUUM_CACHE_MODE": "local"}),
    ):
        assert (chosen.mode, chosen.unconfigured) == ("local", False)


def test_equal_configurations_share_and_others_do_not():
    options = {"CONNECTION_POOL_KWARGS": {"max_connections": 5, "retry_on_error": [OSError]}}
    one = resolve(options, {"REDIS_URL": "redis://h"})
    same = resolve(options, {"UPSTASH_REDIS_URL": "redis://h"})
    other = resolve({}, {"REDIS_URL": "redis://h"})
    assert (one, hash(one)) == (same, hash(same))
    assert one != other
    assert from_hashable(one.redis_options) == options


def test_secrets_are_hidden_in_repr():
    config = resolve({}, REST_ENV)
    tcp = resolve({}, {"REDIS_URL": TCP})
    shown = f"{config} {config!r} {config.token} {tcp} {tcp.redis_url!s} {tcp.label} {config.label}"
    assert "t0ken" not in shown
    assert "s3cret" not in shown
    assert "db.upstash.io" in shown


def test_a_callable_token_is_called_each_time():
    tokens = iter(["first", "second"])
    config = resolve({"TOKEN": lambda: next(tokens)}, {}, location=REST)
    assert [config.token.reveal(), config.token.reveal()] == ["first", "second"]


def test_sources_name_the_origin_of_each_credential():
    assert resolve({"TOKEN": "x"}, {}, location=REST).sources == (
        ("rest_url", "LOCATION"),
        ("token", "OPTIONS"),
    )
    environ = prefixed("S_", {"REDIS_URL": TCP})
    assert resolve({"ENV_PREFIX": "S_"}, environ).sources == (("redis_url", "S_REDIS_URL"),)


@pytest.mark.parametrize(
    ("options", "environ", "source"),
    [
        ({"MODE": "redis"}, {}, "OPTIONS"),
        ({}, {"CONTINUUM_CACHE_MODE": "redis"}, "CONTINUUM_CACHE_MODE"),
        ({"ENV_PREFIX": "S_"}, {"S_CONTINUUM_CACHE_MODE": "redis"}, "S_CONTINUUM_CACHE_MODE"),
        ({"ENV_PREFIX": "S_"}, {"CONTINUUM_CACHE_MODE": "redis"}, "CONTINUUM_CACHE_MODE"),
        ({"MODE": "auto"}, {}, None),
    ],
)
def test_sources_name_the_origin_of_the_mode(options, environ, source):
    found = resolve(options, environ, location=TCP).sources
    assert dict(found) == {"redis_url": "LOCATION"} | ({"mode": source} if source else {})


@pytest.mark.parametrize(
    ("url", "address"),
    [
        (REST, "db.upstash.io"),
        (f"{REST}:443", "db.upstash.io"),
        ("http://127.0.0.1:8079", "127.0.0.1:8079"),
        ("http://[::1]:8079", "[::1]:8079"),
        ("http://localhost", "localhost"),
        (TCP, "db.upstash.io"),
        ("redis://127.0.0.1:6380/0", "127.0.0.1:6380"),
        ("https://db.upstash.io.", "db.upstash.io"),
        (UNIX, "/run/redis.sock"),
    ],
)
def test_messages_include_a_port_that_is_not_the_default(url, address):
    config = resolve({"TOKEN": "x"} if url.startswith("http") else {}, {}, location=url)
    assert (config.address, f", {address})" in config.label) == (address, True)


def test_upstash_is_recognized_by_its_host_over_tcp():
    assert resolve({}, {"REDIS_URL": TCP}).is_upstash
    assert not resolve({}, {"REDIS_URL": "redis://127.0.0.1"}).is_upstash
    assert resolve({}, {"REDIS_URL": "rediss://db.upstash.io.:6379"}).is_upstash
    assert resolve({}, REST_ENV).is_upstash


def test_nested_options_survive_the_conversion_to_a_hashable_value():
    options = {"a": [1, {"b": [2, 3]}], "c": {"d": None}}
    assert from_hashable(to_hashable(options)) == options
    assert hash(to_hashable(options)) == hash(to_hashable(pickle.loads(pickle.dumps(options))))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://db.upstash.io", "rediss://default:password@db.upstash.io:6379", True),
        ("rediss://db.upstash.io", "rediss://db.upstash.io:6379/0", True),
        ("https://db.upstash.io", "https://db.upstash.io.", True),
        ("https://db.upstash.io", "https://other.upstash.io", False),
        ("https://db.upstash.io", "", False),
        ("http://127.0.0.1:80", "http://127.0.0.1/", True),
        ("https://example.com", "https://example.com:443", True),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8001", False),
        ("redis://127.0.0.1", "redis://127.0.0.1:6379/0", True),
        ("redis://127.0.0.1/1", "redis://127.0.0.1?db=1", True),
        ("redis://127.0.0.1/1", "redis://127.0.0.1/2", False),
        ("unix:///run/redis.sock", "unix:///run/redis.sock?db=0", True),
        ("unix:///run/redis.sock", "unix:///run/redis.sock?db=1", False),
    ],
)
def test_a_database_is_identified_however_its_url_is_written(one, other, same):
    def place(location):
        options = {"TOKEN": "secret"} if location.startswith("http") else {}
        return resolve(options, {}, alias="a", location=location).server_identity

    assert (place(one) == place(other)) is same
