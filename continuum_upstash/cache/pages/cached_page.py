"""A response as plain data, so that a cached page needs no pickle.

A page is sent as it is stored. Therefore the codec reads one only from bytes that are signed with
SECRET_KEY: another client of the database cannot write a page.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Self

import msgpack
from django.http import HttpResponse, SimpleCookie
from django.http.response import HttpResponseBase

from continuum_upstash.codec.zstd import compress, decompress

_COMPRESS_MIN_BYTES: Final = 512
_MAX_BODY_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class CachedPage:
    """A response.

    Attributes:
        status: the status code.
        reason: the reason phrase.
        headers: names and values, without cookies.
        cookies: the values of its Set-Cookie headers.
        body: the content.
    """

    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    cookies: tuple[str, ...]
    body: bytes

    @classmethod
    def from_response(cls, response: HttpResponseBase) -> Self:
        """Return the page of a response that is rendered and not a stream."""
        assert isinstance(response, HttpResponse)
        return cls(
            response.status_code,
            response.reason_phrase,
            tuple(response.headers.items()),
            tuple(morsel.OutputString() for morsel in response.cookies.values()),
            response.content,
        )

    def make_response(self) -> HttpResponse:
        """Return a new response."""
        response = HttpResponse(
            self.body, status=self.status, reason=self.reason, headers=dict(self.headers)
        )
        for text in self.cookies:
            response.cookies.update(SimpleCookie(text))
        return response


def pack_page(page: CachedPage) -> bytes:
    body = page.body
    frame = compress(body) if _COMPRESS_MIN_BYTES <= len(body) <= _MAX_BODY_BYTES else None
    fields = (page.status, page.reason, page.headers, page.cookies, frame is not None)
    packed: bytes = msgpack.packb((*fields, body if frame is None else frame))
    return packed


def unpack_page(payload: bytes) -> CachedPage:
    """Return the page of a payload.

    Raises:
        ValueError, TypeError: the payload is no page.
    """
    fields = msgpack.unpackb(payload, use_list=False)
    status, reason, headers, cookies, is_compressed, body = fields
    if is_compressed:
        body = decompress(body, _MAX_BODY_BYTES)
    return CachedPage(status, reason, headers, cookies, body)
