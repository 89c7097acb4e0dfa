"""What becomes of the settings of django-redis 7 in an entry of CACHES."""

from __future__ import annotations

import pytest

from continuum_upstash.config.django_redis import OPTIONS, select_url
from continuum_upstash.config.resolve import resolve
from continuum_upstash.errors import ConfigurationError

REST = {"UPSTASH_REDIS_REST_URL": "https://db.upstash.io", "UPSTASH_REDIS_REST_TOKEN": "t0ken"}
TCP = {"UPSTASH_REDIS_URL": "rediss://default:s3cret@db.upstash.io"}


@pytest.mark.parametrize("environ", [REST, TCP, {}], ids=["rest", "tcp", "local"])
@pytest.mark.parametrize(
    ("options", "fields"),
    [
        ({"CLIENT_CLASS": "django_redis.client.DefaultClient"}, {}),
        ({"CLIENT_CLASS": "django_redis.client.default.DefaultClient"}, {}),
        (
            {"SERIALIZER": "django_redis.serializers.pickle.PickleSerializer"},
            {"serializer": "msgpack", "pickle": "signed"},
        ),
        (
            {"SERIALIZER": "django_redis.serializers.msgpack.MSGPackSerializer"},
            {"serializer": "msgpack"},
        ),
        ({"SERIALIZER": "django_redis.serializers.json.JSONSerializer"}, {"serializer": "json"}),
        (
            {"COMPRESSOR": "django_redis.compressors.identity.IdentityCompressor"},
            {"compress_min_bytes": None},
        ),
        (
            {"COMPRESSOR": "django_redis.compressors.zlib.ZlibCompressor"},
            {"compress_min_bytes": 1024},
        ),
        (
            {
                "COMPRESSOR": "django_redis.compressors.lz4.Lz4Compressor",
                "COMPRESS_MIN_BYTES": 99,
            },
            {"compress_min_bytes": 99},
        ),
        ({"IGNORE_EXCEPTIONS": True}, {"fallback": True}),
        ({"IGNORE_EXCEPTIONS": True, "FALLBACK": True}, {"fallback": True}),
        ({"LOG_IGNORED_EXCEPTIONS": True}, {}),
        ({"PICKLE_VERSION": -1}, {}),
        ({"CLOSE_CONNECTION": False}, {}),
        ({"REPLICA_READ_ONLY": True}, {}),
        (
            {"SOCKET_TIMEOUT": 5, "SOCKET_CONNECT_TIMEOUT": 0.5},
            {"read_timeout": 5.0, "connect_timeout": 0.5},
        ),
        ({"SOCKET_TIMEOUT": 5, "READ_TIMEOUT": 3}, {"read_timeout": 3.0}),
        ({"SOCKET_TIMEOUT": None}, {"read_timeout": 2.0}),
    ],
)
def test_an_option_is_replaced(options, fields, environ):
    config = resolve(options, environ)
    assert {name: getattr(config, name) for name in fields} == fields


def test_ignore_exceptions_false_raises_errors_of_an_outage():
    assert resolve({"IGNORE_EXCEPTIONS": False}, REST).fallback is False


def test_the_arguments_of_the_pool_are_used_over_rest():
    arguments = {"max_connections": 100, "socket_timeout": 4, "socket_connect_timeout": 3}
    config = resolve({"CONNECTION_POOL_KWARGS": arguments}, REST)
    assert (config.pool_size, config.read_timeout, config.connect_timeout) == (100, 4.0, 3.0)
    assert resolve({"CONNECTION_POOL_KWARGS": arguments, "POOL_SIZE": 7}, REST).pool_size == 7


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"CLIENT_CLASS": "django_redis.client.HerdClient"},
            "Delete it and CACHE_HERD_TIMEOUT, and read with get_or_set(…, early=True)",
        ),
        ({"CLIENT_CLASS": "django_redis.client.ShardClient"}, "one server with one URL"),
        ({"CLIENT_CLASS": "my.Client"}, "subclass continuum_upstash.backend.CacheBackend"),
        ({"SERIALIZER": "my.Serializer"}, "Set it to 'msgpack' or 'json', or delete it."),
        ({"COMPRESSOR": "my.Compressor"}, "Set COMPRESS_MIN_BYTES = 1024 instead"),
        ({"IGNORE_EXCEPTIONS": "yes"}, "IGNORE_EXCEPTIONS must be True or False, not 'yes'."),
        (
            {"IGNORE_EXCEPTIONS": False, "FALLBACK": True},
            "IGNORE_EXCEPTIONS is False, but FALLBACK is True. Delete IGNORE_EXCEPTIONS",
        ),
        ({"PICKLE_VERSION": 2}, "PICKLE_VERSION is 2, but pickles are signed"),
        ({"CLOSE_CONNECTION": True}, "CLOSE_CONNECTION is True, but connections stay open"),
        ({"REPLICA_READ_ONLY": False}, "REPLICA_READ_ONLY is False, but an Upstash database"),
        ({"SOCKET_TIMEOUT": "5"}, "SOCKET_TIMEOUT must be seconds above 0, not '5'."),
        ({"SOCKET_CONNECT_TIMEOUT": -1}, "SOCKET_CONNECT_TIMEOUT must be seconds above 0"),
        ({"PASSWORD": "s3cret"}, "PASSWORD is for TCP only, and the mode is rest. Set TOKEN"),
        ({"USERNAME": "me"}, "USERNAME is for TCP only"),
        ({"PARSER_CLASS": "x.Y"}, "PARSER_CLASS is for TCP only"),
        ({"SENTINELS": [("h", 1)]}, "SENTINELS is for TCP only"),
        ({"CONNECTION_POOL_KWARGS": ["x"]}, "CONNECTION_POOL_KWARGS must be a dict."),
        (
            {"CONNECTION_POOL_KWARGS": {"retry_on_timeout": True, "health_check_interval": 3}},
            "Delete its entries health_check_interval, retry_on_timeout.",
        ),
    ],
)
def test_an_option_without_replacement_is_refused_with_what_to_set(options, message):
    with pytest.raises(ConfigurationError) as caught:
        resolve(options, REST)
    assert message in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_one_message_lists_all_that_is_wrong():
    options = {
        "CLIENT_CLASS": "django_redis.client.ShardClient",
        "CLOSE_CONNECTION": True,
        "PASSWORD": "s3cret",
        "POOL_SIZ": 3,
        "POOL_SIZE": 0,
        "READ_TIMEOUT": "x",
    }
    with pytest.raises(ConfigurationError) as caught:
        resolve(options, REST | {"CONTINUUM_CACHE_FALLBACK": "perhaps"}, alias="mine")
    text = str(caught.value)
    assert text.startswith("Cache 'mine': 7 settings are wrong. (1) Unknown option POOL_SIZ. Did")
    expected = ["CLIENT_CLASS", "CLOSE_CONNECTION", "PASSWORD", "POOL_SIZE must", "READ_TIMEOUT"]
    expected.append("CONTINUUM_CACHE_FALLBACK")
    assert [name for name in expected if name not in text] == []


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("", ""),
        ("redis://a", "redis://a"),
        (["redis://a"], "redis://a"),
        (("redis://a", "redis://a"), "redis://a"),
        ("redis://a, redis://a", "redis://a"),
        ("redis://:pass,word@a", "redis://:pass,word@a"),
        ("redis://a,redis://b", None),
        (["redis://a", "redis://b"], None),
        ([], None),
        ([5], None),
        (None, None),
    ],
)
def test_a_location_is_one_url_however_it_is_written(location, url):
    assert select_url(location) == url


def test_several_urls_are_refused():
    with pytest.raises(ConfigurationError, match=r"LOCATION is several URLs\. Set it to one URL"):
        resolve({}, {}, location=["redis://:s3cret@a", "redis://b"])


def test_every_option_that_django_redis_reads_is_known():
    read = {
        *("CLIENT_CLASS", "CLOSE_CONNECTION", "COMPRESSOR", "CONNECTION_FACTORY"),
        *("CONNECTION_POOL_CLASS", "CONNECTION_POOL_KWARGS", "IGNORE_EXCEPTIONS", "PARSER_CLASS"),
        *("PASSWORD", "PICKLE_VERSION", "REDIS_CLIENT_CLASS", "REDIS_CLIENT_KWARGS"),
        *("REPLICA_READ_ONLY", "SENTINELS", "SENTINEL_KWARGS", "SERIALIZER"),
        *("SOCKET_CONNECT_TIMEOUT", "SOCKET_TIMEOUT", "USERNAME"),
    }
    assert read | {"LOG_IGNORED_EXCEPTIONS"} == set(OPTIONS)
