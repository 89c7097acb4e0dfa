"""The options that redis-py's connections are made with, and the TLS context that they share."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, cast

from redis import ConnectionPool, SSLConnection
from redis.connection import parse_url
from redis.exceptions import RedisError

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ConfigurationError

# Seconds. The shortest idle time after which users saw their connections vanish was some 30 s.
HEALTH_CHECK_INTERVAL: Final = 25.0


def pool_options(config: Config) -> dict[str, Any]:
    """Return what a pool is made with where the user's own options do not say otherwise.

    A new connection sends AUTH and nothing more: RESP2 needs no HELLO, and whether Upstash
    bills CLIENT SETINFO is not documented.
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
    return options


def make_pool(config: Config, factory: Callable[[str], ConnectionPool]) -> ConnectionPool:
    """Return what a factory makes of the URL, once it is sure that connections can be made.

    Raises:
        ConfigurationError: the URL cannot be parsed, or an option is wrong.
    """
    assert config.redis_url is not None
    url = config.redis_url.reveal()
    try:
        parse_url(url)  # type: ignore[no-untyped-call]  # redis-py's gap
    except ValueError:  # whose text may quote a part of the password
        raise ConfigurationError(
            f"{config.label}: the Redis URL cannot be parsed. Percent-encode the special "
            "characters of its password, and check the values after the question mark."
        ) from None
    try:
        pool = factory(url)
        # What is wrong with the options shows here, and not only at the first command.
        sample = pool.connection_class(**pool.connection_kwargs)
        if isinstance(sample, SSLConnection):
            tls_context(sample)
    except (ImportError, OSError, RedisError, TypeError, ValueError) as error:
        raise ConfigurationError(f"{config.label}: its connection options: {error}") from error
    if int(pool.connection_kwargs.get("protocol") or 2) != 2:
        raise ConfigurationError(f"{config.label}: only protocol 2 is spoken: remove 'protocol'.")
    return pool


def connect_timeout(config: Config, pool: ConnectionPool) -> float:
    """Return the seconds for a connection to one address."""
    return float(pool.connection_kwargs.get("socket_connect_timeout") or config.connect_timeout)


def read_timeout(config: Config, pool: ConnectionPool) -> float:
    """Return the seconds for a whole batch; a pool without a limit does not lift ours."""
    return float(pool.connection_kwargs.get("socket_timeout") or config.read_timeout)


def health_check_interval(pool: ConnectionPool) -> float:
    """Return the seconds of silence after which a connection is doubted."""
    seconds = pool.connection_kwargs.get("health_check_interval", HEALTH_CHECK_INTERVAL)
    return float(seconds or float("inf"))


class SharedTLSConnection(SSLConnection):
    """redis-py makes a TLS context for every connection: 17 ms of CPU. These share one."""

    def _wrap_socket_with_ssl(self, sock: socket.socket) -> ssl.SSLSocket:
        if self.ssl_validate_ocsp or self.ssl_validate_ocsp_stapled:
            return cast("ssl.SSLSocket", super()._wrap_socket_with_ssl(sock))  # type: ignore[no-untyped-call]  # redis-py's gap
        return tls_context(self).wrap_socket(sock, server_hostname=self.host)


def tls_context(connection: SSLConnection) -> ssl.SSLContext:
    """Return the context that the ssl_* options of a connection ask for.

    Certificate and host name are checked unless they say otherwise. Files are read once.
    """
    return _context(
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
def _context(  # noqa: PLR0917 they are the key of the cache
    requirement: ssl.VerifyMode,
    check_hostname: bool,
    authorities: tuple[str | None, str | None, str | bytes | None],
    own: tuple[str | None, str | None, str | None],
    minimum: ssl.TLSVersion | None,
    ciphers: str | None,
    included: tuple[ssl.VerifyFlags, ...],
    excluded: tuple[ssl.VerifyFlags, ...],
) -> ssl.SSLContext:
    context = _context_of_files(*authorities, *own)
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


def _context_of_files(  # noqa: PLR0917 as above
    cafile: str | None,
    capath: str | None,
    cadata: str | bytes | None,
    certificate: str | None,
    key: str | None,
    password: str | None,
) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=cafile, capath=capath, cadata=cadata)
        if certificate is not None:
            context.load_cert_chain(certificate, key, password)
    except OSError as error:
        files = ", ".join(file for file in (cafile, capath, certificate, key) if file)
        raise ConfigurationError(
            f"TLS cannot use the files it is given ({files}): {error.strerror or error}. CA_FILE, "
            "ssl_certfile and ssl_keyfile name PEM files."
        ) from error
    return context
