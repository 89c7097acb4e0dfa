"""upstash-redis' typed commands over our transport.

The SDK's clients send through one object, `_http`, that turns a command into a result; here it
is ours. So each of its commands, its pipelines and upstash-ratelimit get our deadlines, pools
and fallback, and bytes where the SDK takes none.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias, cast

import upstash_redis
import upstash_redis.asyncio

from continuum_upstash.errors import ReplyError
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Argument, Command, Replies, Reply

_Result: TypeAlias = Any


class _Http:
    """Stands where the SDK has its HTTP client."""

    def __init__(self, send: Callable[[Batch], Replies]) -> None:
        self._send = send

    def execute(
        self, url: str, headers: object, command: list[Any], *, from_pipeline: bool = False
    ) -> _Result:
        del headers
        if from_pipeline and not command:
            return []
        return _results(self._send(_batch(url, command, from_pipeline)), from_pipeline)

    def close(self) -> None:
        """Do nothing: the connections are the process's."""


class _AsyncHttp:
    def __init__(self, asend: Callable[[Batch], Awaitable[Replies]]) -> None:
        self._asend = asend

    async def execute(
        self, url: str, headers: object, command: list[Any], *, from_pipeline: bool = False
    ) -> _Result:
        del headers
        if from_pipeline and not command:
            return []
        return _results(await self._asend(_batch(url, command, from_pipeline)), from_pipeline)

    async def close(self) -> None:
        """Do nothing: the connections are the process's."""


def redis(send: Callable[[Batch], Replies]) -> upstash_redis.Redis:
    """Return the SDK's sync client over a transport."""
    client = upstash_redis.Redis(url="", token="", allow_telemetry=False)
    own: Any = client._http  # noqa: SLF001 the SDK has no public way to bring a transport
    own.close()
    client._http = cast("Any", _Http(send))  # noqa: SLF001
    return client


def async_redis(asend: Callable[[Batch], Awaitable[Replies]]) -> upstash_redis.asyncio.Redis:
    """Return the SDK's async client over a transport."""
    client = upstash_redis.asyncio.Redis(url="", token="", allow_telemetry=False)
    client._http = cast("Any", _AsyncHttp(asend))  # noqa: SLF001 as above; its own opened no connection yet
    return client


def _batch(url: str, command: list[Any], from_pipeline: bool) -> Batch:
    commands = command if from_pipeline else [command]
    return Batch([_command(each) for each in commands], atomic=url.endswith("/multi-exec"))


def _command(parts: Sequence[Any]) -> Command:
    return tuple(_argument(part) for part in parts)


def _argument(part: Any) -> Argument:
    # What the SDK's JSON body would have made of it (upstash_redis.http._format_command).
    if isinstance(part, (str, bytes)):
        return part
    if isinstance(part, int) and not isinstance(part, bool):
        return part
    return json.dumps(part)


def _results(replies: Replies, from_pipeline: bool) -> _Result:
    for reply in replies:
        if isinstance(reply, ReplyError):
            raise reply
    results = [_result(reply) for reply in replies]
    return results if from_pipeline else results[0]


def _result(reply: Reply) -> _Result:
    if isinstance(reply, list):
        return [_result(each) for each in reply]
    if isinstance(reply, bytes):
        try:
            return reply.decode()
        except UnicodeDecodeError:
            return reply
    return reply
