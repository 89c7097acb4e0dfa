"""The Django cache backend: BaseCache's methods in BaseCache's order, sync and async.

`continuum_upstash.cache.cache_plans` contains the plan of each method.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, overload

from django.core.cache import caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT

from continuum_upstash.cache.base import ImproperlyConfiguredCache
from continuum_upstash.cache.data_types.hashes import HashMethods
from continuum_upstash.cache.data_types.lists import ListMethods
from continuum_upstash.cache.data_types.sets import SetMethods
from continuum_upstash.cache.data_types.sorted_sets import SortedSetMethods
from continuum_upstash.cache.extras import ExtraMethods
from continuum_upstash.plans.timeouts import Timeout

if TYPE_CHECKING:
    import redis


class CacheBackend(HashMethods, ListMethods, SetMethods, SortedSetMethods, ExtraMethods):
    """A Django cache in an Upstash database, or in another Redis.

    Each method has a native async version with the prefix ``a``. "Billed" is the number of
    commands that Upstash bills, see docs/reference/billing.md.

    Every method that sends a command can raise these errors.

    Raises:
        Unavailable: the database did not reply, and FALLBACK is off.
        ReplyError: an error reply, such as WRONGTYPE; its subclass Refused if the database rejects
            the command until something changes: quota and token, if FALLBACK is off; a full
            database, if ON_FULL is ``raise``.
    """

    def add(
        self, key: Any, value: Any, timeout: Timeout = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """Store a value unless the key exists; return whether it was stored.

        Billed: 1 command. The arguments and NotSerializable: see `set`.
        """
        return self.run(self._add(key, value, timeout, version))

    async def aadd(
        self, key: Any, value: Any, timeout: Timeout = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """Async `add`: return whether the value was stored. Billed: 1 command."""
        return await self.arun(self._add(key, value, timeout, version))

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """Return the value of a key, or `default` if there is none. Billed: 1 command.

        A stored value that cannot be decoded counts as missing; a warning is logged.
        """
        return self.run(self._get(key, default, version))

    async def aget(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        """Async `get`: return the value of a key, or `default`. Billed: 1 command."""
        return await self.arun(self._get(key, default, version))

    @overload
    def set(
        self,
        key: Any,
        value: Any,
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: int | None = None,
        *,
        tags: Iterable[str] = (),
    ) -> None: ...
    @overload
    def set(
        self,
        key: Any,
        value: Any,
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: int | None = None,
        *,
        nx: bool = False,
        xx: bool = False,
    ) -> bool | None: ...
    def set(
        self,
        key: Any,
        value: Any,
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: int | None = None,
        *,
        tags: Iterable[str] = (),
        nx: bool = False,
        xx: bool = False,
    ) -> bool | None:
        """Store a value.

        Billed: 1 command; with tags 2, and 1 for each tag that is new or was deleted.

        A value is not stored if it is larger than MAX_VALUE_BYTES, too large for the server, or if
        the database is full (see ON_FULL); then the key is deleted, and a warning is logged.

        Args:
            key: the key, without prefix and version.
            value: any value that has a stored format.
            timeout: seconds; None: no expiry, 0 or less: expires immediately. Without it,
                TTL_BY_PREFIX or TIMEOUT applies.
            version: of the key; None: VERSION.
            tags: at most 64 names; `delete_tags` with one of them makes the value missing.
            nx: store it only if the key does not exist.
            xx: store it only if the key exists.

        Returns:
            With `nx` or `xx`, whether the value was stored; otherwise None.

        Raises:
            NotSerializable: the value has no stored format.
            TypeError, ValueError: a tag is not a text, empty or too long.
            ValueError: more than one of `nx`, `xx` and `tags` is given.
        """
        condition = _get_condition(nx=nx, xx=xx, tags=tags)
        if condition is not None:
            return self.run(self._set_if(key, value, timeout, version, condition))
        self.run(self._set(key, value, timeout, version, tags))
        return None

    @overload
    async def aset(
        self,
        key: Any,
        value: Any,
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: int | None = None,
        *,
        tags: Iterable[str] = (),
    ) -> None: ...
    @overload
    async def aset(
        self,
        key: Any,
        value: Any,
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: int | None = None,
        *,
        nx: bool = False,
        xx: bool = False,
    ) -> bool | None: ...
    async def aset(
        self,
        key: Any,
        value: Any,
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: int | None = None,
        *,
        tags: Iterable[str] = (),
        nx: bool = False,
        xx: bool = False,
    ) -> bool | None:
        """Async `set`: store a value, and return as it does. Billed: as `set`."""
        condition = _get_condition(nx=nx, xx=xx, tags=tags)
        if condition is not None:
            return await self.arun(self._set_if(key, value, timeout, version, condition))
        await self.arun(self._set(key, value, timeout, version, tags))
        return None

    def touch(
        self, key: Any, timeout: Timeout = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """Set a new timeout; return whether the key exists.

        Billed: 1 command; 2 if `timeout` is None and the key has no expiry.
        """
        return self.run(self._touch(key, timeout, version))

    async def atouch(
        self, key: Any, timeout: Timeout = DEFAULT_TIMEOUT, version: int | None = None
    ) -> bool:
        """Async `touch`: return whether the key exists. Billed: as `touch`."""
        return await self.arun(self._touch(key, timeout, version))

    def delete(self, key: Any, version: int | None = None) -> bool:
        """Delete a key; return whether it existed. Billed: 1 command."""
        return self.run(self._delete(key, version))

    async def adelete(self, key: Any, version: int | None = None) -> bool:
        """Async `delete`: return whether the key existed. Billed: 1 command."""
        return await self.arun(self._delete(key, version))

    def get_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        """Return the values of the keys that exist, by key.

        Billed: 1 command; keys that exceed the request size are split into several.
        """
        return self.run(self._get_many(keys, version))

    async def aget_many(self, keys: Iterable[Any], version: int | None = None) -> dict[Any, Any]:
        """Async `get_many`: return the values of the keys that exist. Billed: as `get_many`."""
        return await self.arun(self._get_many(keys, version))

    def get_or_set(
        self,
        key: Any,
        default: Any,
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: int | None = None,
        *,
        early: float | None = None,
        grace: float | None = None,
        wait: float | None = None,
        tags: Iterable[str] = (),
        force: bool = False,
        cache_none: bool = True,
    ) -> Any:
        """Return the value of a key; if there is none, store `default` and return it.

        Concurrent callers of one process share one lookup and one call of the function. If it
        raises, each of the other callers calls it, as does a caller that has waited for 30 seconds.

        With `early`, `grace` or `wait`, only one of all processes calls the function, and the
        lifetime is up to 10 % shorter than `timeout`, at random.

        Billed: 1 command if the key exists, otherwise 2. With options 1 and at most 4, see
        docs/reference/billing.md.

        Args:
            key: the key, without prefix and version.
            default: a value, or a function without arguments that returns it.
            timeout: see `set`.
            version: see `set`.
            early: refresh the value before its time, with a probability that grows as it comes
                closer, so that one caller refreshes while the others get the old value. True or 1
                suits most values; a larger number refreshes earlier.
            grace: seconds after its time in which the old value is returned while one caller
                refreshes it, and when the function raises an error: then it is called again after
                10 seconds, or after `grace` if that is shorter.
            wait: seconds to wait for another process that is computing a missing value, before the
                caller computes it itself; by default 5. A caller with an old value never waits.
            tags: see `set`. A value that lacks one of these tags is computed again.
            force: compute and store the value even if there is one. Then 1 command is billed; with
                tags 2, and 1 for each tag that is new or was deleted.
            cache_none: store None as other values are; if False, it is returned, and the next
                caller calls the function again.

        Raises:
            NotSerializable: the value has no stored format.
            TypeError, ValueError: an option is not a number, or negative; for tags see `set`.
        """
        protection = self._protect(early, grace, wait, tags, force=force, cache_none=cache_none)
        return self.run(self._get_or_set(key, default, timeout, version, protection))

    async def aget_or_set(
        self,
        key: Any,
        default: Any,
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: int | None = None,
        *,
        early: float | None = None,
        grace: float | None = None,
        wait: float | None = None,
        tags: Iterable[str] = (),
        force: bool = False,
        cache_none: bool = True,
    ) -> Any:
        """Async `get_or_set`: `default` may be a coroutine function. Billed: as `get_or_set`."""
        protection = self._protect(early, grace, wait, tags, force=force, cache_none=cache_none)
        return await self.arun(self._get_or_set(key, default, timeout, version, protection))

    def has_key(self, key: Any, version: int | None = None) -> bool:
        """Return whether a key exists. Billed: 1 command."""
        return self.run(self._has_key(key, version))

    async def ahas_key(self, key: Any, version: int | None = None) -> bool:
        """Async `has_key`: return whether a key exists. Billed: 1 command."""
        return await self.arun(self._has_key(key, version))

    def incr(
        self,
        key: Any,
        delta: int = 1,
        version: int | None = None,
        *,
        ignore_key_check: bool = False,
    ) -> int:
        """Add to an integer; return the new value. The timeout stays.

        Billed: 1 command with `ignore_key_check`; otherwise 3 (a script of two), 2 for a missing
        key.

        Args:
            key: the key, without prefix and version.
            delta: what to add.
            version: of the key; None: VERSION.
            ignore_key_check: create a missing key, without a timeout and with the value `delta`.

        Raises:
            ValueError: the key does not exist.
            TypeError: the value or `delta` is not an integer.
            OverflowError: the result does not fit in 64 bits.
        """
        return self.run(self._incr(key, delta, version, ignore_key_check))

    async def aincr(
        self,
        key: Any,
        delta: int = 1,
        version: int | None = None,
        *,
        ignore_key_check: bool = False,
    ) -> int:
        """Async `incr`: return the new value. Errors: as `incr`. Billed: as `incr`."""
        return await self.arun(self._incr(key, delta, version, ignore_key_check))

    def decr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Subtract from an integer; return the new value. Errors and billed commands: as `incr`."""
        return self.run(self._incr(key, -delta, version))

    async def adecr(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Async `decr`: return the new value. Errors and billed commands: as `incr`."""
        return await self.arun(self._incr(key, -delta, version))

    def set_many(
        self,
        data: Mapping[Any, Any],
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[Any]:
        """Store values; return the keys that were not stored, as described in `set`.

        Billed: 1 command per key with a timeout, 1 for all keys without one. Keys with different
        timeouts (TTL_BY_PREFIX) take one request per timeout.

        Raises:
            NotSerializable: a value has no stored format.
        """
        return self.run(self._set_many(data, timeout, version))

    async def aset_many(
        self,
        data: Mapping[Any, Any],
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> list[Any]:
        """Async `set_many`: return the keys that were not stored. Billed: as `set_many`."""
        return await self.arun(self._set_many(data, timeout, version))

    def delete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """Delete keys.

        Billed: 1 command; keys that exceed the request size are split into several.
        """
        self.run(self._delete_many(keys, version))

    async def adelete_many(self, keys: Iterable[Any], version: int | None = None) -> None:
        """Async `delete_many`: delete keys. Billed: as `delete_many`."""
        await self.arun(self._delete_many(keys, version))

    def clear(self) -> None:
        """Delete the keys of this alias, in all versions. Other keys of the database stay.

        With ``CLEAR = "flushdb"`` it deletes the whole database in 1 billed command.

        Billed: 1 SCAN per 1,000 keys in the database, and 1 UNLINK per SCAN that found a key.

        Raises:
            ConfigurationError: KEY_FUNCTION produces keys that cannot be attributed to this alias.
        """
        self.run(self._clear())

    async def aclear(self) -> None:
        """Async `clear`: delete the keys of this alias, in all versions. Billed: as `clear`."""
        await self.arun(self._clear())

    def incr_version(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Rename a key to another version; return that version. The timeout stays.

        Billed: 1 command.

        Raises:
            ValueError: the key does not exist.
        """
        return self.run(self._incr_version(key, delta, version))

    async def aincr_version(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Async `incr_version`: return the new version. Billed: 1 command."""
        return await self.arun(self._incr_version(key, delta, version))

    def decr_version(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Rename a key to an earlier version; return that version. See `incr_version`."""
        return self.run(self._incr_version(key, -delta, version))

    async def adecr_version(self, key: Any, delta: int = 1, version: int | None = None) -> int:
        """Async `decr_version`: return the new version. Billed: 1 command."""
        return await self.arun(self._incr_version(key, -delta, version))


def _get_condition(*, nx: bool, xx: bool, tags: Iterable[str]) -> Literal["NX", "XX"] | None:
    if (nx or xx) and (tags or (nx and xx)):
        raise ValueError("nx, xx and tags exclude each other. Pass one of them.")
    return "NX" if nx else "XX" if xx else None


def get_cache(alias: str = "default") -> CacheBackend:
    """Return the cache of an alias, typed as CacheBackend.

    ``django.core.cache.caches[alias]`` is the same object, but typed as Django's BaseCache.

    Args:
        alias: an entry of CACHES.

    Raises:
        InvalidCacheBackendError: CACHES has no such entry.
        ImproperlyConfiguredCache: its BACKEND is not CacheBackend.
    """
    cache = caches[alias]
    if not isinstance(cache, CacheBackend):
        raise ImproperlyConfiguredCache(
            f"Cache '{alias}' is a {type(cache).__qualname__}: set its BACKEND to "
            "continuum_upstash.backend.CacheBackend."
        )
    return cache


def get_redis_connection(alias: str = "default", write: bool = True) -> redis.Redis:
    """Return redis-py's client of a cache's database, as django-redis' function does.

    See `continuum_upstash.cache.cache_client.CacheClient.get_client`.

    Args:
        alias: an entry of CACHES.
        write: is not used: replicas belong to the same URL.

    Raises:
        InvalidCacheBackendError: CACHES has no such entry.
        ImproperlyConfiguredCache: its BACKEND is not CacheBackend.
    """
    return get_cache(alias).client.get_client(write)
