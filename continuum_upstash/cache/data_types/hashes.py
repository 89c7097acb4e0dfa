"""Hashes: django-redis' methods, and others with the names of the Redis commands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from continuum_upstash.cache.data_types.members import CollectionPlans
from continuum_upstash.errors import ReplyError
from continuum_upstash.plans.counters import to_counter_error
from continuum_upstash.plans.effects import EncodeMany, Plan
from continuum_upstash.plans.keyvalue import MISSING
from continuum_upstash.protocol import Argument, Reply


class HashMethods(CollectionPlans):
    """The methods of hashes. In an outage they raise Unavailable, also with FALLBACK."""

    def hset(
        self,
        key: Any,
        field: str | None = None,
        value: Any = None,
        mapping: Mapping[str, Any] | None = None,
        version: int | None = None,
    ) -> int:
        """Set fields of a hash; return how many are new. Billed: 1 command.

        The fields are stored as they are, the values as those of `set`. A new hash never
        expires, unless `expire` sets its time.

        Args:
            key: the key of the hash, without prefix and version.
            field: the name of one field.
            value: the value of `field`.
            mapping: values of further fields, by field.
            version: of the key; None: VERSION.

        Raises:
            NotSerializable: a value has no stored format.
            ValueError: there is no field, or a value is larger than MAX_VALUE_BYTES.
        """
        return self.run(self._hset(key, field, value, mapping, version))

    async def ahset(
        self,
        key: Any,
        field: str | None = None,
        value: Any = None,
        mapping: Mapping[str, Any] | None = None,
        version: int | None = None,
    ) -> int:
        """Async `hset`: return how many fields are new. Billed: 1 command."""
        return await self.arun(self._hset(key, field, value, mapping, version))

    def hget(self, key: Any, field: str, default: Any = None, version: int | None = None) -> Any:
        """Return the value of a field, or `default` if there is none. Billed: 1 command."""
        return self.run(self._hget(key, field, default, version))

    async def ahget(
        self, key: Any, field: str, default: Any = None, version: int | None = None
    ) -> Any:
        """Async `hget`: return the value of a field. Billed: 1 command."""
        return await self.arun(self._hget(key, field, default, version))

    def hmget(self, key: Any, fields: Iterable[str], version: int | None = None) -> dict[str, Any]:
        """Return the values of the fields that exist, by field. Billed: 1 command."""
        return self.run(self._hmget(key, fields, version))

    async def ahmget(
        self, key: Any, fields: Iterable[str], version: int | None = None
    ) -> dict[str, Any]:
        """Async `hmget`: return the values of fields, by field. Billed: 1 command."""
        return await self.arun(self._hmget(key, fields, version))

    def hgetall(self, key: Any, version: int | None = None) -> dict[str, Any]:
        """Return the values of all fields, by field. Billed: 1 command."""
        return self.run(self._hgetall(key, version))

    async def ahgetall(self, key: Any, version: int | None = None) -> dict[str, Any]:
        """Async `hgetall`: return all values, by field. Billed: 1 command."""
        return await self.arun(self._hgetall(key, version))

    def hkeys(self, key: Any, version: int | None = None) -> list[str]:
        """Return the fields of a hash. Billed: 1 command."""
        return self.run(self._hkeys(key, version))

    async def ahkeys(self, key: Any, version: int | None = None) -> list[str]:
        """Async `hkeys`: return the fields of a hash. Billed: 1 command."""
        return await self.arun(self._hkeys(key, version))

    def hvals(self, key: Any, version: int | None = None) -> list[Any]:
        """Return the values of a hash. Billed: 1 command."""
        return self.run(self._hvals(key, version))

    async def ahvals(self, key: Any, version: int | None = None) -> list[Any]:
        """Async `hvals`: return the values of a hash. Billed: 1 command."""
        return await self.arun(self._hvals(key, version))

    def hlen(self, key: Any, version: int | None = None) -> int:
        """Return the number of fields. Billed: 1 command."""
        return self.run(self._hlen(key, version))

    async def ahlen(self, key: Any, version: int | None = None) -> int:
        """Async `hlen`: return the number of fields. Billed: 1 command."""
        return await self.arun(self._hlen(key, version))

    def hexists(self, key: Any, field: str, version: int | None = None) -> bool:
        """Return whether a field exists. Billed: 1 command."""
        return self.run(self._hexists(key, field, version))

    async def ahexists(self, key: Any, field: str, version: int | None = None) -> bool:
        """Async `hexists`: return whether a field exists. Billed: 1 command."""
        return await self.arun(self._hexists(key, field, version))

    def hdel(self, key: Any, field: str, version: int | None = None) -> int:
        """Delete a field; return how many were deleted, 0 or 1. Billed: 1 command."""
        return self.run(self._hdel(key, field, version))

    async def ahdel(self, key: Any, field: str, version: int | None = None) -> int:
        """Async `hdel`: return how many fields were deleted. Billed: 1 command."""
        return await self.arun(self._hdel(key, field, version))

    def hincrby(self, key: Any, field: str, delta: int = 1, version: int | None = None) -> int:
        """Add to an integer field; return the sum. Billed: 1 command.

        A field that does not exist counts as 0.

        Raises:
            TypeError: the value is not an integer.
            OverflowError: the sum does not fit in 64 bits.
        """
        return self.run(self._hincrby(key, field, delta, version))

    async def ahincrby(
        self, key: Any, field: str, delta: int = 1, version: int | None = None
    ) -> int:
        """Async `hincrby`: return the sum. Billed: 1 command."""
        return await self.arun(self._hincrby(key, field, delta, version))

    # ---- plans

    def _hset(
        self,
        key: Any,
        field: str | None,
        value: Any,
        mapping: Mapping[str, Any] | None,
        version: int | None,
    ) -> Plan[int]:
        values = dict(mapping or {})
        if field is not None:
            values[field] = value
        if not values:
            raise ValueError("hset needs a field and a value, or a mapping.")
        encoded: list[bytes] = yield EncodeMany(values.values())
        arguments: list[Argument] = []
        for name, data in zip(values, encoded, strict=True):
            self._reject_too_large(data)
            arguments += (_to_field(name), data)
        added: int = yield from self._send("HSET", key, version, *arguments)
        return added

    def _hget(self, key: Any, field: str, default: Any, version: int | None) -> Plan[Any]:
        raw = yield from self._send("HGET", key, version, _to_field(field))
        return self._decode(raw, default)

    def _hmget(self, key: Any, fields: Iterable[str], version: int | None) -> Plan[dict[str, Any]]:
        names = list(fields)
        if not names:
            return {}
        raws = yield from self._send("HMGET", key, version, *map(_to_field, names))
        return self._decode_fields(zip(names, raws, strict=True))

    def _hgetall(self, key: Any, version: int | None) -> Plan[dict[str, Any]]:
        raws = yield from self._send("HGETALL", key, version)
        fields = [_from_field(raw) for raw in raws[::2]]
        return self._decode_fields(zip(fields, raws[1::2], strict=False))

    def _decode_fields(self, pairs: Iterable[tuple[str, Reply]]) -> dict[str, Any]:
        values = {field: self._decode(raw, MISSING) for field, raw in pairs}
        return {field: value for field, value in values.items() if value is not MISSING}

    def _hkeys(self, key: Any, version: int | None) -> Plan[list[str]]:
        raws = yield from self._send("HKEYS", key, version)
        return [_from_field(raw) for raw in raws]

    def _hvals(self, key: Any, version: int | None) -> Plan[list[Any]]:
        raws = yield from self._send("HVALS", key, version)
        return self._decode_each(raws)

    def _hlen(self, key: Any, version: int | None) -> Plan[int]:
        return self._send("HLEN", key, version)

    def _hexists(self, key: Any, field: str, version: int | None) -> Plan[bool]:
        return bool((yield from self._send("HEXISTS", key, version, _to_field(field))))

    def _hdel(self, key: Any, field: str, version: int | None) -> Plan[int]:
        return self._send("HDEL", key, version, _to_field(field))

    def _hincrby(self, key: Any, field: str, delta: int, version: int | None) -> Plan[int]:
        try:
            total = yield from self._send("HINCRBY", key, version, _to_field(field), delta)
        except ReplyError as error:
            found = to_counter_error(error)
            if found is None:
                raise
            raise found from error
        return int(total)


def _to_field(field: object) -> str:
    return field.decode() if isinstance(field, bytes) else str(field)


def _from_field(raw: Reply) -> str:
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)
