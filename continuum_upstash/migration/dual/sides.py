"""The two caches of a migration, and the effects by which plans use them, sync or async.

The plans of `MigratingCache` are generators like all plans of this package, but they yield other
effects: the old cache may be any Django cache, which has methods instead of commands.

    yield Call(side, method, *args)  -> what the method of that cache returns
    yield RunOnNew(plan)             -> the result of a plan of Redis commands in the new database
    yield ReadTtls(keys, version)    -> milliseconds by key that the old cache keeps them
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeAlias, TypeVar

from asgiref.sync import sync_to_async
from django.core.cache import BaseCache, caches
from django.core.cache.backends.redis import RedisCache

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.migration.conf import ImproperlyConfiguredMigration, MigrationSettings
from continuum_upstash.migration.rollout import get_new_cache
from continuum_upstash.plans.effects import Plan, call_many
from continuum_upstash.plans.runner import adrive, drive

R = TypeVar("R")

_NO_EXPIRY: Final = -1  # the reply to PTTL


class Side(StrEnum):
    """One of the two caches."""

    OLD = "old"
    NEW = "new"


class Call(NamedTuple):
    side: Side
    method: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = {}


class RunOnNew(NamedTuple):
    plan: Plan[Any]


class ReadTtls(NamedTuple):
    keys: Sequence[Any]
    version: int | None


Effect: TypeAlias = Call | RunOnNew | ReadTtls
DualPlan: TypeAlias = Generator[Effect, Any, R]
Ttls: TypeAlias = dict[Any, int | None]


class Sides:
    """The two caches of this thread or task.

    Attributes:
        old: the cache that is left, of any backend.
        new: the cache that replaces it, of this package.
        has_ttls: whether the old cache can return the times to live of its keys.

    Raises:
        ImproperlyConfiguredMigration: the caches do not fit together.
    """

    def __init__(self, options: MigrationSettings) -> None:
        self.old: BaseCache = caches[options.old]
        self.new: UpstashBaseCache = get_new_cache(options)
        if self.old.version != self.new.version:
            raise ImproperlyConfiguredMigration(
                f"Cache '{options.alias}': OLD has the VERSION {self.old.version}, NEW has "
                f"{self.new.version}. Set the same one, so that keys with a version are the same."
            )
        self.has_ttls = isinstance(self.old, (UpstashBaseCache, RedisCache)) or hasattr(
            getattr(self.old, "client", None), "get_client"
        )

    def get(self, side: Side) -> BaseCache:
        """Return one of the caches."""
        return self.old if side is Side.OLD else self.new

    def run(self, plan: DualPlan[R]) -> R:
        """Run a plan to its end in this thread."""
        return drive(plan, self._perform)

    async def arun(self, plan: DualPlan[R]) -> R:
        """Run a plan to its end in the running event loop."""
        return await adrive(plan, self._aperform)

    def _perform(self, effect: Effect) -> Any:
        if isinstance(effect, Call):
            method = getattr(self.get(effect.side), effect.method)
            return method(*effect.args, **effect.kwargs)
        if isinstance(effect, RunOnNew):
            return self.new.run(effect.plan)
        if isinstance(self.old, UpstashBaseCache):
            return self.old.run(self._read_own_ttls(self.old, effect))
        return self._read_ttls(effect)

    async def _aperform(self, effect: Effect) -> Any:
        if isinstance(effect, Call):
            method = get_async_method(self.get(effect.side), effect.method)
            return await method(*effect.args, **effect.kwargs)
        if isinstance(effect, RunOnNew):
            return await self.new.arun(effect.plan)
        if isinstance(self.old, UpstashBaseCache):
            return await self.old.arun(self._read_own_ttls(self.old, effect))
        return await sync_to_async(self._read_ttls)(effect)

    def _read_own_ttls(self, old: UpstashBaseCache, effect: ReadTtls) -> Plan[Ttls]:
        names = [old.make_and_validate_key(key, effect.version) for key in effect.keys]
        replies = yield from call_many([("PTTL", name) for name in names])
        return _to_ttls(effect.keys, replies)

    def _read_ttls(self, effect: ReadTtls) -> Ttls:
        """Return the times to live in a cache of Django, django-redis or django-valkey."""
        if isinstance(self.old, RedisCache):
            # Neither Django's backend nor its client has a public method for this.
            client = self.old._cache.get_client(None)  # noqa: SLF001
        else:
            client = self.old.client.get_client(write=False)  # type: ignore[attr-defined]
        pipeline = client.pipeline(transaction=False)
        for key in effect.keys:
            pipeline.pttl(str(self.old.make_key(key, version=effect.version)))
        return _to_ttls(effect.keys, pipeline.execute())


def get_side(effect: Effect) -> Side:
    """Return the side that an effect uses."""
    if isinstance(effect, Call):
        return effect.side
    return Side.NEW if isinstance(effect, RunOnNew) else Side.OLD


def get_async_method(cache: BaseCache, name: str) -> Callable[..., Awaitable[Any]]:
    """Return the async version of a method, in a thread if the cache has none of its own.

    Those of BaseCache are no substitute: its `aincr`, for example, is a read and a write, which
    another process can come between.
    """
    method = getattr(type(cache), f"a{name}", None)
    if method is None or method is getattr(BaseCache, f"a{name}", None):
        return sync_to_async(getattr(cache, name))
    own: Callable[..., Awaitable[Any]] = getattr(cache, f"a{name}")
    return own


def _to_ttls(keys: Sequence[Any], replies: Sequence[int]) -> Ttls:
    return {
        key: None if reply == _NO_EXPIRY else max(reply, 0)
        for key, reply in zip(keys, replies, strict=True)
    }
