"""The Django cache backend that moves a site from one cache to another, sync and async."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, Final

from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache

from continuum_upstash.cache.base import find_alias
from continuum_upstash.migration.conf import ImproperlyConfiguredMigration, parse_options
from continuum_upstash.migration.dual.extras import DualOperations
from continuum_upstash.migration.dual.sides import DualPlan, Sides
from continuum_upstash.plans.timeouts import Timeout

_REJECTED_ENTRIES: Final = frozenset(
    {"LOCATION", "TIMEOUT", "KEY_PREFIX", "VERSION", "KEY_FUNCTION"}
)


class MigratingCache(BaseCache):
    """Uses two caches: OLD, any Django cache, and NEW, one of this package, see `Phase`.

    Each method has an async version with the prefix ``a``. Keys, versions and timeouts are passed
    to both caches, and each of them applies its own KEY_PREFIX and TIMEOUT.

    In each phase one of the caches decides: its result is returned, and its errors are raised. What
    the other one raises is counted, see `continuum_upstash.migration.counters`. A key whose write
    or delete failed on one side is deleted there later, and not read from there until then.

    "Billed" is the number of commands in the new database; those of the old one are its own. Every
    method also sends 1 command each ROLLOUT_INTERVAL seconds, and 1 each minute for the counters.

    Raises:
        ImproperlyConfiguredMigration: an option is invalid, or NEW is not a cache of this package.
    """

    def __init__(self, location: object, params: dict[str, Any]) -> None:
        super().__init__(params)
        alias = find_alias(location, params)
        rejected = _REJECTED_ENTRIES & params.keys() | ({"LOCATION"} if location else set())
        if rejected:
            raise ImproperlyConfiguredMigration(
                f"Cache '{alias}': MigratingCache has no {', '.join(sorted(rejected))}. Set it in "
                "the entries of OLD and NEW."
            )
        self._options = parse_options(alias, params.get("OPTIONS", {}))

    @cached_property
    def _sides(self) -> Sides:
        return Sides(self._options)

    @cached_property
    def _operations(self) -> DualOperations:
        return DualOperations(self._options, self._sides)

    def _run(self, plan: DualPlan[Any]) -> Any:
        return self._sides.run(plan)

    async def _arun(self, plan: DualPlan[Any]) -> Any:
        return await self._sides.arun(plan)

    def _version(self, version: int | None) -> int:
        return int(self._sides.new.version) if version is None else version

    def add(
        self, key: Any, value: Any, timeout: Timeout = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """Store a value on both sides unless the key exists; return whether it was stored.

        Where the new cache decides, it is stored only if it was stored in the old one, too.

        Billed: 1 command.
        """
        result: bool = self._run(self._operations.add(key, value, timeout, self._version(version)))
        return result

    async def aadd(
        self, key: Any, value: Any, timeout: Timeout = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """Async `add`: return whether the value was stored. Billed: 1 command."""
        result: bool = await self._arun(
            self._operations.add(key, value, timeout, self._version(version))
        )
        return result

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """Return the value of a key, or `default` if there is none.

        Where the new cache decides and has no value, that of the old one is returned, and copied to
        the new one with its remaining lifetime.

        Billed: 1 command where the new cache decides or the values are compared; 6 for a value that
        is copied.
        """
        return self._run(self._operations.get(key, default, self._version(version)))

    async def aget(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """Async `get`: return the value of a key, or `default`. Billed: as `get`."""
        return await self._arun(self._operations.get(key, default, self._version(version)))

    def set(
        self,
        key: Any,
        value: Any,
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: int | None = None,
        *,
        nx: bool = False,
        xx: bool = False,
    ) -> Any:
        """Store a value on both sides. Billed: 1 command.

        With `nx` the value is stored as by `add`. With `xx` it is stored if `has_key` finds the
        key, which is a step of its own: another process may delete the key in between.

        Args:
            key: the key, without prefix and version.
            value: any value that both caches can store.
            timeout: seconds; None: no expiry, 0 or less: the key is deleted.
            version: of the key; None: VERSION.
            nx: store it only if the key does not exist.
            xx: store it only if the key exists.

        Returns:
            With `nx` or `xx`, whether the value was stored; otherwise None.
        """
        if nx and xx:
            raise ValueError("nx and xx exclude each other. Pass one of them.")
        if nx:
            return self.add(key, value, timeout, version)
        if xx and not self.has_key(key, version):
            return False
        self._run(self._operations.set(key, value, timeout, self._version(version)))
        return True if xx else None

    async def aset(
        self,
        key: Any,
        value: Any,
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: int | None = None,
        *,
        nx: bool = False,
        xx: bool = False,
    ) -> Any:
        """Async `set`: store a value on both sides, and return as it does."""
        if nx and xx:
            raise ValueError("nx and xx exclude each other. Pass one of them.")
        if nx:
            return await self.aadd(key, value, timeout, version)
        if xx and not await self.ahas_key(key, version):
            return False
        await self._arun(self._operations.set(key, value, timeout, self._version(version)))
        return True if xx else None

    def touch(
        self, key: Any, timeout: Timeout = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """Set a new timeout on both sides; return whether the key exists.

        Billed: 1 command; 2 for a key that the new cache does not have.
        """
        result: bool = self._run(self._operations.touch(key, timeout, self._version(version)))
        return result

    async def atouch(
        self, key: Any, timeout: Timeout = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """Async `touch`: return whether the key exists. Billed: as `touch`."""
        result: bool = await self._arun(
            self._operations.touch(key, timeout, self._version(version))
        )
        return result

    def delete(self, key: Any, version: int | None = None) -> bool:
        """Delete a key on both sides; return whether it existed. Billed: 2 commands."""
        result: bool = self._run(self._operations.delete(key, self._version(version)))
        return result

    async def adelete(self, key: Any, version: int | None = None) -> bool:
        """Async `delete`: return whether the key existed. Billed: 2 commands."""
        result: bool = await self._arun(self._operations.delete(key, self._version(version)))
        return result

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        """Return the values of the keys that exist, by key: at most one call for each side.

        Values are copied to the new cache as by `get`, at most 100 for each call.

        Billed: 1 command, and 5 for each value that is copied.
        """
        result: dict[Any, Any] = self._run(
            self._operations.get_many(list(dict.fromkeys(keys)), self._version(version))
        )
        return result

    async def aget_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        """Async `get_many`: return the values of the keys that exist. Billed: as `get_many`."""
        result: dict[Any, Any] = await self._arun(
            self._operations.get_many(list(dict.fromkeys(keys)), self._version(version))
        )
        return result

    def has_key(self, key: Any, version: int | None = None) -> bool:
        """Return whether a key exists. Billed: 1 command where the new cache decides."""
        result: bool = self._run(self._operations.has_key(key, self._version(version)))
        return result

    async def ahas_key(self, key: Any, version: int | None = None) -> bool:
        """Async `has_key`: return whether a key exists."""
        result: bool = await self._arun(self._operations.has_key(key, self._version(version)))
        return result

    def incr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Add to an integer on the side that decides; return the new value.

        The old cache adds the same if the new one decides. The new cache loses the key if the old
        one decides, and gets the sum as `get` does.

        Billed: 3 commands where the new cache decides, otherwise 2.

        Raises:
            ValueError: the key does not exist.
        """
        result: int = self._run(self._operations.incr(key, delta, self._version(version)))
        return result

    async def aincr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Async `incr`: return the new value. Errors and billed commands: as `incr`."""
        result: int = await self._arun(self._operations.incr(key, delta, self._version(version)))
        return result

    def decr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Subtract from an integer; return the new value. Errors and billed commands: as `incr`."""
        result: int = self._run(self._operations.incr(key, -delta, self._version(version)))
        return result

    async def adecr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Async `decr`: return the new value. Errors and billed commands: as `incr`."""
        result: int = await self._arun(self._operations.incr(key, -delta, self._version(version)))
        return result

    def set_many(
        self,
        data: Mapping[Any, Any],
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[Any]:
        """Store values on both sides; return the keys that the side that decides did not store.

        In the phase ``canary`` the old cache decides unless all keys belong to the new one.

        Billed: as `CacheBackend.set_many`.
        """
        result: list[Any] = self._run(
            self._operations.set_many(data, timeout, self._version(version))
        )
        return result

    async def aset_many(
        self,
        data: Mapping[Any, Any],
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[Any]:
        """Async `set_many`: return the keys that were not stored."""
        result: list[Any] = await self._arun(
            self._operations.set_many(data, timeout, self._version(version))
        )
        return result

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """Delete keys on both sides. Billed: 2 commands."""
        self._run(self._operations.delete_many(list(keys), self._version(version)))

    async def adelete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """Async `delete_many`: delete keys on both sides. Billed: 2 commands."""
        await self._arun(self._operations.delete_many(list(keys), self._version(version)))

    def clear(self) -> None:
        """Delete the keys of both aliases, each as its own backend does.

        Attention: `clear` of Django's RedisCache and of django-redis deletes the whole database.

        Billed: as `CacheBackend.clear`, twice, and 1 command.
        """
        self._run(self._operations.clear())

    async def aclear(self) -> None:
        """Async `clear`: delete the keys of both aliases. Billed: as `clear`."""
        await self._arun(self._operations.clear())

    def incr_version(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Move a key to another version; return that version.

        Billed: 1 command where the new cache decides, otherwise 4: it loses both versions, and gets
        the value as `get` does.

        Raises:
            ValueError: the key does not exist.
        """
        result: int = self._run(self._operations.incr_version(key, delta, self._version(version)))
        return result

    async def aincr_version(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Async `incr_version`: return the new version. Billed: as `incr_version`."""
        result: int = await self._arun(
            self._operations.incr_version(key, delta, self._version(version))
        )
        return result

    def decr_version(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Move a key to an earlier version; return that version. See `incr_version`."""
        result: int = self._run(self._operations.incr_version(key, -delta, self._version(version)))
        return result

    async def adecr_version(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Async `decr_version`: return the new version. See `incr_version`."""
        result: int = await self._arun(
            self._operations.incr_version(key, -delta, self._version(version))
        )
        return result

    def close(self, **kwargs: Any) -> None:
        """Do nothing: Django closes both caches itself."""

    async def aclose(self, **kwargs: Any) -> None:
        """Do nothing. See `close`."""

    def __getattr__(self, name: str) -> Any:
        """Return a method or attribute that Django's caches do not have, from one of the sides.

        See `DualOperations.call_method` and `get_attribute`. A name that begins with ``a`` is the
        async version of the method without it.
        """
        if name.startswith("_"):
            raise AttributeError(name)
        operations = self._operations
        is_async = name.startswith("a") and operations.is_method(name[1:])
        base = name[1:] if is_async else name
        if not operations.has_attribute(base):
            raise AttributeError(
                f"Neither the old nor the new cache of '{self._options.alias}' has {name}."
            )
        if is_async:
            return self._make_async_method(base)
        if operations.is_method(base):
            return self._make_method(base)
        return self._run(operations.get_attribute(base))

    def _make_method(self, name: str) -> Callable[..., Any]:
        def method(*args: Any, **kwargs: Any) -> Any:
            return self._run(self._operations.call_method(name, args, kwargs))

        return method

    def _make_async_method(self, name: str) -> Callable[..., Any]:
        async def method(*args: Any, **kwargs: Any) -> Any:
            return await self._arun(self._operations.call_method(name, args, kwargs))

        return method
