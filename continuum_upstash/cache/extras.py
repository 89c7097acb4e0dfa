"""The methods beyond Django's contract: tags, and django-redis' with its names and results."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from continuum_upstash.cache.cache_plans import CachePlans
from continuum_upstash.plans.locks import AsyncLock, Lock
from continuum_upstash.plans.scan import COUNT, KeyScan, flush

Expiry: TypeAlias = float | timedelta | None


class ExtraMethods(CachePlans):
    """Expiry, search, deletion by pattern and by tag, locks."""

    def ttl(self, key: Any, version: int | None = None) -> int | None:
        """Return the remaining seconds. Billed: 1 command.

        0 for a missing key, None for a key without expiry.
        """
        return self.run(self._ttl(key, version))

    async def attl(self, key: Any, version: int | None = None) -> int | None:
        """Async `ttl`: return the remaining seconds. Billed: 1 command."""
        return await self.arun(self._ttl(key, version))

    def pttl(self, key: Any, version: int | None = None) -> int | None:
        """Return the remaining milliseconds; 0 and None as in `ttl`. Billed: 1 command."""
        return self.run(self._pttl(key, version))

    async def apttl(self, key: Any, version: int | None = None) -> int | None:
        """Async `pttl`: return the remaining milliseconds. Billed: 1 command."""
        return await self.arun(self._pttl(key, version))

    def expire_time(self, key: Any, version: int | None = None) -> int | None:
        """Return the time of expiry in Unix seconds; 0 and None as in `ttl`. Billed: 1 command."""
        return self.run(self._expire_time(key, version))

    async def aexpire_time(self, key: Any, version: int | None = None) -> int | None:
        """Async `expire_time`: return the time of expiry in Unix seconds. Billed: 1 command."""
        return await self.arun(self._expire_time(key, version))

    def persist(self, key: Any, version: int | None = None) -> bool:
        """Remove the expiry of a key; return whether it had one. Billed: 1 command."""
        return self.run(self._persist(key, version))

    async def apersist(self, key: Any, version: int | None = None) -> bool:
        """Async `persist`: return whether the key had an expiry. Billed: 1 command."""
        return await self.arun(self._persist(key, version))

    def expire(self, key: Any, timeout: Expiry, version: int | None = None) -> bool:
        """Expire a key in `timeout` seconds; return whether it exists.

        Billed: 1 command; 2 if the result is no expiry and the key has none.

        Args:
            key: the key, without prefix and version.
            timeout: seconds or a timedelta; 0 or less deletes the key. DEFAULT_TIMEOUT: as in
                `set`; None: no expiry.
            version: of the key; None: VERSION.
        """
        return self.run(self._expire(key, timeout, 1, version))

    async def aexpire(self, key: Any, timeout: Expiry, version: int | None = None) -> bool:
        """Async `expire`: return whether the key exists. Billed: as `expire`."""
        return await self.arun(self._expire(key, timeout, 1, version))

    def pexpire(self, key: Any, timeout: Expiry, version: int | None = None) -> bool:
        """Expire a key in `timeout` milliseconds; return whether it exists. See `expire`."""
        return self.run(self._expire(key, timeout, 1000, version))

    async def apexpire(self, key: Any, timeout: Expiry, version: int | None = None) -> bool:
        """Async `pexpire`: return whether the key exists. Billed: as `expire`."""
        return await self.arun(self._expire(key, timeout, 1000, version))

    def expire_at(self, key: Any, when: datetime | float, version: int | None = None) -> bool:
        """Expire a key at a time; return whether it exists. Billed: 1 command.

        Args:
            key: the key, without prefix and version.
            when: a datetime (without a time zone it is local time), or Unix seconds.
            version: of the key; None: VERSION.
        """
        return self.run(self._expire_at(key, _to_unix_ms(when, 1000), version))

    async def aexpire_at(
        self, key: Any, when: datetime | float, version: int | None = None
    ) -> bool:
        """Async `expire_at`: return whether the key exists. Billed: 1 command."""
        return await self.arun(self._expire_at(key, _to_unix_ms(when, 1000), version))

    def pexpire_at(self, key: Any, when: datetime | int, version: int | None = None) -> bool:
        """Expire a key at a time: a datetime, or Unix milliseconds. See `expire_at`."""
        return self.run(self._expire_at(key, _to_unix_ms(when, 1), version))

    async def apexpire_at(self, key: Any, when: datetime | int, version: int | None = None) -> bool:
        """Async `pexpire_at`: return whether the key exists. Billed: 1 command."""
        return await self.arun(self._expire_at(key, _to_unix_ms(when, 1), version))

    def keys(self, search: str = "*", version: int | None = None) -> list[str]:
        """Return the keys that match a glob pattern, without prefix and version.

        Billed: 1 SCAN per 1,000 keys in the database.

        Raises:
            ConfigurationError: KEY_FUNCTION hides the keys, so that no pattern can match them.
        """
        return self.run(self._keys(search, version))

    async def akeys(self, search: str = "*", version: int | None = None) -> list[str]:
        """Async `keys`: return the keys that match a glob pattern. Billed: as `keys`."""
        return await self.arun(self._keys(search, version))

    def delete_pattern(
        self, pattern: str, version: int | None = None, itersize: int | None = None
    ) -> int:
        """Delete the keys that match a glob pattern; return how many.

        Billed: 1 SCAN per `itersize` keys in the database, 1 UNLINK per SCAN that found a match.

        Args:
            pattern: without prefix and version.
            version: of the keys; None: VERSION.
            itersize: the keys that a SCAN examines; None: DJANGO_REDIS_SCAN_ITERSIZE, or 1,000.

        Raises:
            ConfigurationError: KEY_FUNCTION hides the keys, so that no pattern can match them.
        """
        return self.run(self._delete_pattern(pattern, version, itersize))

    async def adelete_pattern(
        self, pattern: str, version: int | None = None, itersize: int | None = None
    ) -> int:
        """Async `delete_pattern`: return how many were deleted. Billed: as `delete_pattern`."""
        return await self.arun(self._delete_pattern(pattern, version, itersize))

    def iter_keys(
        self, search: str = "*", itersize: int | None = None, version: int | None = None
    ) -> Iterator[str]:
        """Yield the keys that match a glob pattern; a key may appear twice.

        Billed: 1 SCAN per `itersize` keys in the database (None: 1,000).
        """
        pattern = self._scope_pattern(search, version)
        scan = KeyScan(pattern.pattern, pattern.matches, count=itersize or COUNT)
        while not scan.is_complete:
            yield from map(pattern.extract_key, self.run(scan.fetch_page()))

    async def aiter_keys(
        self, search: str = "*", itersize: int | None = None, version: int | None = None
    ) -> AsyncIterator[str]:
        """Async `iter_keys`: ``async for key in cache.aiter_keys("report:*"): …``."""
        pattern = self._scope_pattern(search, version)
        scan = KeyScan(pattern.pattern, pattern.matches, count=itersize or COUNT)
        while not scan.is_complete:
            for name in await self.arun(scan.fetch_page()):
                yield pattern.extract_key(name)

    def delete_tags(self, *tags: str) -> None:
        """Make every value missing that was stored with one of these tags.

        A value that is being computed meanwhile, by `get_or_set` with one of the tags, is missing,
        too. The tags of caches with the same KEY_PREFIX are the same, in all versions.

        Billed: 1 command.

        Raises:
            TypeError, ValueError: a tag is not a text, empty or too long.
        """
        self.run(self._delete_tags(tags))

    async def adelete_tags(self, *tags: str) -> None:
        """Async `delete_tags`: make values with these tags missing. Billed: 1 command."""
        await self.arun(self._delete_tags(tags))

    def flush_all(self) -> None:
        """Delete every key of the database, also those of other applications. Billed: 1 command."""
        self.run(flush())

    async def aflush_all(self) -> None:
        """Async `flush_all`: delete every key of the database. Billed: 1 command."""
        await self.arun(flush())

    def lock(
        self,
        key: Any,
        version: int | None = None,
        timeout: float | None = 60.0,
        sleep: float = 0.1,
        *,
        blocking: bool = True,
        blocking_timeout: float | None = None,
        thread_local: bool = True,
    ) -> Lock:
        """Return a lock that one holder among all processes has at a time.

        Args:
            key: the cache key that stores the lock.
            version: of the key; None: VERSION.
            timeout: seconds after which the lock expires; None: never, so that the lock of a
                process that crashes is never free again.
            sleep: seconds between the first two attempts, growing to 1; each attempt is billed.
            blocking: False: `acquire` makes one attempt.
            blocking_timeout: seconds until `acquire` gives up; None: never, 0: after one attempt.
            thread_local: only the thread that acquired the lock can release it.

        Raises:
            ValueError: `timeout` or `sleep` is not above 0.
        """
        return Lock(
            self,
            self.make_and_validate_key(key, version),
            lease=timeout,
            sleep=sleep,
            wait=blocking_timeout,
            blocking=blocking,
            thread_local=thread_local,
            conditional=self._database.conditional_commands,
        )

    def alock(
        self,
        key: Any,
        version: int | None = None,
        timeout: float | None = 60.0,
        sleep: float = 0.1,
        *,
        blocking: bool = True,
        blocking_timeout: float | None = None,
        thread_local: bool = True,
    ) -> AsyncLock:
        """Async `lock`: ``async with cache.alock("report"): …``. The arguments are the same."""
        return AsyncLock(
            self,
            self.make_and_validate_key(key, version),
            lease=timeout,
            sleep=sleep,
            wait=blocking_timeout,
            blocking=blocking,
            thread_local=thread_local,
            conditional=self._database.conditional_commands,
        )


def _to_unix_ms(when: datetime | float, ms_per_unit: int) -> int:
    if isinstance(when, datetime):
        return int(when.timestamp() * 1000)
    return int(when * ms_per_unit)
