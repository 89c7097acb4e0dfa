"""The options of redis-py's connections, and their TLS context."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, cast
from urllib.parse import unquote

from redis import ConnectionPool, SSLConnection
from redis.connection import parse_url
from redis.exceptions import RedisError

from continuum_upstash.config.resolve import Config
from continuum_upstash.config.token_reader import TokenReader
from continuum_upstash.config.urls import split_url
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.transports.redis.token_credentials import TokenCredentials
from continuum_upstash.transports.sockets import load_tls_context

# Seconds. Users have reported connections that were dropped after 30 s without traffic.
HEALTH_CHECK_INTERVAL: Final = 25.0


def make_pool_options(config: Config) -> dict[str, Any]:
    """Return the defaults of a pool's options; the user's own replace them.

    A new connection sends only AUTH: RESP2 needs no HELLO, and whether Upstash bills
    CLIENT SETINFO is not documented.
    """
    options: dict[str, Any] = {
        "protocol": 2,
        "driver_info": None,
        "max_connections": config.pool_size,
        "socket_connect_timeout": config.connect_timeout,
        "socket_timeout": config.read_timeout,
    }
    scheme = "" if config.redis_url is None else config.redis_url.reveal().partition(":")[0]
    if scheme != "unix":
        options["socket_keepalive"] = True
    if scheme == "rediss":
        options["connection_class"] = SharedTLSConnection
        if config.ca_file is not None:
            options["ssl_ca_certs"] = config.ca_file
    if config.token is not None:
        username = _split_userinfo(config)[0]
        options["credential_provider"] = TokenCredentials(
            username, TokenReader(config.token, config)
        )
    return options


def make_pool(config: Config, factory: Callable[[str], ConnectionPool]) -> ConnectionPool:
    """Return the factory's pool for the configured URL, after checking its options.

    Raises:
        ConfigurationError: the URL cannot be parsed, or an option is invalid.
    """
    pool, problem = _try_make_pool(config, factory)
    # The variables of the functions that have found the problem contain the password.
    if pool is None:
        raise ConfigurationError(f"{config.label}: {problem}")
    if int(pool.connection_kwargs.get("protocol") or 2) != 2:
        raise ConfigurationError(
            f"{config.label}: only RESP2 is supported. Remove the option 'protocol'."
        )
    return pool


def _try_make_pool(
    config: Config, factory: Callable[[str], ConnectionPool]
) -> tuple[ConnectionPool | None, str]:
    """Return the pool, or None and what is wrong."""
    _, url = _split_userinfo(config)
    try:
        parse_url(url)  # type: ignore[no-untyped-call]  # redis-py's gap
    except ValueError:  # its text may contain a part of the password
        return None, (
            "the Redis URL cannot be parsed. Percent-encode the special characters of its "
            "password, and check the values after the question mark."
        )
    try:
        pool = factory(url)
        # Invalid options raise here, and not only at the first command.
        template = pool.connection_class(**pool.connection_kwargs)
        if isinstance(template, SSLConnection):
            get_tls_context(template)
    except ConfigurationError as error:
        return None, str(error)
    except (AttributeError, ImportError, OSError, RedisError, TypeError, ValueError) as error:
        return None, f"invalid connection options: {error}"
    return pool, ""


def _split_userinfo(config: Config) -> tuple[str, str]:
    """Return the user name for a token, and the URL, without the user name if there is a token."""
    assert config.redis_url is not None
    url = config.redis_url.reveal()
    parts = split_url(url)
    if config.token is None or parts is None:
        return "", url
    host = parts.netloc.rpartition("@")[2]
    return unquote(parts.username or "default"), parts._replace(netloc=host).geturl()


def get_connect_timeout(config: Config, pool: ConnectionPool) -> float:
    """Return the timeout in seconds of opening a connection."""
    return float(pool.connection_kwargs.get("socket_connect_timeout") or config.connect_timeout)


def get_read_timeout(config: Config, pool: ConnectionPool) -> float:
    """Return the timeout in seconds of a whole batch; a pool without one does not remove ours."""
    return float(pool.connection_kwargs.get("socket_timeout") or config.read_timeout)


def get_health_check_interval(pool: ConnectionPool) -> float:
    """Return after how many idle seconds a connection is checked before it is used."""
    seconds = pool.connection_kwargs.get("health_check_interval", HEALTH_CHECK_INTERVAL)
    return float(seconds or float("inf"))


class SharedTLSConnection(SSLConnection):
    """Connections that share a TLS context; redis-py makes one per connection (17 ms of CPU)."""

    def _wrap_socket_with_ssl(self, sock: socket.socket) -> ssl.SSLSocket:
        if self.ssl_validate_ocsp or self.ssl_validate_ocsp_stapled:
            return cast("ssl.SSLSocket", super()._wrap_socket_with_ssl(sock))  # type: ignore[no-untyped-call]  # redis-py's gap
        return get_tls_context(self).wrap_socket(sock, server_hostname=self.host)


def get_tls_context(connection: SSLConnection) -> ssl.SSLContext:
    """Return the TLS context for the ssl_* options of a connection.

    By default certificate and host name are verified. Files are read once.
    """
    return _make_context(
        connection.cert_reqs,
        connection.check_hostname,
        (connection.ca_certs, connection.ca_path, connection.ca_data),
        (connection.certfile, connection.keyfile, connection.certificate_password),
        connection.ssl_min_version,
        connection.ssl_ciphers,
        tuple(connection.ssl_include_verify_flags or ()),
        tuple(connection.ssl_exclude_verify_flags or ()),
    )


@lru_cache(maxsize=32)
def _make_context(  # noqa: PLR0917 they are the key of the cache
    requirement: ssl.VerifyMode,
    check_hostname: bool,
    authorities: tuple[str | None, str | None, str | bytes | None],
    client_certificate: tuple[str | None, str | None, str | None],
    minimum: ssl.TLSVersion | None,
    ciphers: str | None,
    included: tuple[ssl.VerifyFlags, ...],
    excluded: tuple[ssl.VerifyFlags, ...],
) -> ssl.SSLContext:
    cafile, capath, cadata = authorities
    context = load_tls_context(
        cafile=cafile, capath=capath, cadata=cadata, client_certificate=client_certificate
    )
    context.check_hostname = check_hostname
    context.verify_mode = requirement
    if minimum is not None:
        context.minimum_version = minimum
    if ciphers is not None:
        context.set_ciphers(ciphers)
    for flag in included:
        context.verify_flags |= flag
    for flag in excluded:
        context.verify_flags &= ~flag
    return context
