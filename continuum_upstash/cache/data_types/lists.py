"""Lists. django-redis has no methods for them: the names and arguments are those of Redis."""

from __future__ import annotations

from typing import Any

from continuum_upstash.cache.data_types.members import CollectionPlans
from continuum_upstash.plans.effects import Plan


class ListMethods(CollectionPlans):
    """The methods of lists. In an outage they raise Unavailable, also with FALLBACK.

    A value without a stored format raises NotSerializable; one above MAX_VALUE_BYTES, ValueError.
    """

    def lpush(self, key: Any, *values: Any, version: int | None = None) -> int:
        """Add elements at the head of a list; return its length. Billed: 1 command.

        The last value becomes the first element. A new list never expires, unless `expire` sets its
        time.

        Raises:
            NotSerializable: a value has no stored format.
            ValueError: a value is larger than MAX_VALUE_BYTES.
        """
        return self.run(self._push("LPUSH", key, values, version))

    async def alpush(self, key: Any, *values: Any, version: int | None = None) -> int:
        """Async `lpush`: return the length of the list. Billed: 1 command."""
        return await self.arun(self._push("LPUSH", key, values, version))

    def rpush(self, key: Any, *values: Any, version: int | None = None) -> int:
        """Add elements at the tail of a list; return its length. Billed: 1 command.

        A new list never expires, unless `expire` sets its time.

        Raises:
            NotSerializable: a value has no stored format.
            ValueError: a value is larger than MAX_VALUE_BYTES.
        """
        return self.run(self._push("RPUSH", key, values, version))

    async def arpush(self, key: Any, *values: Any, version: int | None = None) -> int:
        """Async `rpush`: return the length of the list. Billed: 1 command."""
        return await self.arun(self._push("RPUSH", key, values, version))

    def lpop(self, key: Any, count: int | None = None, version: int | None = None) -> Any:
        """Remove the first element and return it; None if the list is empty. Billed: 1 command.

        With a `count`, remove up to that many elements and return a list of them.
        """
        return self.run(self._pop("LPOP", key, count, version))

    async def alpop(self, key: Any, count: int | None = None, version: int | None = None) -> Any:
        """Async `lpop`: return what was removed. Billed: 1 command."""
        return await self.arun(self._pop("LPOP", key, count, version))

    def rpop(self, key: Any, count: int | None = None, version: int | None = None) -> Any:
        """Remove the last element and return it; None if the list is empty. Billed: 1 command.

        With a `count`, remove up to that many elements and return a list of them.
        """
        return self.run(self._pop("RPOP", key, count, version))

    async def arpop(self, key: Any, count: int | None = None, version: int | None = None) -> Any:
        """Async `rpop`: return what was removed. Billed: 1 command."""
        return await self.arun(self._pop("RPOP", key, count, version))

    def lrange(
        self, key: Any, start: int = 0, end: int = -1, version: int | None = None
    ) -> list[Any]:
        """Return the elements from index `start` to `end`, inclusive. Billed: 1 command."""
        return self.run(self._lrange(key, start, end, version))

    async def alrange(
        self, key: Any, start: int = 0, end: int = -1, version: int | None = None
    ) -> list[Any]:
        """Async `lrange`: return elements by their index. Billed: 1 command."""
        return await self.arun(self._lrange(key, start, end, version))

    def lindex(self, key: Any, index: int, default: Any = None, version: int | None = None) -> Any:
        """Return the element at an index, or `default` if there is none. Billed: 1 command."""
        return self.run(self._lindex(key, index, default, version))

    async def alindex(
        self, key: Any, index: int, default: Any = None, version: int | None = None
    ) -> Any:
        """Async `lindex`: return the element at an index. Billed: 1 command."""
        return await self.arun(self._lindex(key, index, default, version))

    def llen(self, key: Any, version: int | None = None) -> int:
        """Return the length of a list. Billed: 1 command."""
        return self.run(self._llen(key, version))

    async def allen(self, key: Any, version: int | None = None) -> int:
        """Async `llen`: return the length of a list. Billed: 1 command."""
        return await self.arun(self._llen(key, version))

    def lset(self, key: Any, index: int, value: Any, version: int | None = None) -> None:
        """Replace the element at an index. Billed: 1 command.

        Raises:
            NotSerializable: the value has no stored format.
            ReplyError: there is no list, or no such index.
            ValueError: the value is larger than MAX_VALUE_BYTES.
        """
        self.run(self._lset(key, index, value, version))

    async def alset(self, key: Any, index: int, value: Any, version: int | None = None) -> None:
        """Async `lset`: replace the element at an index. Billed: 1 command."""
        await self.arun(self._lset(key, index, value, version))

    def lrem(self, key: Any, count: int, value: Any, version: int | None = None) -> int:
        """Remove elements that are equal to a value; return how many. Billed: 1 command.

        Args:
            key: the key of the list, without prefix and version.
            count: how many, from the head; negative: from the tail; 0: all.
            value: the value.
            version: of the key; None: VERSION.
        """
        return self.run(self._lrem(key, count, value, version))

    async def alrem(self, key: Any, count: int, value: Any, version: int | None = None) -> int:
        """Async `lrem`: return how many elements were removed. Billed: 1 command."""
        return await self.arun(self._lrem(key, count, value, version))

    def ltrim(self, key: Any, start: int, end: int, version: int | None = None) -> None:
        """Remove the elements outside the index `start` to `end`, inclusive. Billed: 1 command."""
        self.run(self._ltrim(key, start, end, version))

    async def altrim(self, key: Any, start: int, end: int, version: int | None = None) -> None:
        """Async `ltrim`: remove the elements outside a range. Billed: 1 command."""
        await self.arun(self._ltrim(key, start, end, version))

    # ---- plans

    def _push(
        self, command: str, key: Any, values: tuple[Any, ...], version: int | None
    ) -> Plan[int]:
        return self._send(command, key, version, *self._encode_members(values))

    def _pop(self, command: str, key: Any, count: int | None, version: int | None) -> Plan[Any]:
        if count is None:
            return self._decode((yield from self._send(command, key, version)))
        raws = yield from self._send(command, key, version, count)
        return self._decode_each(raws or [])

    def _lrange(self, key: Any, start: int, end: int, version: int | None) -> Plan[list[Any]]:
        return self._decode_each((yield from self._send("LRANGE", key, version, start, end)))

    def _lindex(self, key: Any, index: int, default: Any, version: int | None) -> Plan[Any]:
        return self._decode((yield from self._send("LINDEX", key, version, index)), default)

    def _llen(self, key: Any, version: int | None) -> Plan[int]:
        return self._send("LLEN", key, version)

    def _lset(self, key: Any, index: int, value: Any, version: int | None) -> Plan[None]:
        yield from self._send("LSET", key, version, index, self._encode_member(value))

    def _lrem(self, key: Any, count: int, value: Any, version: int | None) -> Plan[int]:
        return self._send("LREM", key, version, count, self._encode_member(value))

    def _ltrim(self, key: Any, start: int, end: int, version: int | None) -> Plan[None]:
        yield from self._send("LTRIM", key, version, start, end)
