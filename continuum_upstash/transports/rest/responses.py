"""An HTTP answer as the replies to a batch, or as the error that it stands for.

Status codes alone do not tell: an error may come with 200, and a proxy's 502 is no answer of the
database at all (upstash.com/docs/redis/features/restapi).
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
    from_reply,
)
from continuum_upstash.plans.command_table import COUNTERS
from continuum_upstash.protocol import Command, Replies, Reply
from continuum_upstash.transports.rest.http11 import Answer
from continuum_upstash.transports.rest.requests import Request

_RESP2: Final = frozenset(b"+-:$*")
_INCOMPLETE: Final = object()

# A float would be rounded; its text is what Redis meant.
_decode_json: Final = json.JSONDecoder(parse_float=str.encode).decode


def replies(answer: Answer, request: Request, commands: Sequence[Command], label: str) -> Replies:
    """Return one reply per command.

    Raises:
        AuthenticationFailed: the token was not accepted.
        ReplyError: several commands were refused as a whole.
        Unavailable: the answer is not one of the REST API.
    """
    body = answer.body
    if request.form != "batch" and body and body[0] in _RESP2:
        reply = _resp2(body, label)
        if isinstance(reply, AuthenticationFailed):
            raise reply
        return [request.restore(reply) if request.restore else reply]
    document = _document(answer, label)
    if isinstance(document, list) and request.form == "batch":
        return _entries(document, commands, label)
    error = _refusal(document, answer, label)
    if request.form == "batch" or isinstance(error, AuthenticationFailed):
        raise error
    return [request.restore(error) if request.restore else error]


def _resp2(body: bytes, label: str) -> Reply:
    reader = hiredis.Reader(replyError=from_reply, notEnoughData=_INCOMPLETE)
    try:
        reader.feed(body)
        reply: Any = reader.gets()
    except hiredis.ProtocolError as error:
        raise _unreadable(label) from error
    if reply is _INCOMPLETE or reader.has_data():
        raise _unreadable(label)
    result: Reply = reply
    return result


def _document(answer: Answer, label: str) -> Any:
    """Return the JSON that the REST API answers with, or raise what came instead of it."""
    if not answer.body[:64].lstrip().startswith((b"{", b"[")):
        raise _stranger(answer, label)
    try:
        return _decode_json(answer.body.decode())
    except (ValueError, RecursionError) as error:
        raise _stranger(answer, label) from error


def _refusal(document: Any, answer: Answer, label: str) -> ReplyError:
    """Return the error of a JSON object, or raise it where the database could not be asked."""
    if not isinstance(document, dict) or not isinstance(document.get("error"), str):
        raise _stranger(answer, label)
    error = from_reply(document["error"])
    if isinstance(error, Refused):
        return error
    if answer.status == HTTPStatus.UNAUTHORIZED:
        return AuthenticationFailed(f"{error} Copy the token of {label} again.")
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.status >= 500:
        raise _stranger(answer, label)
    return error


def _entries(document: list[Any], commands: Sequence[Command], label: str) -> Replies:
    if len(document) != len(commands):
        raise _unreadable(label)
    try:
        return [_entry(entry, command) for entry, command in zip(document, commands, strict=True)]
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError) as error:
        raise _unreadable(label) from error


def _entry(entry: Any, command: Command) -> Reply:
    if entry.get("error") is not None:
        return from_reply(entry["error"])
    result = entry["result"]
    # An integer beyond 2^53 may be text, which cannot be distinguished from base64 otherwise.
    if command[0] in COUNTERS and type(result) is str and result.lstrip("-").isdecimal():
        return int(result)
    return _decoded(result)


def _decoded(value: Any) -> Reply:
    """Undo base64 at every depth; a status "OK" is left bare, and is too short to be base64."""
    if isinstance(value, str):
        return b"OK" if value == "OK" else a2b_base64(value, strict_mode=True)
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if value is None or isinstance(value, (int, bytes)):
        return value
    raise TypeError(f"no reply of Redis is a {type(value).__name__}")


def _unreadable(label: str) -> Unavailable:
    return Unavailable(f"{label}: the answer could not be read as the replies to this request.")


def _stranger(answer: Answer, label: str) -> Unavailable | Refused:
    """Return the error for an answer that does not come from the REST API itself."""
    status = answer.status
    if status == HTTPStatus.UNAUTHORIZED:
        return AuthenticationFailed(f"{label}: HTTP 401. Copy the token again from the console.")
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return RequestTooLarge(f"{label}: HTTP 413. Store smaller values.")
    if 300 <= status < 400:
        location = answer.headers.get(b"location", b"").decode("latin-1")
        host = urlsplit(location).hostname or "another address"
        return Unavailable(f"{label}: HTTP {status} points to {host}. Set the URL to the database.")
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= 500:
        after = answer.headers.get(b"retry-after", b"")
        seconds = int(after) if after.isdigit() and len(after) < 10 else None  # or it is a date
        hint = "" if seconds is None else f" It asks to wait {seconds} s."
        return Unavailable(f"{label}: HTTP {status} instead of a reply.{hint}", retry_after=seconds)
    kind = answer.headers.get(b"content-type", b"no content type").decode("latin-1")[:80]
    return Unavailable(
        f"{label}: HTTP {status} with {kind} instead of a reply. Is the URL that of the REST API?"
    )
