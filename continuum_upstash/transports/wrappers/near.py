"""Transports that read from the near cache, and drop the copies of what is written.

They wrap the failover, so every batch of a database is sent through them: those of caches and
clients, sync and async, of pipelines, sessions and the SDK's object. Therefore plans contain no
code for copies, a read from a copy counts neither as a success of the database nor as a call, and
replies of the local store are not copied. A database without a near cache has this transport only
if another alias of the process has a near cache for the same server.

Copies are used for a batch of one GET or MGET. A read that needs the current state of the database
sets `needs_server`, or is part of a longer batch or of a transaction.

For an MGET of a value, its lease and the tokens of its tags, either all replies are copies or none.
An MGET of tokens alone is sent, since a write may follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ReplyError
from continuum_upstash.observe import NearRead, has_observers, notify
from continuum_upstash.plans.command_table import list_changed_keys
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Command, Replies, Reply
from continuum_upstash.transports.base import AsyncTransport, Transport
from continuum_upstash.transports.failover.failover_policy import FailoverPolicy
from continuum_upstash.transports.wrappers.near_cache import Claim, NearCache, is_reserved


class NearPolicy:
    """What the sync transport and all event loops of one database share.

    Attributes:
        alias: its name in the records for observers.
        own: the database's near cache; None: its reads use no copies.
        failover: the database's.
        caches: the near caches of the process that may have copies of the server's values.
    """

    def __init__(self, config: Config, failover: FailoverPolicy) -> None:
        self.alias, self.failover = config.alias, failover
        self.own = NearCache(config) if config.near else None
        self.caches: tuple[NearCache, ...] = () if self.own is None else (self.own,)
        failover.drop_copies = self.drop_copies

    def wrap(self, transport: Transport) -> NearTransport:
        return NearTransport(transport, self)

    def wrap_async(self, transport: AsyncTransport) -> AsyncNearTransport:
        return AsyncNearTransport(transport, self)

    def find(self, batch: Batch) -> Replies | None:
        """Return the replies to a batch of one GET whose key has a copy: the fast path."""
        command = batch.commands[0]
        if self.own is None or command[0] != "GET" or len(batch.commands) > 1 or len(command) != 2:
            return None
        copy = self.own.find(command[1])
        if copy is None or batch.atomic or batch.needs_server:
            return None
        _report(self.alias, 1, is_complete=True)
        return [copy]

    def start(self, batch: Batch) -> _Read | _Write:
        """Return the exchange for a batch, which must be ended."""
        commands = batch.commands
        if self.own is None or len(commands) > 1 or batch.atomic or batch.needs_server:
            return _Write(self, batch)
        name, *keys = commands[0]
        is_read = name == "MGET" or (name == "GET" and len(keys) == 1)
        if not is_read or all(map(is_reserved, keys)):
            return _Write(self, batch)
        return _Read(self, self.own, batch)

    def drop_copies(self, keys: Sequence[str] | None) -> None:
        """Drop the copies of these keys, or of all keys if None."""
        for cache in self.caches:
            cache.invalidate(keys)


class _Write:
    """A batch that may change keys, or that must be sent in any case.

    The copies are dropped when it ends, also by an error: the write may have been done. The values
    of a batch of plain SETs are copied.

    Attributes:
        batch: to send.
        replies: None until there are any.
    """

    __slots__ = ("_claim", "_local_replies", "_policy", "_stored", "batch", "replies")

    def __init__(self, policy: NearPolicy, batch: Batch) -> None:
        self._policy, self.batch = policy, batch
        self.replies: Replies | None = None
        stored = [] if policy.own is None else [_parse_set(each) for each in batch.commands]
        self._stored = [each for each in stored if each is not None]
        self._local_replies = policy.failover.local_replies
        self._claim: Claim | None = None
        if policy.own is not None and len(self._stored) == len(batch.commands):
            self._claim = policy.own.claim([each.key for each in self._stored])

    def end(self) -> None:
        keys = list_changed_keys(self.batch)
        # A deletion by pattern scans first, and deletes what the scan finds: not the keys that
        # have expired on the server and still have a copy.
        if any(command[0] == "SCAN" for command in self.batch.commands):
            keys = None
        if keys is None or keys:
            own = None if self._claim is None else self._policy.own
            for cache in self._policy.caches:
                if cache is not own:
                    cache.invalidate(keys)
        self._replace_copies()

    def _replace_copies(self) -> None:
        if self._claim is None or self._policy.own is None:
            return
        replies: Replies = self.replies or []
        if self._policy.failover.local_replies != self._local_replies:
            replies = []
        values: list[bytes | None] = [None] * len(self._stored)
        for index, reply in enumerate(replies):
            if reply == b"OK":
                values[index] = self._stored[index].data
        self._policy.own.replace(self._claim, values, [each.ttl_ms for each in self._stored])

    def get_replies(self) -> Replies:
        assert self.replies is not None
        return self.replies


class _StoredValue(NamedTuple):
    key: str
    data: bytes
    ttl_ms: int | None


def _parse_set(command: Command) -> _StoredValue | None:
    """Return what a SET stores; None if it is another command or has other options."""
    match command:
        case ("SET", str(key), bytes(data), *options):
            pass
        case _:
            return None
    ttl_ms: int | None = None
    if len(options) > 1 and options[0] == "PX" and isinstance(options[1], int):
        ttl_ms, options = options[1], options[2:]
    return _StoredValue(key, data, ttl_ms) if options in ([], ["NX"], ["XX"]) else None


class _Read:
    """A GET or MGET.

    Attributes:
        batch: to send: the keys without a copy.
        replies: None until there are any; those to the whole read if each key has a copy.
    """

    __slots__ = ("_claim", "_copies", "_local_replies", "_near", "_policy", "batch", "replies")

    def __init__(self, policy: NearPolicy, near: NearCache, batch: Batch) -> None:
        self._policy, self._near, self.batch = policy, near, batch
        self.replies: Replies | None = None
        name, *keys = batch.commands[0]
        self._copies: list[Reply] = [None] * len(keys)
        missing = keys
        if any(map(is_reserved, keys)):
            copies = near.find_protected(keys)
            if copies is not None:
                _report(policy.alias, 1, is_complete=True)
                self.replies = [copies]
                return
        else:
            self._copies = [near.find(key) for key in keys]
            missing = [key for key, copy in zip(keys, self._copies, strict=True) if copy is None]
        if len(missing) < len(keys):
            _report(policy.alias, len(keys) - len(missing), is_complete=not missing)
            if not missing:
                self.replies = [self._copies[0] if name == "GET" else self._copies]
                return
            self.batch = batch._replace(commands=((name, *missing),))
        self._local_replies = policy.failover.local_replies
        self._claim = near.claim(missing)

    def end(self) -> None:
        values = self._list_values()
        if values is None or self._policy.failover.local_replies != self._local_replies:
            self._near.release(self._claim)
        else:
            self._near.add(self._claim, values)

    def _list_values(self) -> list[Reply] | None:
        """Return the values of the keys that were sent, or None if the read has failed."""
        if not self.replies or isinstance(self.replies[0], ReplyError):
            return None
        (reply,) = self.replies
        return reply if isinstance(reply, list) else [reply]

    def get_replies(self) -> Replies:
        """Return the replies to the whole read."""
        assert self.replies is not None
        (reply,) = self.replies
        if not isinstance(reply, list) or len(reply) == len(self._copies):
            return self.replies
        values = iter(reply)
        return [[next(values) if copy is None else copy for copy in self._copies]]


def _report(alias: str, hits: int, *, is_complete: bool) -> None:
    if has_observers():
        notify(NearRead(alias, hits, int(is_complete)))


class NearTransport:
    """The sync transport of a database with a near cache."""

    def __init__(self, transport: Transport, policy: NearPolicy) -> None:
        self._transport, self._policy = transport, policy

    @property
    def name(self) -> str:
        return self._transport.name

    def send(self, batch: Batch) -> Replies:
        copies = self._policy.find(batch)
        if copies is not None:
            return copies
        exchange = self._policy.start(batch)
        if exchange.replies is not None:
            return exchange.replies
        try:
            exchange.replies = self._transport.send(exchange.batch)
        finally:
            exchange.end()
        return exchange.get_replies()

    def close(self) -> None:
        self._transport.close()


class AsyncNearTransport:
    """The async counterpart of `NearTransport`, for one event loop."""

    def __init__(self, transport: AsyncTransport, policy: NearPolicy) -> None:
        self._transport, self._policy = transport, policy

    @property
    def name(self) -> str:
        return self._transport.name

    async def asend(self, batch: Batch) -> Replies:
        copies = self._policy.find(batch)
        if copies is not None:
            return copies
        exchange = self._policy.start(batch)
        if exchange.replies is not None:
            return exchange.replies
        try:
            exchange.replies = await self._transport.asend(exchange.batch)
        finally:
            exchange.end()
        return exchange.get_replies()

    async def aclose(self) -> None:
        await self._transport.aclose()
