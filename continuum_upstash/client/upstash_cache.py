"""Plain clients: the same plans without Django. Keys are full keys, times to live are seconds."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar

from continuum_upstash.client.pipeline import AsyncPipeline, Pipeline
from continuum_upstash.codec.codec import Codec
from continuum_upstash.config.resolve import resolve
from continuum_upstash.plans import info, scan
from continuum_upstash.plans.effects import Plan, call, pair
from continuum_upstash.plans.keyvalue import Operations
from continuum_upstash.plans.locks import AsyncLock, Lock
from continuum_upstash.plans.runner import AsyncRunner, Runner, arun, run
from continuum_upstash.transports.failover.policy import Status
from continuum_upstash.transports.registry import Database, get_database

if TYPE_CHECKING:  # the SDK brings httpx, 50 ms to import
    import upstash_redis
    import upstash_redis.asyncio

R = TypeVar("R")


class Backend(Enum):
    """Who answers."""

    REST = "upstash-rest"
    REDIS = "upstash-redis"
    LOCAL = "local"


class ClientPlans:
    """What both clients do, as plans.

    Args:
        rest_url, rest_token: the REST credentials; else from the environment.
        redis_url: ``rediss://…`` for TCP; else from the environment.
        mode: ``auto``, ``rest``, ``redis`` or ``local``.
        fallback: answer from the local store while the database cannot be reached.
        use_msgpack: False writes JSON that other languages read; it holds fewer types.
        pickle_keys: secrets that sign objects which neither holds; none: such are refused.
        name: names the client in messages and metrics.
        options: further OPTIONS of a CACHES entry in lower case, such as ``pool_size``.

    Raises:
        ConfigurationError: the arguments or the environment are wrong.
    """

    def __init__(
        self,
        *,
        rest_url: str | None = None,
        rest_token: str | None = None,
        redis_url: str | None = None,
        mode: str | None = None,
        fallback: bool | None = None,
        use_msgpack: bool = True,
        pickle_keys: Sequence[bytes] = (),
        name: str = "client",
        **options: Any,
    ) -> None:
        given = {
            "REST_URL": rest_url,
            "TOKEN": rest_token,
            "REDIS_URL": redis_url,
            "MODE": mode,
            "FALLBACK": fallback,
            "SERIALIZER": None if use_msgpack else "json",
        }
        given |= {option.upper(): value for option, value in options.items()}
        given = {option: value for option, value in given.items() if value is not None}
        config = resolve(given, os.environ, alias=name)
        codec = Codec(
            serializer=config.serializer,
            pickle_keys=tuple(pickle_keys),
            compress_min_bytes=config.compress_min_bytes,
        )
        self._attach(get_database(config), codec)

    @classmethod
    def on(cls, shared: Database, codec: Codec) -> Self:
        """Return a client of a database that is in use already."""
        client = cls.__new__(cls)
        client._attach(shared, codec)  # noqa: SLF001 it is this class's own
        return client

    def _attach(self, shared: Database, codec: Codec) -> None:
        config = shared.config
        self._database = shared
        self._plans = Operations(codec, alias=config.alias, max_value_bytes=config.max_value_bytes)
        self._runner = Runner(shared.send, codec.encode, shared.once)
        self._async_runner = AsyncRunner(shared.asend, codec.encode, shared.aonce)

    def _run(self, plan: Plan[R]) -> R:
        return run(plan, self._runner)

    async def _arun(self, plan: Plan[R]) -> R:
        return await arun(plan, self._async_runner)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._database.config.label}>"

    @property
    def current_backend(self) -> Backend:
        """Who answers now; its ``value`` is ``upstash-rest``, ``upstash-redis`` or ``local``."""
        return Backend(self._database.current_backend)

    @property
    def status(self) -> Status:
        """How the database is doing, as this process sees it."""
        return self._database.status

    def plan_ping(self) -> Plan[bool]:
        """Ask the database itself whether it is there (free of charge).

        Raises:
            Unavailable: it is not.
        """
        return bool((yield from call("PING", needs_server=True)))

    def plan_get(self, key: str, default: Any = None) -> Plan[Any]:
        """Return the value, or the default where there is none."""
        return (yield from self._plans.get(key, default))

    def plan_set(self, key: str, value: Any, ttl: float | None = None) -> Plan[bool]:
        """Store a value for `ttl` seconds, or for ever; return whether it was stored."""
        return (yield from self._plans.set(key, value, _px(ttl)))

    def plan_add(self, key: str, value: Any, ttl: float | None = None) -> Plan[bool]:
        """Store a value unless there is one; return whether it was stored."""
        return (yield from self._plans.set(key, value, _px(ttl), "NX"))

    def plan_delete(self, *keys: str) -> Plan[int]:
        """Delete keys; return how many there were."""
        return (yield from self._plans.delete_many(keys))

    def plan_exists(self, key: str) -> Plan[bool]:
        """Return whether the key is there."""
        return (yield from self._plans.exists(key))

    def plan_expire(self, key: str, ttl: float | None) -> Plan[bool]:
        """Let a key live `ttl` seconds from now, or for ever; return whether it was there."""
        return (yield from self._plans.touch(key, _px(ttl)))

    def plan_ttl(self, key: str) -> Plan[int | None]:
        """Return the seconds left: 0 for a missing key, None for one that stays."""
        return (yield from self._plans.time_left(key, "TTL"))

    def plan_get_many(self, keys: Sequence[str]) -> Plan[dict[str, Any]]:
        """Return what is there."""
        return (yield from self._plans.get_many(keys))

    def plan_set_many(self, values: Mapping[str, Any], ttl: float | None = None) -> Plan[list[str]]:
        """Store values; return the keys of those that were refused for their size."""
        return (yield from self._plans.set_many(values, _px(ttl)))

    def plan_get_or_set(self, key: str, default: Any, ttl: float | None = None) -> Plan[Any]:
        """Return the value, or store and return the default, which may be a function."""
        return (yield from self._plans.get_or_set(key, default, _px(ttl)))

    def plan_incr(self, key: str, delta: int = 1) -> Plan[int]:
        """Add to an integer, as INCRBY: a missing key counts as 0. Return the sum."""
        total: int = yield from call("INCRBY", key, delta)
        return total

    def plan_delete_pattern(self, pattern: str) -> Plan[int]:
        """Delete the keys that match a glob pattern; return how many.

        It walks with SCAN: one billed command per thousand keys of the database, and one for
        each page in which keys match.
        """
        return (yield from scan.delete_matching(pattern, _any))

    def plan_keys(self, pattern: str = "*") -> Plan[list[str]]:
        """Return the keys that match a glob pattern, by SCAN."""
        return (yield from scan.matching(pattern, _any))

    def plan_info(self) -> Plan[dict[str, Any]]:
        """Return INFO (free of charge): see `continuum_upstash.plans.info.parse` for its fields."""
        text: bytes = yield from call("INFO", needs_server=True)
        return info.parse(text.decode("utf-8", "replace"))


class UpstashCache(ClientPlans):
    """A client for threads; see `ClientPlans` for its arguments."""

    ping = pair(ClientPlans.plan_ping)[0]
    get = pair(ClientPlans.plan_get)[0]
    set = pair(ClientPlans.plan_set)[0]
    add = pair(ClientPlans.plan_add)[0]
    delete = pair(ClientPlans.plan_delete)[0]
    exists = pair(ClientPlans.plan_exists)[0]
    expire = pair(ClientPlans.plan_expire)[0]
    ttl = pair(ClientPlans.plan_ttl)[0]
    get_many = pair(ClientPlans.plan_get_many)[0]
    set_many = pair(ClientPlans.plan_set_many)[0]
    get_or_set = pair(ClientPlans.plan_get_or_set)[0]
    incr = pair(ClientPlans.plan_incr)[0]
    delete_pattern = pair(ClientPlans.plan_delete_pattern)[0]
    keys = pair(ClientPlans.plan_keys)[0]
    info = pair(ClientPlans.plan_info)[0]

    @cached_property
    def redis(self) -> upstash_redis.Redis:
        """The SDK's client, every typed command of it, over this client's transport."""
        from continuum_upstash.client.upstash_sdk import redis  # noqa: PLC0415 brings httpx

        return redis(self._database.send)

    def pipeline(self, *, atomic: bool = False) -> Pipeline:
        """Return an empty pipeline: many commands, one round trip, or one transaction."""
        return Pipeline(self, self._plans, atomic=atomic)

    def lock(self, key: str, **options: Any) -> Lock:
        """Return a lock; see `continuum_upstash.plans.locks.LockPlans` for the options."""
        return Lock(self, key, native=self._database.config.is_upstash, **options)

    def reconnect(self) -> bool:
        """Drop the connections, open a new one and ask for a sign of life, break or no break."""
        self.close()
        self._database.standby.breaker.end_break()
        return self.ping()

    def close(self) -> None:
        """Close the connections of this process; the next command opens new ones."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class AsyncUpstashCache(ClientPlans):
    """A client for event loops; see `ClientPlans` for its arguments."""

    ping = pair(ClientPlans.plan_ping)[1]
    get = pair(ClientPlans.plan_get)[1]
    set = pair(ClientPlans.plan_set)[1]
    add = pair(ClientPlans.plan_add)[1]
    delete = pair(ClientPlans.plan_delete)[1]
    exists = pair(ClientPlans.plan_exists)[1]
    expire = pair(ClientPlans.plan_expire)[1]
    ttl = pair(ClientPlans.plan_ttl)[1]
    get_many = pair(ClientPlans.plan_get_many)[1]
    set_many = pair(ClientPlans.plan_set_many)[1]
    get_or_set = pair(ClientPlans.plan_get_or_set)[1]
    incr = pair(ClientPlans.plan_incr)[1]
    delete_pattern = pair(ClientPlans.plan_delete_pattern)[1]
    keys = pair(ClientPlans.plan_keys)[1]
    info = pair(ClientPlans.plan_info)[1]

    @cached_property
    def redis(self) -> upstash_redis.asyncio.Redis:
        """The SDK's async client, every typed command of it, over this client's transport."""
        from continuum_upstash.client.upstash_sdk import async_redis  # noqa: PLC0415 brings httpx

        return async_redis(self._database.asend)

    def pipeline(self, *, atomic: bool = False) -> AsyncPipeline:
        """Return an empty pipeline: many commands, one round trip, or one transaction."""
        return AsyncPipeline(self, self._plans, atomic=atomic)

    def lock(self, key: str, **options: Any) -> AsyncLock:
        """Return a lock; see `continuum_upstash.plans.locks.LockPlans` for the options."""
        return AsyncLock(self, key, native=self._database.config.is_upstash, **options)

    async def reconnect(self) -> bool:
        """Drop the connections, open a new one and ask for a sign of life, break or no break."""
        await self.close()
        self._database.standby.breaker.end_break()
        return await self.ping()

    async def close(self) -> None:
        """Close the connections of the running loop; the next command opens new ones."""
        await self._database.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.close()


def _px(ttl: float | None) -> int | None:
    return None if ttl is None else math.ceil(ttl * 1000)


def _any(name: str) -> bool:
    del name
    return True
