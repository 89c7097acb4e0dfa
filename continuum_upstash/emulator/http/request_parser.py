"""Parses the request forms of the REST API: an HTTP request becomes commands."""

import json
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from continuum_upstash.emulator.commands import error_messages
from continuum_upstash.emulator.commands.request import ParsedRequest, RequestRejected, RequestType
from continuum_upstash.emulator.http.utf8 import decode_text
from continuum_upstash.emulator.redis.resp2_wire import Argv

_FLAGS: Final = frozenset((b"NX", b"XX", b"GET", b"KEEPTTL", b"GT", b"LT", b"CH", b"INCR"))


def parse_request(method: str, segments: list[bytes], query: bytes, body: bytes) -> ParsedRequest:
    """Return the commands of a request with these path segments, decoded by `split_path`.

    Raises:
        RequestRejected: the body is invalid.
    """
    match segments:
        case []:
            return ParsedRequest(RequestType.SINGLE, [_read_command(_parse_json(body))])
        case [b"pipeline"]:
            return ParsedRequest(RequestType.PIPELINE, _read_commands(body))
        case [b"multi-exec"]:
            return ParsedRequest(RequestType.TRANSACTION, _read_commands(body))
    argv = list(segments)
    if body and method in {"POST", "PUT"}:
        argv.append(body)
    argv += parse_query(query)
    return ParsedRequest(RequestType.SINGLE, [argv])


def split_path(raw_path: bytes) -> list[bytes]:
    """Return the decoded segments. `//` holds an empty argument; a final slash adds none.

    Raises:
        RequestRejected: an argument contains a slash. The service does not document whether it
            splits a path before or after it decodes it.
    """
    if b"%2F" in raw_path.upper():
        raise RequestRejected(error_messages.ENCODED_SLASH, 404)
    segments = [unquote_to_bytes(part) for part in raw_path.split(b"/")[1:]]
    if segments and not segments[-1]:
        segments.pop()
    return segments


def parse_query(query: bytes) -> Iterator[bytes]:
    """Yield the parameters as arguments: `?EX=100` is `EX 100`.

    Raises:
        RequestRejected: a parameter is a flag. The service documents only options with values.
    """
    for pair in filter(None, query.split(b"&")):
        name, _, value = pair.replace(b"+", b" ").partition(b"=")
        if name != b"_token":
            if not value or name.upper() in _FLAGS:
                raise RequestRejected(error_messages.SYNTAX_ERROR)
            yield unquote_to_bytes(name)
            yield unquote_to_bytes(value)


def _read_commands(body: bytes) -> list[Argv]:
    rows = _require_array(_parse_json(body))
    if not rows:
        raise RequestRejected(error_messages.EMPTY_COMMAND)
    return [_read_command(row) for row in rows]


def _read_command(row: Any) -> Argv:
    arguments = _require_array(row)
    if not arguments:
        raise RequestRejected(error_messages.EMPTY_COMMAND)
    return [_encode_argument(value) for value in arguments]


def _require_array(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise RequestRejected(error_messages.NOT_AN_ARRAY)
    return value


class _Number(str):
    """The text of a JSON number: an id beyond 2^53 would change if it became a float."""

    __slots__ = ()


def _parse_json(body: bytes) -> Any:
    if not body.strip():
        raise RequestRejected(error_messages.EMPTY_BODY)
    try:
        return json.loads(
            decode_text(body),
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_reject_constant,
        )
    except ValueError as error:
        raise RequestRejected(f"ERR invalid JSON: {error}") from error
    except RecursionError as error:
        raise RequestRejected(error_messages.wrong_argument_type("[")) from error


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _encode_argument(value: Any) -> bytes:
    match value:
        case str():
            return _encode_utf8(value)
        case bool():
            return b"true" if value else b"false"
        case None:
            raise RequestRejected(error_messages.NULL_ARGUMENT)
    bracket = "[" if isinstance(value, list) else "{"
    raise RequestRejected(error_messages.wrong_argument_type(bracket))


def _encode_utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair, written as \\ud83d, becomes U+FFFD, as in the service's parser.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
