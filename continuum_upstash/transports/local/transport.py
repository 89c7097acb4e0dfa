"""The local transport: an in-process store that replies as Redis does.

It is the database in local mode, and the fallback of a database during an outage.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ReplyError
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Replies
from continuum_upstash.transports.local.commands import ParsedCommand, execute, parse
from continuum_upstash.transports.local.keyspace import Keyspace


def read_wall_clock() -> float:
    """Return seconds since the epoch.

    The function is looked up at each call: libraries that set the time in tests, as freezegun does,
    replace it.
    """
    return time.time()


class LocalTransport:
    """A store in this process, bounded by ``local_max_entries`` and ``local_max_bytes``.

    Every batch runs as a transaction, atomic or not. Any number of threads and event loops may use
    the store.

    Args:
        config: the bounds.
        clock: seconds since the epoch: a wall clock, because PEXPIREAT takes wall-clock times.
    """

    name = "local"

    def __init__(self, config: Config, clock: Callable[[], float] = read_wall_clock) -> None:
        self._space = Keyspace(config.local_max_entries, config.local_max_bytes, clock)
        # Reentrant: a signal handler that uses the cache may interrupt this thread here.
        self._lock = threading.RLock()

    def send(self, batch: Batch) -> Replies:
        """Return the replies, with errors in their places.

        Raises:
            ReplyError: an atomic batch contains an unknown command or a wrong number of arguments.
            NotSerializable: a text has no UTF-8 form; no command was run.
        """
        commands = batch.commands
        if len(commands) == 1 and not batch.atomic:  # most batches; this saves a third of the time
            command = parse(commands[0])
            space = self._space
            with self._lock:
                space.tick()
                return [execute(space, command)]
        parsed = [parse(command) for command in commands]
        if batch.atomic:
            _reject_invalid_transaction(parsed)
        with self._lock:
            self._space.tick()
            return [execute(self._space, command) for command in parsed]

    async def asend(self, batch: Batch) -> Replies:
        """Return the replies; see `send`. It runs in the event loop.

        The lock is held for a few microseconds per key or member of a batch, or per key of a
        SCAN's COUNT, which is less than the cost of a switch to a thread.
        """
        return self.send(batch)

    def clear(self) -> None:
        """Delete all keys."""
        with self._lock:
            self._space.clear()

    def close(self) -> None:
        """Do nothing: there is no connection, and the data stays."""

    async def aclose(self) -> None:
        """Do nothing, as `close`."""


def _reject_invalid_transaction(commands: Sequence[ParsedCommand | ReplyError]) -> None:
    """Raise what a server returns when it does not accept a command into a transaction."""
    for command in commands:
        if isinstance(command, ReplyError):
            raise command
