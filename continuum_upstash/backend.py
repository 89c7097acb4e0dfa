"""Django's cache contract: keys, versions and timeouts. What is sent stands in operations.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.cache.backends.base import DEFAULT_TIMEOUT

from continuum_upstash.cache.extras import ExtraMethods
from continuum_upstash.cache.timeouts import Timeout
from continuum_upstash.keys import own_keys
from continuum_upstash.plans import scan
from continuum_upstash.plans.effects import Plan, pair


class CacheBackend(ExtraMethods):
    """A Django cache in an Upstash database.

    Every method has a native async twin with the prefix ``a``; both run the same plan. They
    stand in the order of Django's BaseCache.
    """

    def _add(
        self, key: Any, value: Any, timeout: Timeout = DEFAULT_TIMEOUT, version: int | None = None
    ) -> Plan[bool]:
        name = self.make_and_validate_key(key, version)
        return (yield from self._plans.set(name, value, self._timeouts.px(key, timeout), "NX"))

    add, aadd = pair(_add)

    def _get(self, key: Any, default: Any = None, version: int | None = None) -> Plan[Any]:
        return (yield from self._plans.get(self.make_and_validate_key(key, version), default))

    get, aget = pair(_get)

    def _set(
        self, key: Any, value: Any, timeout: Timeout = DEFAULT_TIMEOUT, version: int | None = None
    ) -> Plan[None]:
        name = self.make_and_validate_key(key, version)
        yield from self._plans.set(name, value, self._timeouts.px(key, timeout))

    set, aset = pair(_set)

    def _touch(
        self, key: Any, timeout: Timeout = DEFAULT_TIMEOUT, version: int | None = None
    ) -> Plan[bool]:
        name = self.make_and_validate_key(key, version)
        return (yield from self._plans.touch(name, self._timeouts.px(key, timeout)))

    touch, atouch = pair(_touch)

    def _delete(self, key: Any, version: int | None = None) -> Plan[bool]:
        return (yield from self._plans.delete(self.make_and_validate_key(key, version)))

    delete, adelete = pair(_delete)

    def _get_many(self, keys: Iterable[Any], version: int | None = None) -> Plan[dict[Any, Any]]:
        names = {self.make_and_validate_key(key, version): key for key in keys}
        found = yield from self._plans.get_many(list(names))
        return {names[name]: value for name, value in found.items()}

    get_many, aget_many = pair(_get_many)

    def _get_or_set(
        self, key: Any, default: Any, timeout: Timeout = DEFAULT_TIMEOUT, version: int | None = None
    ) -> Plan[Any]:
        name = self.make_and_validate_key(key, version)
        return (yield from self._plans.get_or_set(name, default, self._timeouts.px(key, timeout)))

    get_or_set, aget_or_set = pair(_get_or_set)

    def _has_key(self, key: Any, version: int | None = None) -> Plan[bool]:
        return (yield from self._plans.exists(self.make_and_validate_key(key, version)))

    has_key, ahas_key = pair(_has_key)

    def _incr(self, key: Any, delta: int = 1, version: int | None = None) -> Plan[int]:
        total = yield from self._plans.incr(self.make_and_validate_key(key, version), delta)
        if total is None:
            raise ValueError(f"Key '{key}' not found")
        return total

    incr, aincr = pair(_incr)

    def _decr(self, key: Any, delta: int = 1, version: int | None = None) -> Plan[int]:
        return (yield from self._incr(key, -delta, version))

    decr, adecr = pair(_decr)

    def _set_many(
        self,
        data: Mapping[Any, Any],
        timeout: Timeout = DEFAULT_TIMEOUT,
        version: int | None = None,
    ) -> Plan[list[Any]]:
        # Keys of one call may have different lifetimes (TTL_BY_PREFIX): a round trip for each.
        by_px: dict[int | None, dict[str, Any]] = {}
        names: dict[str, Any] = {}
        for key, value in data.items():
            name = self.make_and_validate_key(key, version)
            names[name] = key
            by_px.setdefault(self._timeouts.px(key, timeout), {})[name] = value
        refused: list[Any] = []
        for px, values in by_px.items():
            refused += [names[name] for name in (yield from self._plans.set_many(values, px))]
        return refused

    set_many, aset_many = pair(_set_many)

    def _delete_many(self, keys: Iterable[Any], version: int | None = None) -> Plan[None]:
        yield from self._plans.delete_many(
            [self.make_and_validate_key(key, version) for key in keys]
        )

    delete_many, adelete_many = pair(_delete_many)

    def _clear(self) -> Plan[None]:
        """Delete this alias's own keys, every version; other keys of the database stay.

        With ``CLEAR = "flushdb"`` it deletes the whole database in one command.
        """
        if self._config.clear == "flushdb":
            yield from scan.flush()
            return
        own = own_keys(self.key_func, self.key_prefix)
        yield from scan.delete_matching(own.pattern, own.matches)

    clear, aclear = pair(_clear)

    def _incr_version(self, key: Any, delta: int = 1, version: int | None = None) -> Plan[int]:
        version = self.version if version is None else version
        old = self.make_and_validate_key(key, version)
        new = self.make_and_validate_key(key, version + delta)
        if not (yield from self._plans.rename(old, new)):
            raise ValueError(f"Key '{key}' not found")
        return version + delta

    incr_version, aincr_version = pair(_incr_version)

    def _decr_version(self, key: Any, delta: int = 1, version: int | None = None) -> Plan[int]:
        return (yield from self._incr_version(key, -delta, version))

    decr_version, adecr_version = pair(_decr_version)
