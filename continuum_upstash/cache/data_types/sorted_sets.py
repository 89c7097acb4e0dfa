"""Sorted sets: django-redis' methods, except those that read ranges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from continuum_upstash.cache.data_types.sorted_set_ranges import (
    Score,
    SortedSetRanges,
    read_score,
    write_score,
)
from continuum_upstash.plans.effects import Plan
from continuum_upstash.protocol import Argument


class SortedSetMethods(SortedSetRanges):
    """The methods of sorted sets. In an outage they raise Unavailable, also with FALLBACK.

    A value without a stored format raises NotSerializable; one above MAX_VALUE_BYTES, ValueError.
    """

    def zadd(
        self,
        key: Any,
        mapping: Mapping[Any, float],
        *,
        nx: bool = False,
        xx: bool = False,
        ch: bool = False,
        incr: bool = False,
        gt: bool = False,
        lt: bool = False,
        version: int | None = None,
    ) -> int | float | None:
        """Add members with scores, or change their scores. Billed: 1 command.

        A new sorted set never expires, unless `expire` sets its time.

        Args:
            key: the key of the sorted set, without prefix and version.
            mapping: scores by member.
            nx: only add members, change none.
            xx: only change members, add none.
            ch: count changed members, too.
            incr: add the score to that of the one member.
            gt: change a score only if it becomes greater.
            lt: change a score only if it becomes less.
            version: of the key; None: VERSION.

        Returns:
            How many members are new; with `incr` the new score, or None if `nx`, `xx`, `gt` or `lt`
            prevented the change.

        Raises:
            NotSerializable: a member has no stored format.
            ValueError: the arguments exclude each other, or a member is larger than
                MAX_VALUE_BYTES.
        """
        return self.run(
            self._zadd(
                key, mapping, _list_flags(nx=nx, xx=xx, ch=ch, incr=incr, gt=gt, lt=lt), version
            )
        )

    async def azadd(
        self,
        key: Any,
        mapping: Mapping[Any, float],
        *,
        nx: bool = False,
        xx: bool = False,
        ch: bool = False,
        incr: bool = False,
        gt: bool = False,
        lt: bool = False,
        version: int | None = None,
    ) -> int | float | None:
        """Async `zadd`: the result is the same. Billed: 1 command."""
        return await self.arun(
            self._zadd(
                key, mapping, _list_flags(nx=nx, xx=xx, ch=ch, incr=incr, gt=gt, lt=lt), version
            )
        )

    def zcard(self, key: Any, version: int | None = None) -> int:
        """Return the number of members. Billed: 1 command."""
        return self.run(self._zcard(key, version))

    async def azcard(self, key: Any, version: int | None = None) -> int:
        """Async `zcard`: return the number of members. Billed: 1 command."""
        return await self.arun(self._zcard(key, version))

    def zcount(self, key: Any, min: Score, max: Score, version: int | None = None) -> int:
        """Return how many members have a score in a range. Billed: 1 command.

        The arguments: see `zrangebyscore`.
        """
        return self.run(self._zcount(key, min, max, version))

    async def azcount(self, key: Any, min: Score, max: Score, version: int | None = None) -> int:
        """Async `zcount`: return how many members have a score in a range. Billed: 1 command."""
        return await self.arun(self._zcount(key, min, max, version))

    def zincrby(self, key: Any, amount: float, value: Any, version: int | None = None) -> float:
        """Add to the score of a member; return the new score. Billed: 1 command.

        A member that does not exist counts as 0.
        """
        return self.run(self._zincrby(key, amount, value, version))

    async def azincrby(
        self, key: Any, amount: float, value: Any, version: int | None = None
    ) -> float:
        """Async `zincrby`: return the new score. Billed: 1 command."""
        return await self.arun(self._zincrby(key, amount, value, version))

    def zpopmax(
        self, key: Any, count: int | None = None, version: int | None = None
    ) -> list[tuple[Any, float]] | tuple[Any, float] | None:
        """Remove the member with the greatest score. Billed: 1 command.

        Return the member and its score; None if there is none. With a `count`, remove up to
        that many members and return a list of such pairs.
        """
        return self.run(self._zpop("ZPOPMAX", key, count, version))

    async def azpopmax(
        self, key: Any, count: int | None = None, version: int | None = None
    ) -> list[tuple[Any, float]] | tuple[Any, float] | None:
        """Async `zpopmax`: return what was removed. Billed: 1 command."""
        return await self.arun(self._zpop("ZPOPMAX", key, count, version))

    def zpopmin(
        self, key: Any, count: int | None = None, version: int | None = None
    ) -> list[tuple[Any, float]] | tuple[Any, float] | None:
        """Remove the member with the least score. Billed: 1 command.

        Return the member and its score; None if there is none. With a `count`, remove up to
        that many members and return a list of such pairs.
        """
        return self.run(self._zpop("ZPOPMIN", key, count, version))

    async def azpopmin(
        self, key: Any, count: int | None = None, version: int | None = None
    ) -> list[tuple[Any, float]] | tuple[Any, float] | None:
        """Async `zpopmin`: return what was removed. Billed: 1 command."""
        return await self.arun(self._zpop("ZPOPMIN", key, count, version))

    def zrank(
        self, key: Any, value: Any, withscore: bool = False, version: int | None = None
    ) -> int | list[Any] | None:
        """Return the rank of a member from the least score, or None. Billed: 1 command.

        With `withscore`, return a list of the rank and the score.
        """
        return self.run(self._zrank(key, value, withscore, version))

    async def azrank(
        self, key: Any, value: Any, withscore: bool = False, version: int | None = None
    ) -> int | list[Any] | None:
        """Async `zrank`: return the rank of a member. Billed: 1 command."""
        return await self.arun(self._zrank(key, value, withscore, version))

    def zscore(self, key: Any, value: Any, version: int | None = None) -> float | None:
        """Return the score of a member, or None. Billed: 1 command."""
        return self.run(self._zscore(key, value, version))

    async def azscore(self, key: Any, value: Any, version: int | None = None) -> float | None:
        """Async `zscore`: return the score of a member. Billed: 1 command."""
        return await self.arun(self._zscore(key, value, version))

    def zrem(self, key: Any, *values: Any, version: int | None = None) -> int:
        """Remove members; return how many there were. Billed: 1 command."""
        return self.run(self._zrem(key, values, version))

    async def azrem(self, key: Any, *values: Any, version: int | None = None) -> int:
        """Async `zrem`: return how many members were removed. Billed: 1 command."""
        return await self.arun(self._zrem(key, values, version))

    def zremrangebyscore(self, key: Any, min: Score, max: Score, version: int | None = None) -> int:
        """Remove the members with a score in a range; return how many. Billed: 1 command.

        The arguments: see `zrangebyscore`.
        """
        return self.run(self._zremrangebyscore(key, min, max, version))

    async def azremrangebyscore(
        self, key: Any, min: Score, max: Score, version: int | None = None
    ) -> int:
        """Async `zremrangebyscore`: return how many members were removed. Billed: 1 command."""
        return await self.arun(self._zremrangebyscore(key, min, max, version))

    # ---- plans

    def _zadd(
        self, key: Any, mapping: Mapping[Any, float], flags: list[str], version: int | None
    ) -> Plan[int | float | None]:
        if not mapping or ("INCR" in flags and len(mapping) != 1):
            raise ValueError("zadd needs a member and its score, with incr exactly one.")
        arguments: list[Argument] = [*flags]
        for member, score in mapping.items():
            arguments += (write_score(score), self._encode_member(member))
        reply = yield from self._send("ZADD", key, version, *arguments)
        if "INCR" in flags:
            return read_score(reply)
        count: int = reply
        return count

    def _zcard(self, key: Any, version: int | None) -> Plan[int]:
        return self._send("ZCARD", key, version)

    def _zcount(self, key: Any, least: Score, greatest: Score, version: int | None) -> Plan[int]:
        return self._send("ZCOUNT", key, version, write_score(least), write_score(greatest))

    def _zincrby(self, key: Any, amount: float, value: Any, version: int | None) -> Plan[float]:
        data = self._encode_member(value)
        return float((yield from self._send("ZINCRBY", key, version, write_score(amount), data)))

    def _zpop(
        self, command: str, key: Any, count: int | None, version: int | None
    ) -> Plan[list[tuple[Any, float]] | tuple[Any, float] | None]:
        counts = () if count is None else (count,)
        pairs = self._decode_scored((yield from self._send(command, key, version, *counts)), float)
        if count is not None:
            return pairs
        return pairs[0] if pairs else None

    def _zrank(
        self, key: Any, value: Any, withscore: bool, version: int | None
    ) -> Plan[int | list[Any] | None]:
        options = ("WITHSCORE",) if withscore else ()
        data = self._encode_member(value)
        rank = yield from self._send("ZRANK", key, version, data, *options)
        if isinstance(rank, list):
            return [rank[0], read_score(rank[-1])] if rank else None
        found: int | None = rank
        return found

    def _zscore(self, key: Any, value: Any, version: int | None) -> Plan[float | None]:
        data = self._encode_member(value)
        return read_score((yield from self._send("ZSCORE", key, version, data)))

    def _zrem(self, key: Any, values: tuple[Any, ...], version: int | None) -> Plan[int]:
        return self._send("ZREM", key, version, *self._encode_members(values))

    def _zremrangebyscore(
        self, key: Any, least: Score, greatest: Score, version: int | None
    ) -> Plan[int]:
        bounds = (write_score(least), write_score(greatest))
        return self._send("ZREMRANGEBYSCORE", key, version, *bounds)


def _list_flags(**flags: bool) -> list[str]:
    if flags["nx"] and (flags["xx"] or flags["gt"] or flags["lt"]):
        raise ValueError("nx excludes xx, gt and lt.")
    if flags["gt"] and flags["lt"]:
        raise ValueError("gt and lt exclude each other.")
    return [name.upper() for name, is_set in flags.items() if is_set]
