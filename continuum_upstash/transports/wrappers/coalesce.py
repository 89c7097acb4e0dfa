"""An async transport that sends the commands of one event-loop tick as one request.

Concurrent tasks that each await one command would otherwise send a request each. Collecting them
until the next tick delays a command by microseconds; a round trip takes a thousand times longer.
Transactions are never merged, nor are databases: each has its own transport.
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


class _PendingBatch:
    """A caller's batch, the future that the caller awaits, and its context's sync tokens."""

    __slots__ = ("batch", "replies", "tokens")

    def __init__(self, batch: Batch, replies: asyncio.Future[Replies]) -> None:
        self.batch = batch
        self.replies = replies
        self.tokens = sync_token.get_tokens()

    def fail(self, error: Exception) -> None:
        if not self.replies.done():
            self.replies.set_exception(error)


class CoalescingTransport:
    """Merges the batches of a tick, up to 128 commands or 512 KB, for another transport."""

    def __init__(self, transport: AsyncTransport, alias: str = "client") -> None:
        self._transport = transport
        self._alias = alias
        self._pending: list[_PendingBatch] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.name = transport.name

    async def asend(self, batch: Batch) -> Replies:
        if batch.atomic:
            return await self._transport.asend(batch)
        loop = asyncio.get_running_loop()
        if not self._pending:
            loop.call_soon(self._flush)
        pending = _PendingBatch(batch, loop.create_future())
        self._pending.append(pending)
        return await pending.replies

    async def aclose(self) -> None:
        await self._transport.aclose()

    def _flush(self) -> None:
        collected, self._pending = self._pending, []
        # The batch of a caller that has been cancelled meanwhile is not sent.
        for group in _make_groups([each for each in collected if not each.replies.done()]):
            self._start(group)

    def _start(self, group: Sequence[_PendingBatch]) -> None:
        task = asyncio.ensure_future(self._deliver(group))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, group: Sequence[_PendingBatch]) -> None:
        try:
            replies = await self._send(group)
        except asyncio.CancelledError:
            for pending in group:
                pending.replies.cancel()
            raise
        except NotSerializable as error:
            # Nothing was sent, and only one caller's command is wrong: send the others again.
            if len(group) == 1:
                group[0].fail(error)
            else:
                for pending in group:
                    self._start([pending])
            return
        except Exception as error:  # noqa: BLE001 it is raised where the replies are awaited
            for pending in group:
                pending.fail(error)
            return
        start = 0
        for pending in group:
            end = start + len(pending.batch.commands)
            if not pending.replies.done():
                pending.replies.set_result(replies[start:end])
            start = end

    async def _send(self, group: Sequence[_PendingBatch]) -> Replies:
        if len(group) == 1:
            with sync_token.override(group[0].tokens):
                return await self._transport.asend(group[0].batch)
        # The request needs the newest token of all callers, and all of them get the new one.
        with sync_token.override(sync_token.SyncTokens()) as tokens:
            for pending in group:
                tokens.merge(pending.tokens)
            commands = [command for pending in group for command in pending.batch.commands]
            replies = await self._transport.asend(Batch(commands))
            notify(Coalesced(self._alias, self.name, len(group) - 1))
            for pending in group:
                pending.tokens.merge(tokens)
        return replies


def _make_groups(pending: Sequence[_PendingBatch]) -> Iterator[list[_PendingBatch]]:
    group: list[_PendingBatch] = []
    commands = size = 0
    for each in pending:
        more = len(each.batch.commands)
        more_bytes = sum(map(_estimate_bytes, each.batch.commands))
        if group and (commands + more > MAX_COMMANDS or size + more_bytes > MAX_BYTES):
            yield group
            group, commands, size = [], 0, 0
        group.append(each)
        commands += more
        size += more_bytes
    if group:
        yield group


def _estimate_bytes(command: Command) -> int:
    return sum(len(part) if isinstance(part, (bytes, str)) else 20 for part in command)
