"""The local transport: an in-process store that answers like Redis.

It is the database in local mode, and stands in for one that cannot be reached.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ReplyError
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Replies
from continuum_upstash.transports.local.commands import Call, perform, prepare
from continuum_upstash.transports.local.keyspace import Keyspace


class LocalTransport:
    """A store of this process, bounded by ``local_max_entries`` and ``local_max_bytes``.

    A batch runs as a whole: nobody sees half of it, atomic or not. Safe for threads and for any
    number of event loops.

    Args:
        config: the bounds.
        clock: seconds since the epoch; a wall clock, since EXPIREAT speaks of it.
    """

    name = "local"

    def __init__(self, config: Config, clock: Callable[[], float] = time.time) -> None:
        self._space = Keyspace(config.local_max_entries, config.local_max_bytes, clock)
        # Re-entrant: a signal handler that uses the cache may interrupt its own thread in here.
        self._lock = threading.RLock()

    def send(self, batch: Batch) -> Replies:
        """Return the replies, errors in place.

        Raises:
            ReplyError: an atomic batch holds an unknown command, or too few or too many arguments.
            NotSerializable: a text has no UTF-8 form. Nothing has been done.
        """
        commands = batch.commands
        if len(commands) == 1 and not batch.atomic:  # nearly every batch: a third faster
            call = prepare(commands[0])
            with self._lock:
                self._space.tick()
                return [perform(self._space, call)]
        calls = [prepare(command) for command in commands]
        if batch.atomic:
            _refuse_what_no_server_queues(calls)
        with self._lock:
            self._space.tick()
            return [perform(self._space, call) for call in calls]

    async def asend(self, batch: Batch) -> Replies:
        """Return the replies, from within the event loop.

        Nothing in here waits but for the lock, which is held for some microseconds per key or
        member that a batch names, or that a SCAN's COUNT allows: less than a hop into a thread.
        """
        return self.send(batch)

    def clear(self) -> None:
        """Forget everything: the database can be reached again, and only it knows."""
        with self._lock:
            self._space.clear()

    def close(self) -> None:
        """Do nothing: there is no connection, and the data outlives one."""

    async def aclose(self) -> None:
        """Do nothing, as `close`."""


def _refuse_what_no_server_queues(calls: Sequence[Call | ReplyError]) -> None:
    for call in calls:
        if isinstance(call, ReplyError):
            raise call
