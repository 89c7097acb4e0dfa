"""Verifies that a request comes from QStash, with Upstash's own client."""

from __future__ import annotations

from typing import Final

from continuum_upstash.federation.errors import ImproperlyConfiguredFederation
from continuum_upstash.federation.tasks.options import PushOptions

# Bytes. A message contains an ID, but a failure callback also what the site has responded, up to
# 1 MB in base64: for example a page of DEBUG, or the error page of a proxy.
MAX_BODY: Final = 2 * 1024 * 1024
_MAX_SIGNATURE: Final = 4096  # characters


class InvalidSignature(ValueError):
    """The signature is missing, forged, expired, or that of another body or URL."""


def verify_signature(push: PushOptions, signature: str, body: bytes) -> None:
    """Verify the Upstash-Signature of a request.

    The keys are tried in turn, so that they can be rotated. A signature is valid for the time that
    it contains, five minutes, for this body, and for `push.url`: the URL of the request itself is
    another one behind a proxy.

    Raises:
        InvalidSignature: see there.
    """
    try:
        from qstash import Receiver  # noqa: PLC0415 an extra
        from qstash.errors import SignatureError  # noqa: PLC0415 as above
    except ImportError as error:
        raise ImproperlyConfiguredFederation(
            "PUSH needs the package qstash: pip install 'continuum-upstash[qstash]'"
        ) from error
    if not signature or len(signature) > _MAX_SIGNATURE or len(body) > MAX_BODY:
        raise InvalidSignature("the header Upstash-Signature is missing, or the request too large")
    try:
        Receiver(*push.signing_keys).verify(signature=signature, body=body.decode(), url=push.url)
    # The client raises others than its own error if the body is no text or a claim is missing.
    except (SignatureError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise InvalidSignature(f"{type(error).__name__}: {error}") from error
