"""Async commands of one event-loop tick travel as one request.

Concurrent tasks that each await one command would cost a request each. Collected until the loop
comes round they cost one, and no time: a tick is microseconds, a round trip a thousand times
more. Transactions are never merged, nor are databases: each has a coalescer of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from typing import Final

from continuum_upstash.errors import NotSerializable
from continuum_upstash.observe import Coalesced, notify
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Command, Replies
from continuum_upstash.transports.base import AsyncTransport
from continuum_upstash.transports.rest import sync_token

MAX_COMMANDS: Final = 128
MAX_BYTES: Final = 512 * 1024


class _Waiting:
    """A caller's batch, the future that it awaits, and its context's sync tokens."""

    __slots__ = ("batch", "replies", "tokens")

    def __init__(self, batch: Batch, replies: asyncio.Future[Replies]) -> None:
        self.batch = batch
        self.replies = replies
        self.tokens = sync_token.current()

    def fail(self, error: Exception) -> None:
        if not self.replies.done():
            self.replies.set_exception(error)


class Coalescing:
    """Merges the batches of a tick, up to 128 commands or 512 KB, in front of a transport."""

    def __init__(self, transport: AsyncTransport, alias: str = "client") -> None:
        self._transport = transport
        self._alias = alias
        self._waiting: list[_Waiting] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self.name = transport.name

    async def asend(self, batch: Batch) -> Replies:
        if batch.atomic:
            return await self._transport.asend(batch)
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._flush)
        waiting = _Waiting(batch, loop.create_future())
        self._waiting.append(waiting)
        return await waiting.replies

    async def aclose(self) -> None:
        await self._transport.aclose()

    def _flush(self) -> None:
        collected, self._waiting = self._waiting, []
        # A caller that was cancelled meanwhile wants nothing sent.
        wanted = [waiting for waiting in collected if not waiting.replies.done()]
        for group in _groups(wanted):
            self._start(group)

    def _start(self, group: Sequence[_Waiting]) -> None:
        task = asyncio.ensure_future(self._deliver(group))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _deliver(self, group: Sequence[_Waiting]) -> None:
        try:
            replies = await self._send(group)
        except asyncio.CancelledError:
            for waiting in group:
                waiting.replies.cancel()
            raise
        except NotSerializable as error:
            # Nothing was sent, and it is one caller's fault: the others must not pay for it.
            if len(group) == 1:
                group[0].fail(error)
            else:
                for waiting in group:
                    self._start([waiting])
            return
        except Exception as error:  # noqa: BLE001 it is raised where the replies are awaited
            for waiting in group:
                waiting.fail(error)
            return
        start = 0
        for waiting in group:
            end = start + len(waiting.batch.commands)
            if not waiting.replies.done():
                waiting.replies.set_result(replies[start:end])
            start = end

    async def _send(self, group: Sequence[_Waiting]) -> Replies:
        if len(group) == 1:
            with sync_token.using(group[0].tokens):
                return await self._transport.asend(group[0].batch)
        # The replica must know what any of the callers wrote, and each learns the outcome.
        with sync_token.using(sync_token.Tokens()) as tokens:
            for waiting in group:
                tokens.merge(waiting.tokens)
            commands = [command for waiting in group for command in waiting.batch.commands]
            replies = await self._transport.asend(Batch(commands))
            notify(Coalesced(self._alias, self.name, len(group) - 1))
            for waiting in group:
                waiting.tokens.merge(tokens)
        return replies


def _groups(waiting: Sequence[_Waiting]) -> Iterator[list[_Waiting]]:
    group: list[_Waiting] = []
    commands = size = 0
    for each in waiting:
        more = len(each.batch.commands)
        more_bytes = sum(map(_size, each.batch.commands))
        if group and (commands + more > MAX_COMMANDS or size + more_bytes > MAX_BYTES):
            yield group
            group, commands, size = [], 0, 0
        group.append(each)
        commands += more
        size += more_bytes
    if group:
        yield group


def _size(command: Command) -> int:
    """Return about how many bytes a command takes."""
    return sum(len(part) if isinstance(part, (bytes, str)) else 20 for part in command)
