"""The socket layer that REST and TCP share: TLS, addresses, and what happens on close."""

from __future__ import annotations

import select
import socket
import ssl
import struct
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache, partial
from typing import Any, Final, TypeVar

from continuum_upstash.errors import ConfigurationError

# A write of up to this many bytes is one TLS record: it is sent as a whole or not at all.
RECORD_BYTES: Final = 16 * 1024

# Seconds by which a socket's timeout may be wrong: setting it is a system call.
TIMEOUT_TOLERANCE: Final = 0.001

# How often data are still read after the deadline; this exceeds what the system buffers.
LATE_READS: Final = 128

# Seconds before the first probe, and between probes, and how many may fail. macOS has its own name
# for the first; some platforms have none.
_KEEPALIVE: Final = (
    ("TCP_KEEPIDLE", 30),
    ("TCP_KEEPALIVE", 30),
    ("TCP_KEEPINTVL", 10),
    ("TCP_KEEPCNT", 3),
)

T = TypeVar("T")

_NO_LINGER: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


@cache
def get_https_context(ca_file: str | None) -> ssl.SSLContext:
    """Return the TLS context for HTTP/1.1; there is one per `ca_file`.

    Args:
        ca_file: a PEM file that is trusted instead of the system's certificates.

    Raises:
        ConfigurationError: the file is missing or contains no certificate.
    """
    context = load_tls_context(cafile=ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


def load_tls_context(
    *,
    cafile: str | None = None,
    capath: str | None = None,
    cadata: str | bytes | None = None,
    client_certificate: tuple[str | None, str | None, str | None] = (None, None, None),
) -> ssl.SSLContext:
    """Return a TLS context that verifies certificates and host names.

    Reading the system's certificates takes some 17 ms: keep the result.

    Args:
        cafile: file of certificates to trust instead of the system's.
        capath: directory of such files.
        cadata: such certificates themselves.
        client_certificate: certificate file, key file and the key's password.

    Raises:
        ConfigurationError: a file is missing or cannot be used.
    """
    certificate, key, password = client_certificate
    try:
        context = ssl.create_default_context(cafile=cafile, capath=capath, cadata=cadata)
        if certificate is not None:
            context.load_cert_chain(certificate, key, password)
    except OSError as error:
        files = ", ".join(file for file in (cafile, capath, certificate, key) if file)
        raise ConfigurationError(
            f"TLS files cannot be used ({files}): {error.strerror or error}. "
            "CA_FILE, ssl_certfile and ssl_keyfile must name PEM files."
        ) from error
    return context


def connect_to_any(
    addresses: Sequence[tuple[Any, ...]], remaining: Callable[[], float]
) -> socket.socket:
    """Return a socket that is connected to the first address that accepts it.

    Args:
        addresses: the result of `getaddrinfo`.
        remaining: returns the seconds that are left.

    Raises:
        OSError: the last address failed, or there is none.
    """
    for attempt in iter_connect_attempts(addresses, remaining):
        with attempt as (sock, address, timeout):
            sock.settimeout(timeout)
            sock.connect(address)
            return sock
    raise OSError("the host has no address")


def iter_connect_attempts(
    addresses: Sequence[tuple[Any, ...]], remaining: Callable[[], float]
) -> Iterator[AbstractContextManager[tuple[socket.socket, Any, float]]]:
    """Yield a context for each address of a host: a new socket, the address, and a timeout.

    The body connects the socket. If that fails, the socket is closed; the error is raised for the
    last address only.

    Args:
        addresses: the result of `getaddrinfo`.
        remaining: returns the seconds that are left; only the last address may use all of them.
    """
    for others in reversed(range(len(addresses))):
        family, kind, protocol, _, address = addresses[-1 - others]
        try:
            sock = socket.socket(family, kind, protocol)
        except OSError:  # this system has no IPv6, for example
            if not others:
                raise
            continue
        yield _connect_attempt(sock, address, remaining, others)


@contextmanager
def _connect_attempt(
    sock: socket.socket, address: Any, remaining: Callable[[], float], others: int
) -> Iterator[tuple[socket.socket, Any, float]]:
    try:
        yield sock, address, remaining() / 2 if others else remaining()
    except BaseException as error:
        sock.close()
        if not (others and isinstance(error, OSError)):
            raise


def make_readable_check(fileno: int) -> Callable[[], object]:
    """Return a function whose result is true if a socket can be read from; it does not wait.

    An idle connection that can be read from was closed by the server, or is out of step.
    """
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(fileno, select.POLLIN)
        return partial(poll.poll, 0)
    return lambda: select.select([fileno], [], [], 0)[0]  # Windows


def enable_keepalive(sock: socket.socket) -> None:
    """Let the system detect within about a minute that the peer of a silent connection is gone."""
    if sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if (option := getattr(socket, name, None)) is not None:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)


def receive_late(sock: socket.socket, receive: Callable[[], T]) -> T:
    """Return what `receive` finds without waiting.

    A time-out may have passed because this thread was stopped, and not because nothing arrived.

    Raises:
        TimeoutError: nothing has arrived.
    """
    sock.settimeout(0)
    try:
        return receive()
    except (BlockingIOError, ssl.SSLWantReadError):
        raise TimeoutError from None


def reset_on_close(sock: socket.socket | None) -> None:
    """Discard unacknowledged data when the socket is closed.

    Otherwise the system would go on sending it for minutes, and a write that its caller gave up
    and has perhaps repeated would still arrive (tcp(7), tcp_orphan_retries).
    """
    if sock is not None:
        with suppress(OSError):  # it is closed already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
