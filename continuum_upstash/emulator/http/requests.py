"""The request forms of the REST API: an HTTP request becomes commands."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import unquote_to_bytes

from continuum_upstash.emulator.commands import error_messages
from continuum_upstash.emulator.redis.resp2 import Argv


class Refused(Exception):
    """The request is answered with an error object and nothing runs."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


class Kind(StrEnum):
    SINGLE = "single"
    PIPELINE = "pipeline"
    TRANSACTION = "multi-exec"


@dataclass(frozen=True, slots=True)
class Form:
    kind: Kind
    commands: list[Argv]


def read(method: str, segments: list[bytes], query: bytes, body: bytes) -> Form:
    """Read one request. `segments` are the decoded parts of the path. Raises Refused."""
    match segments:
        case []:
            return Form(Kind.SINGLE, [_command(_parse(body))])
        case [b"pipeline"]:
            return Form(Kind.PIPELINE, _commands(body))
        case [b"multi-exec"]:
            return Form(Kind.TRANSACTION, _commands(body))
    argv = list(segments)
    if body and method in {"POST", "PUT"}:
        argv.append(body)
    argv += arguments(query)
    return Form(Kind.SINGLE, [argv])


def split_path(raw_path: bytes) -> list[bytes]:
    """The decoded segments. An empty one inside is an empty argument; a final slash is nothing."""
    segments = [unquote_to_bytes(part) for part in raw_path.split(b"/")[1:]]
    if segments and not segments[-1]:
        segments.pop()
    return segments


def arguments(query: bytes) -> Iterator[bytes]:
    """Query parameters as arguments that follow the body: `?EX=100` is `EX 100`, `?NX` is `NX`."""
    for pair in filter(None, query.split(b"&")):
        name, _, value = pair.replace(b"+", b" ").partition(b"=")
        if name != b"_token":
            yield unquote_to_bytes(name)
            if value:
                yield unquote_to_bytes(value)


def _commands(body: bytes) -> list[Argv]:
    rows = _array(_parse(body))
    if not rows:
        raise Refused(error_messages.EMPTY_COMMAND)
    return [_command(row) for row in rows]


def _command(row: Any) -> Argv:
    arguments = _array(row)
    if not arguments:
        raise Refused(error_messages.EMPTY_COMMAND)
    return [_argument(value) for value in arguments]


def _array(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Refused(error_messages.NOT_AN_ARRAY)
    return value


class _Number(str):
    """A JSON number as it was written: an id beyond 2^53 must not pass through a float."""

    __slots__ = ()


def _parse(body: bytes) -> Any:
    if not body.strip():
        raise Refused(error_messages.EMPTY_BODY)
    try:
        return json.loads(
            body.decode(errors="replace"),
            parse_int=_Number,
            parse_float=_Number,
            parse_constant=_refuse_constant,
        )
    except ValueError as error:
        raise Refused(f"ERR invalid JSON: {error}") from error
    except RecursionError as error:
        raise Refused(error_messages.nested_argument("[")) from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _argument(value: Any) -> bytes:
    match value:
        case str():
            return _utf8(value)
        case bool():
            return b"true" if value else b"false"
        case None:
            raise Refused(error_messages.NULL_ARGUMENT)
    raise Refused(error_messages.nested_argument("[" if isinstance(value, list) else "{"))


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair, written as \\ud83d, becomes U+FFFD as in the service's parser.
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
