"""Connection pools made from django-redis' OPTIONS; no test opens a connection."""

from __future__ import annotations

import sys

import pytest
from django_redis.pool import ConnectionFactory
from redis import BlockingConnectionPool, ConnectionPool
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import SentinelConnectionPool, SentinelManagedSSLConnection

from continuum_upstash.backend import CacheBackend
from continuum_upstash.cache.redis_pool import make_django_pool
from continuum_upstash.config.hashable import to_hashable
from continuum_upstash.config.resolve import Config, resolve
from continuum_upstash.config.secrets import Secret
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.transports import registry
from continuum_upstash.transports.redis.transport import make_plain_pool

URL = "redis://:secret@localhost:6390/1"


def config(url=URL, *, settings=None, **options) -> Config:
    return Config(
        mode="redis", redis_url=Secret(url), redis_options=to_hashable(options), **(settings or {})
    )


class Parser:
    def __init__(self, socket_read_size):
        pass


class OwnPool(ConnectionPool):
    pass


class OwnFactory(ConnectionFactory):
    def make_connection_params(self, url):
        return super().make_connection_params(url) | {"client_name": "own"}


HERE = __name__


def test_django_redis_is_needed_only_for_its_options(monkeypatch):
    monkeypatch.setitem(sys.modules, "django_redis", None)
    assert make_django_pool(config()).max_connections == 10
    with pytest.raises(ConfigurationError, match="PASSWORD: django-redis must be") as caught:
        make_django_pool(config(PASSWORD="s3cret"))
    assert "pip install 'continuum-upstash[django-redis]'" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("make", [make_plain_pool, make_django_pool])
def test_without_options_a_pool_follows_the_configuration(make):
    pool = make(config(settings={"pool_size": 7, "connect_timeout": 3.0, "read_timeout": 4.0}))
    kwargs = pool.connection_kwargs
    assert pool.max_connections == 7
    assert (kwargs["socket_connect_timeout"], kwargs["socket_timeout"]) == (3.0, 4.0)
    assert (kwargs["protocol"], kwargs["driver_info"]) == (2, None)
    assert (kwargs["host"], kwargs["port"], kwargs["db"]) == ("localhost", 6390, 1)
    assert kwargs["password"] == "secret"
    assert kwargs["socket_keepalive"] is True


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ({"SOCKET_TIMEOUT": 9}, "socket_timeout", 9),
        ({"SOCKET_CONNECT_TIMEOUT": 8.5}, "socket_connect_timeout", 8.5),
        ({"PASSWORD": "other"}, "password", "secret"),  # the URL wins, as with django-redis
        ({"PARSER_CLASS": f"{HERE}.Parser"}, "parser_class", Parser),
        ({"CONNECTION_FACTORY": f"{HERE}.OwnFactory"}, "client_name", "own"),
        ({"CONNECTION_POOL_KWARGS": {"socket_timeout": 2}}, "socket_timeout", 2),
        ({"CONNECTION_POOL_KWARGS": {"client_name": "me"}}, "client_name", "me"),
    ],
)
def test_an_option_reaches_the_connections(options, name, value):
    assert make_django_pool(config(**options)).connection_kwargs[name] == value


def test_the_password_may_come_from_the_options():
    pool = make_django_pool(config("redis://localhost", PASSWORD="other"))
    assert pool.connection_kwargs["password"] == "other"


def test_a_retry_object_is_passed_on_unchanged():
    retry = Retry(NoBackoff(), 2)
    pool = make_django_pool(config(CONNECTION_POOL_KWARGS={"retry": retry, "max_connections": 3}))
    assert pool.connection_kwargs["retry"] is retry
    assert pool.max_connections == 3


@pytest.mark.parametrize(
    ("path", "kind"),
    [(f"{HERE}.OwnPool", OwnPool), ("redis.BlockingConnectionPool", BlockingConnectionPool)],
)
def test_the_pool_class_can_be_configured(path, kind):
    assert isinstance(make_django_pool(config(CONNECTION_POOL_CLASS=path)), kind)


def test_the_factory_setting_of_django_redis_is_used(settings):
    settings.DJANGO_REDIS_CONNECTION_FACTORY = f"{HERE}.OwnFactory"
    assert make_django_pool(config()).connection_kwargs["client_name"] == "own"


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("redis://main/0", {}),
        ("redis://main/0", {"CONNECTION_FACTORY": "django_redis.pool.SentinelConnectionFactory"}),
    ],
)
def test_sentinels_need_no_other_option(url, options):
    pool = make_django_pool(config(url, SENTINELS=[("10.0.0.1", 26379)], **options))
    assert isinstance(pool, SentinelConnectionPool)
    assert pool.service_name == "main"


def test_sentinels_work_with_tls():
    pool = make_django_pool(config("rediss://main/0", SENTINELS=[("10.0.0.1", 26379)]))
    assert pool.connection_class is SentinelManagedSSLConnection


def test_two_aliases_of_one_url_have_their_own_pools():
    small, large = (
        resolve({"CONNECTION_POOL_KWARGS": {"max_connections": size}}, {}, location=URL)
        for size in (5, 50)
    )
    assert make_django_pool(small).max_connections == 5
    assert make_django_pool(large).max_connections == 50


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        (URL, {"CONNECTION_POOL_CLASS": "no.such.Pool"}, "no"),
        (URL, {"CONNECTION_FACTORY": "no.such.Factory"}, "no"),
        (URL, {"CONNECTION_POOL_CLASS": ConnectionPool}, "invalid connection options"),
        (URL, {"CONNECTION_POOL_KWARGS": {"sockettimeout": 1}}, "sockettimeout"),
        (URL, {"CONNECTION_POOL_KWARGS": {"protocol": 3}}, "protocol"),
        (URL, {"SOCKET_TIMEOUT": "soon"}, "float or integer"),
        (URL, {"SENTINELS": []}, "SENTINELS"),
        (URL + "?protocol=3", {}, "protocol"),
        (URL + "?max_connections=many", {}, "cannot be parsed"),
        ("redis://user:hush/hush@localhost", {}, "Percent-encode"),
    ],
)
def test_an_invalid_option_is_reported_before_the_first_command(url, options, message):
    with pytest.raises(ConfigurationError, match=rf"default.*{message}") as caught:
        make_django_pool(config(url, **options))
    assert "secret" not in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_client_class_that_cannot_be_imported_is_reported_by_the_client(request):
    request.addfinalizer(registry.reset)
    cache = CacheBackend(URL, {"OPTIONS": {"REDIS_CLIENT_CLASS": "no.such.Client"}})
    with pytest.raises(ConfigurationError, match="invalid connection options"):
        cache.client.get_client()
