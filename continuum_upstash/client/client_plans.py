"""The plans of the clients' methods: full keys as the user gives them, seconds to milliseconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from continuum_upstash.plans import info, scan
from continuum_upstash.plans.effects import Plan, call
from continuum_upstash.plans.keyvalue import KeyValuePlans
from continuum_upstash.plans.timeouts import Timeouts, Ttl, to_ms


class ClientPlans:
    """The plans of one client.

    Args:
        keyvalue: the plans for its database.
        timeouts: the timeouts of keys that are set without a `ttl`.
    """

    def __init__(self, keyvalue: KeyValuePlans, timeouts: Timeouts) -> None:
        self._keyvalue = keyvalue
        self.get_ttl_ms, self._group_by_ttl_ms = timeouts.get_ttl_ms, timeouts.group_by_ttl_ms
        self.unstorable, self.drop = keyvalue.unstorable, keyvalue.drop
        self.exceeds_max_size = keyvalue.exceeds_max_size
        self.open_value = keyvalue.envelopes.open_one

    def ping(self) -> Plan[bool]:
        return bool((yield from call("PING", needs_server=True)))

    def get(self, key: str, default: Any) -> Plan[Any]:
        return self._keyvalue.get(key, default)

    def set(self, key: str, value: Any, ttl: Ttl) -> Plan[bool]:
        return self._keyvalue.set(key, value, self.get_ttl_ms(key, ttl))

    def add(self, key: str, value: Any, ttl: Ttl) -> Plan[bool]:
        return self._keyvalue.set(key, value, self.get_ttl_ms(key, ttl), "NX")

    def delete(self, keys: Sequence[str]) -> Plan[int]:
        return self._keyvalue.delete_many(keys)

    def exists(self, key: str) -> Plan[bool]:
        return self._keyvalue.exists(key)

    def expire(self, key: str, ttl: float | None) -> Plan[bool]:
        return self._keyvalue.touch(key, to_ms(ttl))

    def get_ttl(self, key: str) -> Plan[int | None]:
        return self._keyvalue.get_ttl(key, "TTL")

    def get_many(self, keys: Sequence[str]) -> Plan[dict[str, Any]]:
        return self._keyvalue.get_many(keys, keys)

    def set_many(self, values: Mapping[str, Any], ttl: Ttl) -> Plan[list[str]]:
        refused: list[str] = []
        for ttl_ms, group in self._group_by_ttl_ms(values, list(values), ttl).items():
            refused += yield from self._keyvalue.set_many(group, ttl_ms)
        return refused

    def get_or_set(self, key: str, default: Any, ttl: Ttl) -> Plan[Any]:
        return self._keyvalue.get_or_set(key, default, self.get_ttl_ms(key, ttl))

    def incr(self, key: str, delta: int) -> Plan[int]:
        return self._keyvalue.incr_or_create(key, delta)

    def delete_pattern(self, pattern: str) -> Plan[int]:
        return scan.delete_keys(pattern)

    def list_keys(self, pattern: str) -> Plan[list[str]]:
        return scan.find_keys(pattern)

    def info(self) -> Plan[dict[str, Any]]:
        text: bytes = yield from call("INFO", needs_server=True)
        return info.parse(text.decode("utf-8", "replace"))

    def load(self, raw: bytes) -> Any:
        """Decode a stored value; one that cannot be decoded is None."""
        return self._keyvalue.decode(raw, None)
