"""An HTTP response as the replies to a batch, or as the error that it means.

The status code is not enough: the REST API returns errors with status 200, too, and a proxy's 502
does not come from the database (https://upstash.com/docs/redis/features/restapi).
"""

from __future__ import annotations

import json
from binascii import a2b_base64
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import hiredis

from continuum_upstash.errors import (
    AuthenticationFailed,
    Refused,
    ReplyError,
    RequestTooLarge,
    Unavailable,
)
from continuum_upstash.plans.command_table import COUNTERS
from continuum_upstash.protocol import Command, Replies, Reply
from continuum_upstash.transports.rest.http11 import HttpResponse
from continuum_upstash.transports.rest.requests import Request
from continuum_upstash.transports.service_errors import find_batch_error, make_reply_error

_RESP2: Final = frozenset(b"+-:$*")
_INCOMPLETE: Final = object()

# A float would lose digits; the text of a number is Redis' reply.
_decode_json: Final = json.JSONDecoder(parse_float=str.encode).decode


def decode_replies(
    response: HttpResponse, request: Request, commands: Sequence[Command], label: str
) -> Replies:
    """Return one reply per command.

    Raises:
        AuthenticationFailed: the token was rejected.
        ReplyError: several commands were rejected as a whole.
        Unavailable: this is not a response of the REST API.
    """
    body = response.body
    if request.kind != "batch" and body and body[0] in _RESP2:
        reply = _parse_resp2(body, label)
        if isinstance(reply, AuthenticationFailed):
            raise reply
        return [request.convert_reply(reply) if request.convert_reply else reply]
    document = _parse_json(response, label)
    if isinstance(document, list) and request.kind == "batch":
        return _decode_entries(document, commands, label)
    error = _parse_error(document, response, label)
    if request.kind == "batch" or isinstance(error, AuthenticationFailed):
        raise error
    return [request.convert_reply(error) if request.convert_reply else error]


def _parse_resp2(body: bytes, label: str) -> Reply:
    reader = hiredis.Reader(replyError=make_reply_error, notEnoughData=_INCOMPLETE)
    try:
        reader.feed(body)
        reply: Any = reader.gets()
    except hiredis.ProtocolError as error:
        raise _response_format_error(label) from error
    if reply is _INCOMPLETE or reader.has_data():
        raise _response_format_error(label)
    result: Reply = reply
    return result


def _parse_json(response: HttpResponse, label: str) -> Any:
    """Return the JSON document of the REST API, or raise what a foreign response means."""
    if not response.body[:64].lstrip().startswith((b"{", b"[")):
        raise _foreign_response_error(response, label)
    try:
        return _decode_json(response.body.decode())
    except (ValueError, RecursionError) as error:
        raise _foreign_response_error(response, label) from error


def _parse_error(document: Any, response: HttpResponse, label: str) -> ReplyError:
    """Return the error of a JSON object, or raise it where the service cannot run commands."""
    if not isinstance(document, dict) or not isinstance(document.get("error"), str):
        raise _foreign_response_error(response, label)
    error = make_reply_error(document["error"])
    if isinstance(error, Refused):
        return error
    if response.status == HTTPStatus.UNAUTHORIZED:
        return AuthenticationFailed(f"{error} Copy the token of {label} again.")
    if response.status == HTTPStatus.TOO_MANY_REQUESTS or response.status >= 500:
        raise _foreign_response_error(response, label)
    return error


def _decode_entries(document: list[Any], commands: Sequence[Command], label: str) -> Replies:
    if len(document) != len(commands):
        raise _response_format_error(label)
    try:
        pairs = zip(document, commands, strict=True)
        replies = [_decode_entry(entry, command) for entry, command in pairs]
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as cause:
        raise _response_format_error(label) from cause
    if isinstance(replies[0], ReplyError) and (error := find_batch_error(replies, label)):
        raise error
    return replies


def _decode_entry(entry: Any, command: Command) -> Reply:
    if entry.get("error") is not None:
        return make_reply_error(entry["error"])
    result = entry["result"]
    if command[0] in COUNTERS and type(result) is str and result.lstrip("-").isdecimal():
        return int(result)
    return _decode_base64(result)


def _decode_base64(value: Any) -> Reply:
    """Decode base64 at every depth; a status "OK" is not encoded, and too short to be base64."""
    if isinstance(value, str):
        return b"OK" if value == "OK" else a2b_base64(value, strict_mode=True)
    if isinstance(value, list):
        return [_decode_base64(item) for item in value]
    if value is None or isinstance(value, (int, bytes)):
        return value
    raise TypeError(f"no reply of Redis is a {type(value).__name__}")


def _response_format_error(label: str) -> Unavailable:
    return Unavailable(f"{label}: malformed response: it does not contain one reply per command.")


def _foreign_response_error(response: HttpResponse, label: str) -> Unavailable | Refused:
    """Return the error for a response that does not come from the REST API itself."""
    status = response.status
    if status == HTTPStatus.UNAUTHORIZED:
        return AuthenticationFailed(f"{label}: HTTP 401. Copy the token again from the console.")
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return RequestTooLarge(f"{label}: HTTP 413. Store smaller values.")
    if 300 <= status < 400:
        location = response.headers.get(b"location", b"").decode("latin-1")
        host = urlsplit(location).hostname or "another address"
        return Unavailable(
            f"{label}: HTTP {status} redirects to {host}. Set the REST URL to the database's own."
        )
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= 500:
        after = response.headers.get(b"retry-after", b"")
        seconds = int(after) if after.isdigit() and len(after) < 10 else None  # or it is a date
        hint = "" if seconds is None else f" Retry-After: {seconds} s."
        return Unavailable(f"{label}: HTTP {status} instead of a reply.{hint}", retry_after=seconds)
    kind = response.headers.get(b"content-type", b"no content type").decode("latin-1")[:80]
    return Unavailable(
        f"{label}: HTTP {status} with {kind} instead of a reply. "
        "Check that the URL is the database's REST URL."
    )
