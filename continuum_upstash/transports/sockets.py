"""The socket layer of both transports: verified TLS, and a close that drops unsent data."""

from __future__ import annotations

import socket
import ssl
import struct
import sys
from contextlib import suppress
from functools import cache
from typing import Final

from continuum_upstash.errors import ConfigurationError

# A write of up to this size is one TLS record: it leaves as a whole or not at all.
RECORD_BYTES: Final = 16 * 1024


@cache
def tls_context(ca_file: str | None) -> ssl.SSLContext:
    """Return the one context for `ca_file`; reading a trust store takes some 17 ms.

    Args:
        ca_file: PEM file that is trusted instead of the system's store.

    Raises:
        ConfigurationError: the file is missing or holds no certificate.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ConfigurationError(
            f"CA_FILE '{ca_file}' cannot be used ({error.strerror or error}): "
            "name a PEM file with certificates."
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


_AT_ONCE: Final = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)


def abandon(sock: socket.socket | None) -> None:
    """Have the system forget what the server has not acknowledged when the socket is closed.

    It would go on sending that for minutes, and a write that its caller gave up, and has perhaps
    written anew, would still arrive (tcp(7), tcp_orphan_retries).
    """
    if sock is not None:
        with suppress(OSError):  # it is closed already
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
