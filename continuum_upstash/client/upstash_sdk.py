"""The typed commands of the upstash-redis SDK over our transport.

The SDK's clients send each command through one object, `_http`; it is replaced here. Therefore the
SDK's commands and pipelines, and upstash-ratelimit, use our timeouts, connections and fallback.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from types import FunctionType
from typing import Any, TypeAlias, TypeVar

import upstash_redis
import upstash_redis.asyncio

from continuum_upstash.errors import ReplyError
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Argument, Command, Replies, Reply

_Client = TypeVar("_Client")
_Result: TypeAlias = Any


class SdkTransport:
    """Replaces the HTTP client of the SDK's sync client."""

    def __init__(self, send: Callable[[Batch], Replies]) -> None:
        self._send = send

    def execute(
        self, url: str, headers: object, command: list[Any], *, from_pipeline: bool = False
    ) -> _Result:
        del headers
        if from_pipeline and not command:
            return []
        return _to_results(self._send(_to_batch(url, command, from_pipeline)), from_pipeline)

    def close(self) -> None:
        """Do nothing: the clients of a process share the connections."""


class AsyncSdkTransport:
    """Replaces the HTTP client of the SDK's async client."""

    def __init__(self, asend: Callable[[Batch], Awaitable[Replies]]) -> None:
        self._asend = asend

    async def execute(
        self, url: str, headers: object, command: list[Any], *, from_pipeline: bool = False
    ) -> _Result:
        del headers
        if from_pipeline and not command:
            return []
        return _to_results(await self._asend(_to_batch(url, command, from_pipeline)), from_pipeline)

    async def close(self) -> None:
        """Do nothing: the clients of a process share the connections."""


def make_redis(send: Callable[[Batch], Replies]) -> upstash_redis.Redis:
    """Return the SDK's sync client over a transport."""
    return _create_client(upstash_redis.Redis, "SyncHttpClient", SdkTransport(send))


def make_async_redis(asend: Callable[[Batch], Awaitable[Replies]]) -> upstash_redis.asyncio.Redis:
    """Return the SDK's async client over a transport."""
    return _create_client(upstash_redis.asyncio.Redis, "AsyncHttpClient", AsyncSdkTransport(asend))


def _create_client(kind: type[_Client], http_class: str, transport: object) -> _Client:
    """Create a client of the SDK with a transport in the place of its HTTP client.

    Its `__init__` runs without the class of that HTTP client, which would read the proxies of the
    environment and fail for some of them.
    """
    create: Any = kind.__init__
    names = {**create.__globals__, http_class: lambda **_: transport}
    create = FunctionType(create.__code__, names, argdefs=create.__defaults__)
    client = kind.__new__(kind)
    create(client, url="", token="", allow_telemetry=False)
    return client


def _to_batch(url: str, command: list[Any], from_pipeline: bool) -> Batch:
    commands = command if from_pipeline else [command]
    return Batch([_to_command(each) for each in commands], atomic=url.endswith("/multi-exec"))


def _to_command(parts: Sequence[Any]) -> Command:
    return tuple(_to_argument(part) for part in parts)


def _to_argument(part: Any) -> Argument:
    # As the SDK writes it in its JSON body (upstash_redis.http._format_command).
    if isinstance(part, (str, bytes)):
        return part
    if isinstance(part, int) and not isinstance(part, bool):
        return part
    return json.dumps(part)


def _to_results(replies: Replies, from_pipeline: bool) -> _Result:
    for reply in replies:
        if isinstance(reply, ReplyError):
            raise reply
    results = [_to_result(reply) for reply in replies]
    return results if from_pipeline else results[0]


def _to_result(reply: Reply) -> _Result:
    if isinstance(reply, list):
        return [_to_result(each) for each in reply]
    if isinstance(reply, bytes):
        try:
            return reply.decode()
        except UnicodeDecodeError:
            return reply
    return reply
