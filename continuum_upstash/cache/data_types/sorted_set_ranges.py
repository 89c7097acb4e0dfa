"""Sorted sets: the methods that read ranges, by rank or by score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from continuum_upstash.cache.data_types.members import CollectionPlans
from continuum_upstash.plans.effects import Plan
from continuum_upstash.plans.keyvalue import MISSING
from continuum_upstash.protocol import Argument, Reply

Score: TypeAlias = float | str


class SortedSetRanges(CollectionPlans):
    """The methods that read ranges. In an outage they raise Unavailable, also with FALLBACK."""

    def zrange(
        self,
        key: Any,
        start: int,
        end: int,
        desc: bool = False,
        withscores: bool = False,
        *,
        score_cast_func: Callable[[float], Any] = float,
        version: int | None = None,
    ) -> list[Any]:
        """Return the members from rank `start` to `end`, inclusive. Billed: 1 command.

        Args:
            key: the key of the sorted set, without prefix and version.
            start: the first rank; negative: from the end.
            end: the last rank.
            desc: count ranks from the greatest score.
            withscores: return pairs of a member and its score.
            score_cast_func: converts each score.
            version: of the key; None: VERSION.
        """
        return self.run(
            self._zrange(
                "ZREVRANGE" if desc else "ZRANGE",
                key,
                (start, end),
                score_cast_func if withscores else None,
                version,
            )
        )

    async def azrange(
        self,
        key: Any,
        start: int,
        end: int,
        desc: bool = False,
        withscores: bool = False,
        *,
        score_cast_func: Callable[[float], Any] = float,
        version: int | None = None,
    ) -> list[Any]:
        """Async `zrange`: return members by their ranks. Billed: 1 command."""
        return await self.arun(
            self._zrange(
                "ZREVRANGE" if desc else "ZRANGE",
                key,
                (start, end),
                score_cast_func if withscores else None,
                version,
            )
        )

    def zrevrange(
        self,
        key: Any,
        start: int,
        end: int,
        withscores: bool = False,
        *,
        score_cast_func: Callable[[float], Any] = float,
        version: int | None = None,
    ) -> list[Any]:
        """Return members by their ranks from the greatest score. Billed: 1 command.

        The arguments: see `zrange`.
        """
        return self.run(
            self._zrange(
                "ZREVRANGE", key, (start, end), score_cast_func if withscores else None, version
            )
        )

    async def azrevrange(
        self,
        key: Any,
        start: int,
        end: int,
        withscores: bool = False,
        *,
        score_cast_func: Callable[[float], Any] = float,
        version: int | None = None,
    ) -> list[Any]:
        """Async `zrevrange`: return members by their ranks. Billed: 1 command."""
        return await self.arun(
            self._zrange(
                "ZREVRANGE", key, (start, end), score_cast_func if withscores else None, version
            )
        )

    def zrangebyscore(
        self,
        key: Any,
        min: Score,
        max: Score,
        start: int | None = None,
        num: int | None = None,
        *,
        withscores: bool = False,
        score_cast_func: Callable[[float], Any] = float,
        version: int | None = None,
    ) -> list[Any]:
        """Return the members with a score in a range, in ascending order. Billed: 1 command.

        Args:
            key: the key of the sorted set, without prefix and version.
            min: the least score, inclusive; "(5" is exclusive, "-inf" has no limit.
            max: the greatest score, likewise.
            start: how many members to skip; needs `num`.
            num: how many members to return; needs `start`.
            withscores: return pairs of a member and its score.
            score_cast_func: converts each score.
            version: of the key; None: VERSION.

        Raises:
            ValueError: only one of `start` and `num` is given.
        """
        return self.run(
            self._zrange(
                "ZRANGEBYSCORE",
                key,
                _write_range(min, max, start, num),
                score_cast_func if withscores else None,
                version,
            )
        )

    async def azrangebyscore(
        self,
        key: Any,
        min: Score,
        max: Score,
        start: int | None = None,
        num: int | None = None,
        *,
        withscores: bool = False,
        score_cast_func: Callable[[float], Any] = float,
        version: int | None = None,
    ) -> list[Any]:
        """Async `zrangebyscore`: return the members with a score in a range. Billed: 1 command."""
        return await self.arun(
            self._zrange(
                "ZRANGEBYSCORE",
                key,
                _write_range(min, max, start, num),
                score_cast_func if withscores else None,
                version,
            )
        )

    def zrevrangebyscore(
        self,
        key: Any,
        max: Score,
        min: Score,
        start: int | None = None,
        num: int | None = None,
        *,
        withscores: bool = False,
        score_cast_func: Callable[[float], Any] = float,
        version: int | None = None,
    ) -> list[Any]:
        """Return the members with a score in a range, in descending order. Billed: 1 command.

        The arguments: see `zrangebyscore`.
        """
        return self.run(
            self._zrange(
                "ZREVRANGEBYSCORE",
                key,
                _write_range(max, min, start, num),
                score_cast_func if withscores else None,
                version,
            )
        )

    async def azrevrangebyscore(
        self,
        key: Any,
        max: Score,
        min: Score,
        start: int | None = None,
        num: int | None = None,
        *,
        withscores: bool = False,
        score_cast_func: Callable[[float], Any] = float,
        version: int | None = None,
    ) -> list[Any]:
        """Async `zrevrangebyscore`: return members by their score. Billed: 1 command."""
        return await self.arun(
            self._zrange(
                "ZREVRANGEBYSCORE",
                key,
                _write_range(max, min, start, num),
                score_cast_func if withscores else None,
                version,
            )
        )

    # ---- plans

    def _zrange(
        self,
        command: str,
        key: Any,
        bounds: tuple[Argument, ...],
        cast_score: Callable[[float], Any] | None,
        version: int | None,
    ) -> Plan[list[Any]]:
        if cast_score is None:
            return self._decode_each((yield from self._send(command, key, version, *bounds)))
        raws = yield from self._send(command, key, version, *bounds, "WITHSCORES")
        return self._decode_scored(raws, cast_score)

    def _decode_scored(
        self, raws: Sequence[Reply], cast_score: Callable[[float], Any]
    ) -> list[tuple[Any, Any]]:
        """Return members and scores, from a reply that lists them in turn."""
        pairs = []
        for raw, raw_score in zip(raws[::2], raws[1::2], strict=False):
            member, score = self._decode(raw, MISSING), read_score(raw_score)
            if member is not MISSING and score is not None:
                pairs.append((member, cast_score(score)))
        return pairs


def _write_range(
    first: Score, last: Score, start: int | None, num: int | None
) -> tuple[Argument, ...]:
    bounds = (write_score(first), write_score(last))
    if start is None and num is None:
        return bounds
    if start is None or num is None:
        raise ValueError("start and num need each other.")
    return (*bounds, "LIMIT", start, num)


def write_score(score: Score) -> str:
    """Return a score, or a bound such as "(5", as Redis reads it."""
    return score if isinstance(score, str) else repr(float(score))


def read_score(raw: Reply) -> float | None:
    """Return the score of a reply, or None if it is not one."""
    if not isinstance(raw, (bytes, int)):
        return None
    try:
        return float(raw)
    except ValueError:
        return None
