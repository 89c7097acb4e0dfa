"""The plans of the cache's methods: Django's keys, versions and timeouts to full keys and times."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any, Literal

from django.core.cache import caches
from django.core.cache.backends.base import DEFAULT_TIMEOUT, get_key_func

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.cache.django_redis_settings import get_itersize
from continuum_upstash.cache.early import (
    ProtectedGetOrSet,
    Protection,
    make_protection,
)
from continuum_upstash.cache.tags import (
    make_tag_keys,
    qualify_tags,
    qualify_tags_of_value,
    store_tagged,
)
from continuum_upstash.keys import AliasPattern, KeyPattern, make_alias_pattern, make_scoped_pattern
from continuum_upstash.plans import scan
from continuum_upstash.plans.effects import Plan
from continuum_upstash.plans.timeouts import Timeout


class CachePlans(UpstashBaseCache):
    """One private plan for each public method that sends commands, sync and async alike."""

    # ---- Django's methods

    def _add(self, key: Any, value: Any, timeout: Timeout, version: int | None) -> Plan[bool]:
        name = self.make_and_validate_key(key, version)
        return self._keyvalue.set(name, value, self._timeouts.get_ttl_ms(key, timeout), "NX")

    def _get(self, key: Any, default: Any, version: int | None) -> Plan[Any]:
        return self._keyvalue.get(self.make_and_validate_key(key, version), default)

    def _set(
        self,
        key: Any,
        value: Any,
        timeout: Timeout,
        version: int | None,
        tags: Iterable[str] = (),
    ) -> Plan[bool]:
        name = self.make_and_validate_key(key, version)
        ttl_ms = self._timeouts.get_ttl_ms(key, timeout)
        if tags and (ttl_ms is None or ttl_ms > 0):
            qualified = qualify_tags_of_value(self.key_prefix, tags)
            return store_tagged(self._keyvalue, name, value, ttl_ms, qualified)
        return self._keyvalue.set(name, value, ttl_ms)

    def _set_if(
        self,
        key: Any,
        value: Any,
        timeout: Timeout,
        version: int | None,
        condition: Literal["NX", "XX"],
    ) -> Plan[bool]:
        name = self.make_and_validate_key(key, version)
        return self._keyvalue.set(name, value, self._timeouts.get_ttl_ms(key, timeout), condition)

    def _touch(self, key: Any, timeout: Timeout, version: int | None) -> Plan[bool]:
        name = self.make_and_validate_key(key, version)
        return self._keyvalue.touch(name, self._timeouts.get_ttl_ms(key, timeout))

    def _delete(self, key: Any, version: int | None) -> Plan[bool]:
        return self._keyvalue.delete(self.make_and_validate_key(key, version))

    def _get_many(self, keys: Iterable[Any], version: int | None) -> Plan[dict[Any, Any]]:
        keys = list(dict.fromkeys(keys))
        return self._keyvalue.get_many(self._make_and_validate_keys(keys, version), keys)

    def _get_or_set(
        self,
        key: Any,
        default: Any,
        timeout: Timeout,
        version: int | None,
        protection: Protection | None,
    ) -> Plan[Any]:
        name = self.make_and_validate_key(key, version)
        ttl_ms = self._timeouts.get_ttl_ms(key, timeout)
        if protection is None or (ttl_ms == 0 and not protection.force):
            return self._keyvalue.get_or_set(name, default, ttl_ms)
        return ProtectedGetOrSet(
            self._keyvalue,
            self._database,
            key=name,
            default=default,
            ttl_ms=ttl_ms,
            protection=protection,
        ).run()

    def _protect(
        self,
        early: float | None,
        grace: float | None,
        wait: float | None,
        tags: Iterable[str],
        *,
        force: bool,
        cache_none: bool,
    ) -> Protection | None:
        qualified = qualify_tags_of_value(self.key_prefix, tags) if tags else ()
        return make_protection(early, grace, wait, qualified, force=force, cache_none=cache_none)

    def _delete_tags(self, tags: Iterable[str]) -> Plan[int]:
        return self._keyvalue.delete_many(make_tag_keys(qualify_tags(self.key_prefix, tags)))

    def _has_key(self, key: Any, version: int | None) -> Plan[bool]:
        return self._keyvalue.exists(self.make_and_validate_key(key, version))

    def _incr(
        self, key: Any, delta: int, version: int | None, ignore_key_check: bool = False
    ) -> Plan[int]:
        name = self.make_and_validate_key(key, version)
        total = yield from self._keyvalue.incr(name, delta, create=ignore_key_check)
        if total is None:
            raise ValueError(f"Key {key!r} not found")
        return total

    def _set_many(
        self, data: Mapping[Any, Any], timeout: Timeout, version: int | None
    ) -> Plan[list[Any]]:
        names = self._make_and_validate_keys(data, version)
        refused: list[str] = []
        for ttl_ms, values in self._timeouts.group_by_ttl_ms(data, names, timeout).items():
            refused += yield from self._keyvalue.set_many(values, ttl_ms)
        return [key for name, key in zip(names, data, strict=True) if name in refused]

    def _delete_many(self, keys: Iterable[Any], version: int | None) -> Plan[int]:
        return self._keyvalue.delete_many(self._make_and_validate_keys(keys, version))

    def _clear(self) -> Plan[None]:
        if self._config.clear == "flushdb":
            yield from scan.flush()
            return
        own = make_alias_pattern(self.key_func, self.key_prefix, self.version)
        yield from scan.delete_keys(own.pattern, own.exclude(_list_alias_patterns()).matches)

    def _incr_version(self, key: Any, delta: int, version: int | None) -> Plan[int]:
        version = self.version if version is None else version
        old = self.make_and_validate_key(key, version)
        new = self.make_and_validate_key(key, version + delta)
        if not (yield from self._keyvalue.rename(old, new)):
            raise ValueError(f"Key {key!r} not found")
        return version + delta

    # ---- django-redis' methods

    def _ttl(self, key: Any, version: int | None) -> Plan[int | None]:
        return self._keyvalue.get_ttl(self.make_and_validate_key(key, version), "TTL")

    def _pttl(self, key: Any, version: int | None) -> Plan[int | None]:
        return self._keyvalue.get_ttl(self.make_and_validate_key(key, version), "PTTL")

    def _expire_time(self, key: Any, version: int | None) -> Plan[int | None]:
        return self._keyvalue.get_ttl(self.make_and_validate_key(key, version), "EXPIRETIME")

    def _persist(self, key: Any, version: int | None) -> Plan[bool]:
        return self._keyvalue.persist(self.make_and_validate_key(key, version))

    def _expire(
        self, key: Any, timeout: float | timedelta | None, per_second: int, version: int | None
    ) -> Plan[bool]:
        if isinstance(timeout, timedelta):
            timeout = timeout.total_seconds()
        elif timeout is not None and timeout is not DEFAULT_TIMEOUT:
            timeout /= per_second
        return self._touch(key, timeout, version)

    def _expire_at(self, key: Any, unix_ms: int, version: int | None) -> Plan[bool]:
        return self._keyvalue.expire_at(self.make_and_validate_key(key, version), unix_ms)

    def _keys(self, search: str, version: int | None) -> Plan[list[str]]:
        pattern = self._scope_pattern(search, version)
        names = yield from scan.find_keys(pattern.pattern, pattern.matches)
        return [pattern.extract_key(name) for name in names]

    def _delete_pattern(self, search: str, version: int | None, itersize: int | None) -> Plan[int]:
        pattern = self._scope_pattern(search, version)
        return scan.delete_keys(pattern.pattern, pattern.matches, itersize or get_itersize())

    def _scope_pattern(self, search: str, version: int | None) -> KeyPattern:
        version = self.version if version is None else version
        return make_scoped_pattern(self.key_func, self.key_prefix, version, search, self._reverse)


def _list_alias_patterns() -> Iterator[AliasPattern]:
    """Yield the patterns of the entries of CACHES whose keys have one."""
    for entry in caches.settings.values():
        with suppress(Exception):  # a KEY_FUNCTION may accept only its application's own keys
            key_func = get_key_func(entry.get("KEY_FUNCTION"))
            yield make_alias_pattern(key_func, entry.get("KEY_PREFIX", ""))
