"""Reads the body of a request, unless it is too large."""

from collections.abc import Sequence
from typing import Final

from starlette.requests import Request

from continuum_upstash.emulator.commands import error_messages
from continuum_upstash.emulator.commands.request import RequestRejected

_PIPELINE_COMMANDS: Final = 10  # of the largest size; the service does not limit the whole body
_JSON_BYTES: Final = 6  # a control character is written as \u0000
_JSON_SYNTAX: Final = 1024 * 1024


async def read_body(request: Request, segments: Sequence[bytes], max_request_size: int) -> bytes:
    """Return the body of a request with these path segments.

    `max_request_size` limits one command, in bytes.

    Raises:
        RequestRejected: the body is too large. It is not read further.
    """
    arguments = 0
    match segments:
        case []:
            limit = _JSON_BYTES * max_request_size + _JSON_SYNTAX
        case [b"pipeline" | b"multi-exec"]:
            limit = _PIPELINE_COMMANDS * max_request_size + _JSON_SYNTAX
        case _:
            arguments = sum(map(len, segments))
            limit = max_request_size
    declared = request.headers.get("content-length", "0")
    size = int(declared) if declared.isdecimal() else 0
    chunks = []
    received = 0
    if size <= limit:
        async for chunk in request.stream():
            received += len(chunk)
            if received > limit:
                break
            chunks.append(chunk)
    if max(size, received) > limit:
        error = error_messages.request_too_large(max_request_size, max(size, received) + arguments)
        raise RequestRejected(error.decode(), error.http_status)
    return b"".join(chunks)
