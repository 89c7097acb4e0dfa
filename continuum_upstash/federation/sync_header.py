"""Read your writes across services: a request header carries the sync tokens of the sender.

    Continuum-Sync-Token: default=3k1,federation=5q:1tAbCd:signature

A service that receives it reads what the sender had written before: the replica that serves the
read first waits for those writes. The header is signed, since a forged token would delay reads, and
valid for a minute. Both services need the same names for the same entries of CACHES.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core import signing
from django.http import HttpRequest, HttpResponseBase

from continuum_upstash.federation.sync_tokens import (
    MAX_TEXT,
    apply_sync_tokens,
    collect_sync_tokens,
)
from continuum_upstash.transports.rest import sync_token

HEADER: Final = "Continuum-Sync-Token"
MAX_AGE: Final = 60  # seconds; replicas are not expected to lag for longer
_SALT: Final = "continuum_upstash.federation.sync"
_MAX_LENGTH: Final = MAX_TEXT + 100


def make_sync_headers() -> dict[str, str]:
    """Return the header for a request to another service, or for its response; {} without tokens.

    It contains the position of this request's newest write in each database that is reached over
    REST. Nothing is sent to the database.
    """
    text = collect_sync_tokens()
    return {HEADER: _get_signer().sign(text)} if text else {}


def apply_sync_headers(headers: Mapping[str, str]) -> bool:
    """Let the following reads of this context include the sender's writes.

    Args:
        headers: of a request, or of a response of another service.

    Returns:
        Whether there is a header with a valid signature.
    """
    value = headers.get(HEADER, "")
    if not value or len(value) > _MAX_LENGTH:
        return False
    try:
        text = _get_signer().unsign(value, max_age=MAX_AGE)
    except signing.BadSignature:
        return False
    apply_sync_tokens(text)
    return True


class SyncTokenMiddleware:
    """Applies the header of each request, and adds one to the response if the request's is valid.

    Browsers, which send none, receive none.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if iscoroutinefunction(self):
            return self._respond(request)
        with sync_token.override(sync_token.SyncTokens()):
            is_valid = apply_sync_headers(request.headers)
            response: HttpResponseBase = self._get_response(request)
            return _add_header(response) if is_valid else response

    async def _respond(self, request: HttpRequest) -> HttpResponseBase:
        with sync_token.override(sync_token.SyncTokens()):
            is_valid = apply_sync_headers(request.headers)
            response: HttpResponseBase = await self._get_response(request)
            return _add_header(response) if is_valid else response


def _add_header(response: HttpResponseBase) -> HttpResponseBase:
    for name, value in make_sync_headers().items():
        response[name] = value
    return response


def _get_signer() -> signing.TimestampSigner:
    key = getattr(settings, "CONTINUUM_SYNC_KEY", None)
    if key is None:
        return signing.TimestampSigner(salt=_SALT)
    return signing.TimestampSigner(key=key, fallback_keys=[], salt=_SALT)
