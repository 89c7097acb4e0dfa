"""What users of django-redis have beyond Django's contract, with its names and answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any, TypeVar

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.cache.timeouts import milliseconds
from continuum_upstash.keys import Pattern, user_pattern
from continuum_upstash.plans import scan
from continuum_upstash.plans.effects import Plan, pair
from continuum_upstash.plans.locks import AsyncLock, Lock

L = TypeVar("L", Lock, AsyncLock)


class ExtraMethods(UpstashBaseCache):
    """Times to live, walks over keys, and locks."""

    # ---- times to live

    def _ttl(self, key: Any, version: int | None = None) -> Plan[int | None]:
        """Return the seconds left: 0 for a missing key, None for one that stays."""
        return (yield from self._plans.time_left(self.make_and_validate_key(key, version), "TTL"))

    ttl, attl = pair(_ttl)

    def _pttl(self, key: Any, version: int | None = None) -> Plan[int | None]:
        """Return the milliseconds left: 0 for a missing key, None for one that stays."""
        return (yield from self._plans.time_left(self.make_and_validate_key(key, version), "PTTL"))

    pttl, apttl = pair(_pttl)

    def _expire_time(self, key: Any, version: int | None = None) -> Plan[int | None]:
        """Return the Unix time of the expiry in seconds: 0 for a missing key, None for none."""
        return (
            yield from self._plans.time_left(self.make_and_validate_key(key, version), "EXPIRETIME")
        )

    expire_time, aexpire_time = pair(_expire_time)

    def _persist(self, key: Any, version: int | None = None) -> Plan[bool]:
        """Take the expiry off; return whether there was one."""
        return (yield from self._plans.persist(self.make_and_validate_key(key, version)))

    persist, apersist = pair(_persist)

    def _expire(self, key: Any, timeout: float, version: int | None = None) -> Plan[bool]:
        """Let the key expire in so many seconds; return whether it was there."""
        return (
            yield from self._plans.touch(
                self.make_and_validate_key(key, version), milliseconds(timeout)
            )
        )

    expire, aexpire = pair(_expire)

    def _pexpire(self, key: Any, timeout: float, version: int | None = None) -> Plan[bool]:
        """Let the key expire in so many milliseconds; return whether it was there."""
        return (yield from self._expire(key, timeout / 1000, version))

    pexpire, apexpire = pair(_pexpire)

    def _expire_at(
        self, key: Any, when: datetime | float, version: int | None = None
    ) -> Plan[bool]:
        """Let the key expire at a time (a datetime, or Unix seconds); return whether it was there.

        A datetime without a time zone is local time, as `datetime.timestamp` takes it.
        """
        seconds = when.timestamp() if isinstance(when, datetime) else when
        return (
            yield from self._plans.expire_at(
                self.make_and_validate_key(key, version), int(seconds * 1000)
            )
        )

    expire_at, aexpire_at = pair(_expire_at)

    def _pexpire_at(self, key: Any, when: datetime | int, version: int | None = None) -> Plan[bool]:
        """As `expire_at`, with a number of Unix milliseconds."""
        at = when if isinstance(when, datetime) else when / 1000
        return (yield from self._expire_at(key, at, version))

    pexpire_at, apexpire_at = pair(_pexpire_at)

    # ---- walks over keys

    def _keys(self, search: str = "*", version: int | None = None) -> Plan[list[str]]:
        """Return the keys that match a glob pattern, without prefix and version.

        It walks with SCAN: one billed command per thousand keys of the database.
        """
        wanted = self._pattern(search, version)
        names = yield from scan.matching(wanted.pattern, wanted.matches)
        return [wanted.key(name) for name in names]

    keys, akeys = pair(_keys)

    def _delete_pattern(
        self, pattern: str, version: int | None = None, itersize: int = scan.COUNT
    ) -> Plan[int]:
        """Delete the keys that match a glob pattern; return how many.

        It walks with SCAN: one billed command per `itersize` keys of the database, and one for
        each page in which keys match.
        """
        wanted = self._pattern(pattern, version)
        return (yield from scan.delete_matching(wanted.pattern, wanted.matches, itersize))

    delete_pattern, adelete_pattern = pair(_delete_pattern)

    def iter_keys(
        self, search: str = "*", itersize: int = scan.COUNT, version: int | None = None
    ) -> Iterator[str]:
        """Yield the keys that match a glob pattern; one may come twice, as SCAN says."""
        wanted, cursor = self._pattern(search, version), ""
        while cursor != "0":
            cursor, names = self._run(scan.page(wanted.pattern, cursor or "0", itersize))
            yield from map(wanted.key, filter(wanted.matches, names))

    async def aiter_keys(
        self, search: str = "*", itersize: int = scan.COUNT, version: int | None = None
    ) -> AsyncIterator[str]:
        """The async twin of `iter_keys`."""
        wanted, cursor = self._pattern(search, version), ""
        while cursor != "0":
            cursor, names = await self._arun(scan.page(wanted.pattern, cursor or "0", itersize))
            for name in filter(wanted.matches, names):
                yield wanted.key(name)

    def _flush_all(self) -> Plan[None]:
        """Delete every key of the database, other aliases' and other programs' too."""
        yield from scan.flush()

    flush_all, aflush_all = pair(_flush_all)

    def _pattern(self, pattern: str, version: int | None) -> Pattern:
        version = self.version if version is None else version
        return user_pattern(self.key_func, self.key_prefix, version, pattern, self._reverse)

    # ---- locks

    def lock(
        self,
        key: Any,
        version: int | None = None,
        timeout: float = 60.0,
        sleep: float = 0.1,
        blocking_timeout: float | None = None,
    ) -> Lock:
        """Return a lock that one holder among all processes has at a time.

        Args:
            key: names the lock; it is a cache key of its own.
            version: of the key.
            timeout: seconds after which the lock gives itself back.
            sleep: seconds between two tries at first; each is a billed command.
            blocking_timeout: seconds to wait for it; None: for ever.
        """
        name = self.make_and_validate_key(key, version)
        return self._lock(Lock, name, lease=timeout, sleep=sleep, wait=blocking_timeout)

    def alock(
        self,
        key: Any,
        version: int | None = None,
        timeout: float = 60.0,
        sleep: float = 0.1,
        blocking_timeout: float | None = None,
    ) -> AsyncLock:
        """The async twin of `lock`: ``async with cache.alock("report"): …``."""
        name = self.make_and_validate_key(key, version)
        return self._lock(AsyncLock, name, lease=timeout, sleep=sleep, wait=blocking_timeout)

    def _lock(
        self, kind: type[L], name: str, *, lease: float, sleep: float, wait: float | None
    ) -> L:
        native = self._config.is_upstash
        return kind(self, name, lease=lease, sleep=sleep, wait=wait, native=native)
