"""An async transport that sends the commands of one event-loop tick as one request.

Concurrent tasks that each await one command would otherwise send a request each. Collecting them
until the next tick delays a command by microseconds; a round trip takes a thousand times longer.
Transactions are never merged, and each database has a transport of its own.

A caller whose batch no other can join sends it itself: without a task of its own, and without
waiting for the next tick if no other task can run in this one.

A caller may be cancelled while its write is being sent. If the others of the request are cancelled,
too, the exchange ends: its connection is reset, so that the write does not arrive later. Otherwise
its keys count as changed, as after a timeout.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from continuum_upstash.errors import NotSerializable
from continuum_upstash.observe import Coalesced, notify
from continuum_upstash.plans.command_table import ReplyKind, get_spec, list_written_keys
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Command, Replies
from continuum_upstash.transports.base import AsyncTransport
from continuum_upstash.transports.rest import sync_token

MAX_COMMANDS: Final = 128
MAX_BYTES: Final = 512 * 1024


class _PendingBatch:
    """A caller's batch, the future that the caller awaits, and its context's sync tokens.

    The result of the future is None if the caller is to send the batch itself.
    """

    __slots__ = ("batch", "group", "replies", "task", "tokens")

    def __init__(self, batch: Batch, replies: asyncio.Future[Replies | None]) -> None:
        self.batch = batch
        self.replies = replies
        self.tokens = sync_token.get_tokens()
        self.group: Sequence[_PendingBatch] = ()  # those of the same request, once it is sent
        self.task: asyncio.Task[None] | None = None

    def fail(self, error: Exception) -> None:
        if not self.replies.done():
            self.replies.set_exception(error)


class CoalescingTransport:
    """Merges the batches of a tick, up to 128 commands or 512 KB, for another transport."""

    def __init__(
        self,
        transport: AsyncTransport,
        alias: str = "client",
        mark_dirty: Callable[[Iterable[str]], None] = lambda _: None,
    ) -> None:
        """
        Args:
            transport: sends the merged batches.
            alias: the cache alias, or the client's name.
            mark_dirty: called with the keys that a cancelled write may change later.
        """
        self._transport = transport
        self._mark_dirty = mark_dirty
        self._alias = alias
        self._pending: list[_PendingBatch] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_sending_directly = False
        self.name = transport.name

    async def asend(self, batch: Batch) -> Replies:
        if batch.atomic:
            return await self._transport.asend(batch)
        loop = asyncio.get_running_loop()
        if not (self._pending or self._is_sending_directly or _may_run_others(loop)):
            self._is_sending_directly = True  # eager tasks start before this one waits
            try:
                return await self._transport.asend(batch)
            finally:
                self._is_sending_directly = False
        if not self._pending:
            loop.call_soon(self._flush)
        pending = _PendingBatch(batch, loop.create_future())
        self._pending.append(pending)
        try:
            replies = await pending.replies
        except asyncio.CancelledError:
            self._abandon(pending)
            raise
        return await self._transport.asend(batch) if replies is None else replies

    def _abandon(self, pending: _PendingBatch) -> None:
        """End the exchange of a cancelled write if no other caller awaits it."""
        if pending.task is None or pending.task.done():
            return
        batches = [each.batch for each in pending.group]
        if not any(list_written_keys(batch) != [] for batch in batches):
            return  # the connection can be used again after a read
        if all(each.replies.done() for each in pending.group):
            pending.task.cancel()
        else:
            self._mark_late_write(pending.batch)

    def _mark_late_write(self, batch: Batch) -> None:
        if not batch.needs_server:  # a session, for example, must not be lost with its key
            self._mark_dirty(_list_overwritten_keys(batch))

    async def aclose(self) -> None:
        await self._transport.aclose()

    def _flush(self) -> None:
        collected, self._pending = self._pending, []
        # The batch of a caller that has been cancelled meanwhile is not sent.
        for group in _make_groups([each for each in collected if not each.replies.done()]):
            self._start(group)

    def _start(self, group: Sequence[_PendingBatch]) -> None:
        if len(group) == 1:
            group[0].replies.set_result(None)
            return
        task = asyncio.ensure_future(self._deliver(group))
        for pending in group:
            pending.group, pending.task = group, task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, group: Sequence[_PendingBatch]) -> None:
        try:
            replies = await self._send(group)
        except asyncio.CancelledError:
            for pending in group:
                pending.replies.cancel()
            raise
        except NotSerializable:
            # Nothing was sent, and only one caller's command is wrong: each sends its own.
            for pending in group:
                if not pending.replies.done():
                    pending.replies.set_result(None)
            return
        except Exception as error:  # noqa: BLE001 it is raised where the replies are awaited
            for pending in group:
                pending.fail(error)
            return
        self._distribute(replies, group)

    def _distribute(self, replies: Replies, group: Sequence[_PendingBatch]) -> None:
        start = 0
        for pending in group:
            end = start + len(pending.batch.commands)
            if not pending.replies.done():
                pending.replies.set_result(replies[start:end])
            elif pending.replies.cancelled():
                self._mark_late_write(pending.batch)  # it arrived only now
            start = end

    async def _send(self, group: Sequence[_PendingBatch]) -> Replies:
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


def _may_run_others(loop: asyncio.AbstractEventLoop) -> bool:
    """Return whether other callbacks may run before the loop waits for the network.

    asyncio's own loops keep them in `_ready`; nothing is known of another loop (uvloop's).
    """
    return bool(getattr(loop, "_ready", True))


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


def _list_overwritten_keys(batch: Batch) -> list[str]:
    """Return the keys whose values the batch replaces; counters and `add` lose no newer value."""
    return [
        key
        for command in batch.commands
        if get_spec(command).reply is ReplyKind.STORED and "NX" not in command
        for key in list_written_keys(Batch((command,))) or ()
    ]


def _estimate_bytes(command: Command) -> int:
    return sum(len(part) if isinstance(part, (bytes, str)) else 20 for part in command)
