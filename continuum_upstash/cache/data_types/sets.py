"""Sets: django-redis' methods."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from continuum_upstash.cache.data_types.members import CollectionPlans
from continuum_upstash.plans.effects import Plan, call
from continuum_upstash.plans.scan import COUNT
from continuum_upstash.transports.local.glob import compile_glob


class SetMethods(CollectionPlans):
    """The methods of sets. In an outage they raise Unavailable, also with FALLBACK.

    A value without a stored format raises NotSerializable; one above MAX_VALUE_BYTES, ValueError.
    """

    def sadd(self, key: Any, *values: Any, version: int | None = None) -> int:
        """Add members to a set; return how many are new. Billed: 1 command.

        Members must be hashable, because `smembers` returns a set. A new set never expires, unless
        `expire` sets its time.

        Raises:
            NotSerializable: a value has no stored format.
            ValueError: a value is larger than MAX_VALUE_BYTES.
        """
        return self.run(self._sadd(key, values, version))

    async def asadd(self, key: Any, *values: Any, version: int | None = None) -> int:
        """Async `sadd`: return how many members are new. Billed: 1 command."""
        return await self.arun(self._sadd(key, values, version))

    def scard(self, key: Any, version: int | None = None) -> int:
        """Return the number of members. Billed: 1 command."""
        return self.run(self._scard(key, version))

    async def ascard(self, key: Any, version: int | None = None) -> int:
        """Async `scard`: return the number of members. Billed: 1 command."""
        return await self.arun(self._scard(key, version))

    def sismember(self, key: Any, member: Any, version: int | None = None) -> bool:
        """Return whether a value is a member. Billed: 1 command."""
        return self.run(self._sismember(key, member, version))

    async def asismember(self, key: Any, member: Any, version: int | None = None) -> bool:
        """Async `sismember`: return whether a value is a member. Billed: 1 command."""
        return await self.arun(self._sismember(key, member, version))

    def smismember(self, key: Any, *members: Any, version: int | None = None) -> list[bool]:
        """Return for each value whether it is a member. Billed: 1 command."""
        return self.run(self._smismember(key, members, version))

    async def asmismember(self, key: Any, *members: Any, version: int | None = None) -> list[bool]:
        """Async `smismember`: return for each value whether it is a member. Billed: 1 command."""
        return await self.arun(self._smismember(key, members, version))

    def smembers(self, key: Any, version: int | None = None) -> set[Any]:
        """Return the members. Billed: 1 command.

        Raises:
            TypeError: a member that another client has stored is not hashable.
        """
        return self.run(self._smembers(key, version))

    async def asmembers(self, key: Any, version: int | None = None) -> set[Any]:
        """Async `smembers`: return the members. Billed: 1 command."""
        return await self.arun(self._smembers(key, version))

    def smove(self, source: Any, destination: Any, member: Any, version: int | None = None) -> bool:
        """Move a member to another set; return whether it was in the first. Billed: 1 command."""
        return self.run(self._smove(source, destination, member, version))

    async def asmove(
        self, source: Any, destination: Any, member: Any, version: int | None = None
    ) -> bool:
        """Async `smove`: return whether the member was moved. Billed: 1 command."""
        return await self.arun(self._smove(source, destination, member, version))

    def spop(self, key: Any, count: int | None = None, version: int | None = None) -> Any:
        """Remove a random member and return it; None if the set is empty. Billed: 1 command.

        With a `count`, remove up to that many members and return a set of them.
        """
        return self.run(self._spop(key, count, version))

    async def aspop(self, key: Any, count: int | None = None, version: int | None = None) -> Any:
        """Async `spop`: return what was removed. Billed: 1 command."""
        return await self.arun(self._spop(key, count, version))

    def srandmember(self, key: Any, count: int | None = None, version: int | None = None) -> Any:
        """Return a random member; None if the set is empty. Billed: 1 command.

        With a `count`, return a list of up to that many members; if it is negative, a list of that
        length, in which members may be repeated.
        """
        return self.run(self._srandmember(key, count, version))

    async def asrandmember(
        self, key: Any, count: int | None = None, version: int | None = None
    ) -> Any:
        """Async `srandmember`: return random members. Billed: 1 command."""
        return await self.arun(self._srandmember(key, count, version))

    def srem(self, key: Any, *members: Any, version: int | None = None) -> int:
        """Remove members; return how many there were. Billed: 1 command."""
        return self.run(self._srem(key, members, version))

    async def asrem(self, key: Any, *members: Any, version: int | None = None) -> int:
        """Async `srem`: return how many members were removed. Billed: 1 command."""
        return await self.arun(self._srem(key, members, version))

    def sdiff(self, *keys: Any, version: int | None = None) -> set[Any]:
        """Return the members of only the first set. Billed: 1 command."""
        return self.run(self._combine("SDIFF", keys, version))

    async def asdiff(self, *keys: Any, version: int | None = None) -> set[Any]:
        """Async `sdiff`: return the members of only the first set. Billed: 1 command."""
        return await self.arun(self._combine("SDIFF", keys, version))

    def sinter(self, *keys: Any, version: int | None = None) -> set[Any]:
        """Return the members that are in all sets. Billed: 1 command."""
        return self.run(self._combine("SINTER", keys, version))

    async def asinter(self, *keys: Any, version: int | None = None) -> set[Any]:
        """Async `sinter`: return the members that are in all sets. Billed: 1 command."""
        return await self.arun(self._combine("SINTER", keys, version))

    def sunion(self, *keys: Any, version: int | None = None) -> set[Any]:
        """Return the members of all sets. Billed: 1 command."""
        return self.run(self._combine("SUNION", keys, version))

    async def asunion(self, *keys: Any, version: int | None = None) -> set[Any]:
        """Async `sunion`: return the members of all sets. Billed: 1 command."""
        return await self.arun(self._combine("SUNION", keys, version))

    def sdiffstore(
        self,
        dest: Any,
        *keys: Any,
        version_dest: int | None = None,
        version_keys: int | None = None,
    ) -> int:
        """Store the result of `sdiff` as a set; return its size. Billed: 1 command.

        Args:
            dest: the key of the result, which replaces its value.
            keys: the keys of the sets.
            version_dest: of `dest`; None: VERSION.
            version_keys: of `keys`; None: VERSION.
        """
        return self.run(self._store("SDIFFSTORE", dest, keys, version_dest, version_keys))

    async def asdiffstore(
        self,
        dest: Any,
        *keys: Any,
        version_dest: int | None = None,
        version_keys: int | None = None,
    ) -> int:
        """Async `sdiffstore`: return the size of the result. Billed: 1 command."""
        return await self.arun(self._store("SDIFFSTORE", dest, keys, version_dest, version_keys))

    def sinterstore(self, dest: Any, *keys: Any, version: int | None = None) -> int:
        """Store the result of `sinter` as a set; return its size. Billed: 1 command."""
        return self.run(self._store("SINTERSTORE", dest, keys, version, version))

    async def asinterstore(self, dest: Any, *keys: Any, version: int | None = None) -> int:
        """Async `sinterstore`: return the size of the result. Billed: 1 command."""
        return await self.arun(self._store("SINTERSTORE", dest, keys, version, version))

    def sunionstore(self, destination: Any, *keys: Any, version: int | None = None) -> int:
        """Store the result of `sunion` as a set; return its size. Billed: 1 command."""
        return self.run(self._store("SUNIONSTORE", destination, keys, version, version))

    async def asunionstore(self, destination: Any, *keys: Any, version: int | None = None) -> int:
        """Async `sunionstore`: return the size of the result. Billed: 1 command."""
        return await self.arun(self._store("SUNIONSTORE", destination, keys, version, version))

    def sscan(
        self, key: Any, match: str | None = None, count: int = COUNT, version: int | None = None
    ) -> set[Any]:
        """Return the members of the first page of a set. Billed: 1 command.

        For all members of a large set, use `sscan_iter`.

        Args:
            key: the key of the set, without prefix and version.
            match: a glob pattern for the members that are texts; it is applied to the page that
                was received.
            count: the approximate size of the page.
            version: of the key; None: VERSION.
        """
        return self.run(self._sscan(key, match, count, version))

    async def asscan(
        self, key: Any, match: str | None = None, count: int = COUNT, version: int | None = None
    ) -> set[Any]:
        """Async `sscan`: return the members of the first page. Billed: 1 command."""
        return await self.arun(self._sscan(key, match, count, version))

    def sscan_iter(
        self,
        key: Any,
        match: str | None = None,
        count: int = COUNT,
        version: int | None = None,
    ) -> Iterator[Any]:
        """Yield the members of a set, one page after the other; a member may appear twice.

        Billed: 1 command per `count` members. The arguments: see `sscan`.
        """
        cursor = ""
        while cursor != "0":
            cursor, members = self.run(self._fetch_page(key, cursor or "0", match, count, version))
            yield from members

    async def asscan_iter(
        self,
        key: Any,
        match: str | None = None,
        count: int = COUNT,
        version: int | None = None,
    ) -> AsyncIterator[Any]:
        """Async `sscan_iter`: ``async for member in cache.asscan_iter("tags"): …``."""
        cursor = ""
        while cursor != "0":
            plan = self._fetch_page(key, cursor or "0", match, count, version)
            cursor, members = await self.arun(plan)
            for member in members:
                yield member

    # ---- plans

    def _sadd(self, key: Any, values: tuple[Any, ...], version: int | None) -> Plan[int]:
        return self._send("SADD", key, version, *self._encode_members(values))

    def _scard(self, key: Any, version: int | None) -> Plan[int]:
        return self._send("SCARD", key, version)

    def _sismember(self, key: Any, member: Any, version: int | None) -> Plan[bool]:
        found = yield from self._send("SISMEMBER", key, version, self._encode_member(member))
        return bool(found)

    def _smismember(
        self, key: Any, members: tuple[Any, ...], version: int | None
    ) -> Plan[list[bool]]:
        encoded = self._encode_members(members)
        return [*map(bool, (yield from self._send("SMISMEMBER", key, version, *encoded)))]

    def _smembers(self, key: Any, version: int | None) -> Plan[set[Any]]:
        return set(self._decode_each((yield from self._send("SMEMBERS", key, version))))

    def _smove(self, source: Any, destination: Any, member: Any, version: int | None) -> Plan[bool]:
        target = self.make_and_validate_key(destination, version)
        data = self._encode_member(member)
        return bool((yield from self._send("SMOVE", source, version, target, data)))

    def _spop(self, key: Any, count: int | None, version: int | None) -> Plan[Any]:
        if count is None:
            return self._decode((yield from self._send("SPOP", key, version)))
        raws = yield from self._send("SPOP", key, version, count)
        return set(self._decode_each(raws or []))

    def _srandmember(self, key: Any, count: int | None, version: int | None) -> Plan[Any]:
        if count is None:
            return self._decode((yield from self._send("SRANDMEMBER", key, version)))
        raws = yield from self._send("SRANDMEMBER", key, version, count)
        return self._decode_each(raws or [])

    def _srem(self, key: Any, members: tuple[Any, ...], version: int | None) -> Plan[int]:
        return self._send("SREM", key, version, *self._encode_members(members))

    def _combine(self, command: str, keys: tuple[Any, ...], version: int | None) -> Plan[set[Any]]:
        names = [self.make_and_validate_key(key, version) for key in keys]
        return set(self._decode_each((yield from call(command, *names, needs_server=True))))

    def _store(
        self,
        command: str,
        dest: Any,
        keys: tuple[Any, ...],
        version_dest: int | None,
        version_keys: int | None,
    ) -> Plan[int]:
        names = [self.make_and_validate_key(key, version_keys) for key in keys]
        return self._send(command, dest, version_dest, *names)

    def _sscan(
        self, key: Any, match: str | None, count: int, version: int | None
    ) -> Plan[set[Any]]:
        _, members = yield from self._fetch_page(key, "0", match, count, version)
        return set(members)

    def _fetch_page(
        self, key: Any, cursor: str, match: str | None, count: int, version: int | None
    ) -> Plan[tuple[str, list[Any]]]:
        """Return the next cursor, and the members of a page.

        The pattern is not sent: stored members are JSON, so it would have to match their quotes.
        """
        following, raws = yield from self._send("SSCAN", key, version, cursor, "COUNT", count)
        members = self._decode_each(raws)
        if match is not None:
            is_match = compile_glob(match.encode()).match
            members = [
                each for each in members if isinstance(each, str) and is_match(each.encode())
            ]
        return following.decode("ascii"), members
