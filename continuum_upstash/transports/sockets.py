"""The TLS context of a process: certificates and host names are always verified."""

from __future__ import annotations

import ssl
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
