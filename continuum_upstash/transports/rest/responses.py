"""An HTTP response as the replies to a batch, or as the error that it means.

The status code is not enough: the REST API returns errors with status 200, too, and a proxy's 502
does not come from the database (https://upstash.com/docs/redis/features/restapi).
"""

from __future__ import annotations

import json
import re
from binascii import a2b_base64
from collections.abc import Callable, Sequence
from datetime import UTC
from http import HTTPStatus
from time import time
from typing import Any, Final, TypeAlias

import hiredis

from continuum_upstash.config.urls import split_url
from continuum_upstash.errors import (
    AuthenticationFailed,
    Refused,
    ReplyError,
    RequestTooLarge,
    Unavailable,
)
from continuum_upstash.plans.command_table import COUNTERS
from continuum_upstash.protocol import Command, Replies, Reply
from continuum_upstash.transports.rest.dialect import RestDialect, log_unsupported
from continuum_upstash.transports.rest.http11 import HttpResponse, decompress
from continuum_upstash.transports.rest.requests import Request
from continuum_upstash.transports.service_errors import (
    correct_script_errors,
    find_batch_error,
    make_reply_error,
)

MakeError: TypeAlias = Callable[[str], ReplyError]

_RESP2: Final = frozenset(b"+-:$*")
_STATUS_OF_REPLIES: Final = frozenset({HTTPStatus.OK, HTTPStatus.BAD_REQUEST})
_ERROR_CODE: Final = re.compile(r"[A-Z][A-Z0-9]+(?: |$)")
_SECONDS: Final = re.compile(r"\d{1,15}(?:\.\d+)?", re.ASCII)
_INCOMPLETE: Final = object()
_OK_RESP2: Final = b"+OK\r\n"
_BULK_STRING: Final = ord("$")
_MAX_BULK_HEADER: Final = 16  # bytes; the length of a value has ten digits at most
_OK: Final = {"result": "OK"}  # a status, which is not encoded

# A float would lose digits; the text of a number is Redis' reply.
_decode_json: Final = json.JSONDecoder(parse_float=str.encode).decode


def decode_replies(
    response: HttpResponse,
    request: Request,
    commands: Sequence[Command],
    label: str,
    dialect: RestDialect,
    *,
    make_error: MakeError = make_reply_error,
) -> Replies:
    """Return one reply per command.

    Args:
        response: the response.
        request: what was sent.
        commands: those of the batch.
        label: names the database.
        dialect: what the server supports.
        make_error: returns the error for the text of a server.

    Raises:
        AuthenticationFailed: the token was rejected.
        ReplyError: several commands were rejected as a whole.
        Unavailable: this is not a response of the REST API.
        RequestTooLarge: the response exceeds MAX_RESPONSE_BYTES after decompression, or a gateway
            rejected the size of the request.
    """
    if b"content-encoding" in response.headers:
        response = decompress(response, label)
    body = response.body
    if request.kind != "batch" and body and body[0] in _RESP2:
        reply = _parse_resp2(body, label, make_error)
        if isinstance(reply, AuthenticationFailed):
            raise reply
        if isinstance(reply, ReplyError):
            return correct_script_errors([reply], commands)
        return [reply]
    document = _parse_json(response, label)
    if isinstance(document, list) and request.kind == "batch":
        return _decode_entries(document, commands, label, make_error)
    if isinstance(document, dict) and "result" in document and request.kind != "batch":
        if request.kind == "encoded":
            return _decode_entries([document], commands, label, make_error)
        if dialect.resp2:
            dialect.resp2 = False
            log_unsupported("replies in RESP2", label)
        return [_read_unencoded(document["result"], label)]
    error = _parse_error(document, response, label, make_error)
    if request.kind == "batch" or isinstance(error, AuthenticationFailed):
        raise error
    return correct_script_errors([error], commands)


def _parse_bulk_string(body: bytes) -> bytes | None:
    """Return the reply that is one bulk string, as a value is; None if it is not complete.

    A large value is copied once: hiredis copies it twice.
    """
    header_end = body.find(b"\r\n", 1, _MAX_BULK_HEADER)
    if header_end < 0 or not body[1:header_end].isdigit():
        return None
    start = header_end + 2
    end = start + int(body[1:header_end])
    if len(body) != end + 2 or not body.endswith(b"\r\n"):
        return None
    return body[start:end]


def _parse_resp2(body: bytes, label: str, make_error: MakeError) -> Reply:
    if body == _OK_RESP2:
        return b"OK"
    if body[0] == _BULK_STRING and (value := _parse_bulk_string(body)) is not None:
        return value
    reader = hiredis.Reader(replyError=make_error, notEnoughData=_INCOMPLETE)
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


def _parse_error(
    document: Any, response: HttpResponse, label: str, make_error: MakeError
) -> ReplyError:
    """Return the error of a JSON object, or raise it if it does not come from the REST API.

    Gateways return JSON objects with an "error", too. The REST API returns the error of a command
    with status 200 or 400, and it begins with an error code of Redis.
    """
    if not isinstance(document, dict) or not isinstance(document.get("error"), str):
        raise _foreign_response_error(response, label)
    error = make_error(document["error"])
    if isinstance(error, (Unavailable, Refused)):
        error.retry_after = _parse_retry_after(response)
    elif response.status not in _STATUS_OF_REPLIES or not _ERROR_CODE.match(document["error"]):
        raise _foreign_response_error(response, label)
    return error


def _decode_entries(
    document: list[Any], commands: Sequence[Command], label: str, make_error: MakeError
) -> Replies:
    if len(document) != len(commands):
        raise _response_format_error(label)
    try:
        replies: Replies = [
            b"OK" if entry == _OK else _decode_entry(entry, command, make_error)
            for entry, command in zip(document, commands, strict=True)
        ]
        replies = correct_script_errors(replies, commands)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as cause:
        raise _response_format_error(label) from cause
    if isinstance(replies[0], ReplyError) and (error := find_batch_error(replies, label)):
        raise error
    return replies


def _decode_entry(entry: Any, command: Command, make_error: MakeError) -> Reply:
    if entry.get("error") is not None:
        return make_error(entry["error"])
    result = entry["result"]
    if command[0] in COUNTERS and type(result) is str and result.lstrip("-").isdecimal():
        return int(result)
    return _decode_base64(result, make_error)


def _decode_base64(value: Any, make_error: MakeError) -> Reply:
    """Decode base64 at every depth.

    The text of a status or of a nested error is not encoded
    (github.com/upstash/redis-js, CHANGELOG 1.40.0), and no such text is valid base64.
    """
    if isinstance(value, str):
        try:
            return a2b_base64(value, strict_mode=True)
        except ValueError:
            return value.encode()
    if isinstance(value, list):
        return [_decode_nested(item, make_error) for item in value]
    if value is None or isinstance(value, (int, bytes)):
        return value
    raise TypeError(f"no reply of Redis is a {type(value).__name__}")


def _decode_nested(value: Any, make_error: MakeError) -> Reply:
    reply = _decode_base64(value, make_error)
    if isinstance(value, str) and isinstance(reply, bytes) and reply == value.encode():
        # Not base64: the text of a status, or of an error such as "WRONGTYPE Operation …".
        return make_error(value) if _ERROR_CODE.match(value) and " " in value else reply
    return reply


def _read_unencoded(value: Any, label: str) -> Reply:
    """Return the reply of a server that ignores Upstash-Response-Format: JSON without base64."""
    if isinstance(value, str):
        if "\ufffd" in value:
            raise Unavailable(
                f"{label}: the server returned a binary value as text. Repeat the call: it is "
                "requested as base64 from now on."
            )
        return value.encode()
    if isinstance(value, list):
        return [_read_unencoded(item, label) for item in value]
    if value is None or isinstance(value, (int, bytes)):
        return value
    raise _response_format_error(label)


def _response_format_error(label: str) -> Unavailable:
    return Unavailable(f"{label}: malformed response: it does not contain one reply per command.")


def _foreign_response_error(response: HttpResponse, label: str) -> Unavailable | Refused:
    """Return the error for a response that does not come from the REST API itself."""
    status = response.status
    if status == HTTPStatus.UNAUTHORIZED:
        return AuthenticationFailed(
            f"{label}: HTTP 401: the token is rejected. Copy it again from the console."
        )
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return RequestTooLarge(
            f"{label}: HTTP 413: the request is too large. Store smaller values."
        )
    if 300 <= status < 400:
        location = response.headers.get(b"location", b"").decode("latin-1")
        target = split_url(location)
        host = (target and target.hostname) or "another address"
        return Unavailable(
            f"{label}: HTTP {status} redirects to {host}. Set the REST URL to that of the database."
        )
    seconds = _parse_retry_after(response)
    hint = "" if seconds is None else f" Retry-After: {seconds:.0f} s."
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= 500:
        return Unavailable(f"{label}: HTTP {status} instead of a reply.{hint}", retry_after=seconds)
    kind = response.headers.get(b"content-type", b"no content type").decode("latin-1")[:80]
    return Unavailable(
        f"{label}: HTTP {status} with {kind} instead of a reply. "
        f"Check that the URL is the database's REST URL.{hint}",
        retry_after=seconds,
    )


def _parse_retry_after(response: HttpResponse) -> float | None:
    """Return the seconds of a Retry-After header, or None if there is no valid one.

    It contains seconds, or a date, from which the response's own date is subtracted: the clocks of
    server and client may differ.
    """
    text = response.headers.get(b"retry-after", b"").decode("latin-1").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    at = _parse_date(text)
    if at is None:
        return None
    now = _parse_date(response.headers.get(b"date", b"").decode("latin-1"))
    return max(at - (time() if now is None else now), 0.0)


def _parse_date(text: str) -> float | None:
    """Return the Unix seconds of an HTTP date, or None if it is not one."""
    if not text:
        return None
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 only for dates, it takes 10 ms

    try:
        date = parsedate_to_datetime(text)
        return date.replace(tzinfo=date.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        return None
