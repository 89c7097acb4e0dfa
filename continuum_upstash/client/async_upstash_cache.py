"""The async plain client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar

from continuum_upstash.client.configured_client import ConfiguredClient
from continuum_upstash.client.pipeline import AsyncPipeline
from continuum_upstash.codec.codec import Codec
from continuum_upstash.plans.effects import Plan
from continuum_upstash.plans.locks import AsyncLock
from continuum_upstash.plans.runner import AsyncRunner, arun
from continuum_upstash.plans.timeouts import DEFAULT_TTL, Timeouts, Ttl
from continuum_upstash.transports.registry import Database

if TYPE_CHECKING:  # the SDK brings httpx, 50 ms to import
    import upstash_redis.asyncio

R = TypeVar("R")


class AsyncUpstashCache(ConfiguredClient):
    """A client for event loops; tasks of any loop may use it.

    Keys are full Redis keys, a `ttl` is in seconds, and None means no expiry. "Billed" is the
    number of commands that Upstash bills.

    Every method that sends a command can raise these errors.

    Raises:
        Unavailable: the database did not reply, and `fallback` is off or cannot serve the command.
        ReplyError: an error reply, such as WRONGTYPE; its subclass Refused if the database rejects
            the command until something changes: quota and token, if the fallback cannot serve it;
            a full database, if `on_full` is ``raise``.
    """

    def _attach(self, database: Database, codec: Codec, timeouts: Timeouts) -> None:
        super()._attach(database, codec, timeouts)
        self._runner = AsyncRunner(database.asend, codec.encode, database.arun_single_flight)

    async def arun(self, plan: Plan[R]) -> R:
        """Run a plan on this client's database; return its result.

        Args:
            plan: a generator that yields effects, see `continuum_upstash.plans.effects`. Its
                commands contain full keys.
        """
        return await arun(plan, self._runner)

    async def ping(self) -> bool:
        """Send PING to the database; return True. Not billed; never served by the fallback.

        Raises:
            Unavailable: the database did not reply.
        """
        return await self.arun(self._plans.ping())

    async def get(self, key: str, default: Any = None) -> Any:
        """Return the value of a key, or `default` if there is none. Billed: 1 command."""
        return await self.arun(self._plans.get(key, default))

    async def set(self, key: str, value: Any, ttl: Ttl = DEFAULT_TTL) -> bool:
        """Store a value; return whether it was stored. Billed: 1 command.

        It is not stored if it is larger than `max_value_bytes`, too large for the server, or if
        the database is full (see `on_full`); then the key is deleted.

        Args:
            key: the full key.
            value: any value that has a stored format.
            ttl: seconds; None: no expiry, 0 or less: expires immediately. Without it,
                `ttl_by_prefix` applies, else there is no expiry.

        Raises:
            NotSerializable: the value has no stored format.
        """
        return await self.arun(self._plans.set(key, value, ttl))

    async def add(self, key: str, value: Any, ttl: Ttl = DEFAULT_TTL) -> bool:
        """Store a value unless the key exists; return whether it was stored. Billed: 1 command.

        Raises:
            NotSerializable: the value has no stored format.
        """
        return await self.arun(self._plans.add(key, value, ttl))

    async def delete(self, *keys: str) -> int:
        """Delete keys; return how many existed. Billed: 1 command."""
        return await self.arun(self._plans.delete(keys))

    async def exists(self, key: str) -> bool:
        """Return whether a key exists. Billed: 1 command."""
        return await self.arun(self._plans.exists(key))

    async def expire(self, key: str, ttl: float | None) -> bool:
        """Set the time to live of a key; return whether the key exists.

        Billed: 1 command; 2 if `ttl` is None and the key has no expiry.

        Args:
            key: the full key.
            ttl: seconds from now; None: no expiry, 0 or less: the key is deleted.
        """
        return await self.arun(self._plans.expire(key, ttl))

    async def ttl(self, key: str) -> int | None:
        """Return the remaining seconds. Billed: 1 command.

        0 for a missing key, None for a key without expiry.
        """
        return await self.arun(self._plans.get_ttl(key))

    async def get_many(self, keys: Sequence[str]) -> dict[str, Any]:
        """Return the values of the keys that exist, by key.

        Billed: 1 command; keys that exceed the request size are split into several.
        """
        return await self.arun(self._plans.get_many(keys))

    async def set_many(self, values: Mapping[str, Any], ttl: Ttl = DEFAULT_TTL) -> list[str]:
        """Store values; return the keys that were not stored, as described in `set`.

        Billed: 1 command per key with a `ttl`, otherwise 1 for all. Keys with different times to
        live (`ttl_by_prefix`) take one request per time.

        Raises:
            NotSerializable: a value has no stored format; no value of its request was stored.
        """
        return await self.arun(self._plans.set_many(values, ttl))

    async def get_or_set(self, key: str, default: Any, ttl: Ttl = DEFAULT_TTL) -> Any:
        """Return the value of a key; if there is none, store `default` and return it.

        Concurrent callers of one process share one lookup and one call of the function.

        Billed: 1 command if the key exists, otherwise 2.

        Args:
            key: the full key.
            default: a value, or a function without arguments that returns it, sync or async.
            ttl: see `set`.

        Raises:
            NotSerializable: the value has no stored format.
        """
        return await self.arun(self._plans.get_or_set(key, default, ttl))

    async def incr(self, key: str, delta: int = 1) -> int:
        """Add to an integer with INCRBY; return the new value. Billed: 1 command.

        A missing key counts as 0; it is created without an expiry. If the database is full, the
        key is deleted, and the result is that for a missing key.

        Raises:
            ReplyError: the value is not an integer, or the result does not fit in 64 bits.
        """
        return await self.arun(self._plans.incr(key, delta))

    async def delete_pattern(self, pattern: str) -> int:
        """Delete the keys that match a glob pattern; return how many.

        Billed: 1 SCAN per 1,000 keys in the database, and 1 UNLINK per SCAN that found a match.
        """
        return await self.arun(self._plans.delete_pattern(pattern))

    async def keys(self, pattern: str = "*") -> list[str]:
        """Return the keys that match a glob pattern.

        Billed: 1 SCAN per 1,000 keys in the database.
        """
        return await self.arun(self._plans.list_keys(pattern))

    async def info(self) -> dict[str, Any]:
        """Return INFO as a dict. Not billed; never served by the fallback.

        On every server it has ``keys`` (int), ``used_memory`` (bytes), ``used_memory_human``,
        ``maxmemory_policy`` and ``version``.

        Raises:
            Unavailable: the database did not reply.
        """
        return await self.arun(self._plans.info())

    @cached_property
    def redis(self) -> upstash_redis.asyncio.Redis:
        """The SDK's async client, with all its typed commands, over this client's transport."""
        from continuum_upstash.client.upstash_sdk import make_async_redis  # noqa: PLC0415 brings httpx

        return make_async_redis(self._database.asend)

    def pipeline(self, *, atomic: bool = False) -> AsyncPipeline:
        """Return an empty pipeline: many commands in one round trip.

        Args:
            atomic: run them as one transaction (MULTI/EXEC).
        """
        return AsyncPipeline(self, self._plans, atomic=atomic)

    def lock(
        self, key: str, *, lease: float = 60.0, sleep: float = 0.1, wait: float | None = None
    ) -> AsyncLock:
        """Return a lock that one holder among all processes has at a time.

        Args:
            key: the full key.
            lease: seconds after which the lock expires.
            sleep: seconds between the first two attempts, growing to 1; each attempt is billed.
            wait: seconds until `acquire` gives up; None: never, 0: after one attempt.

        Raises:
            ValueError: `lease` or `sleep` is not above 0.
        """
        conditional = self._database.conditional_commands
        return AsyncLock(self, key, lease=lease, sleep=sleep, wait=wait, conditional=conditional)

    async def reconnect(self) -> bool:
        """Close the connections and send a PING now, even while the circuit breaker is open.

        Returns True. Not billed.

        Raises:
            Unavailable: the database did not reply.
        """
        await self.close()
        self._database.failover.breaker.allow_probe_now()
        return await self.ping()

    async def close(self) -> None:
        """Close the connections of the running loop; the next command opens new ones.

        Other clients with the same configuration share these connections.
        """
        await self._database.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()
