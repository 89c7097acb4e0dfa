"""ZRANGE and ZRANGESTORE by rank with LIMIT, which Valkey accepts only with BYSCORE and BYLEX."""

from dataclasses import dataclass

from continuum_upstash.emulator.commands.translation import (
    Dialogue,
    Step,
    Translation,
    convert_reply,
)
from continuum_upstash.emulator.redis.resp2_wire import Argv, Error, Reply
from continuum_upstash.emulator.redis.upstream import UpstreamConnection
from continuum_upstash.emulator.usage import UsageCounter


@dataclass(frozen=True, slots=True)
class _Limit:
    """The command without its LIMIT; a negative `count` means all."""

    plain: Argv
    offset: int
    count: int


class RankLimits:
    def __init__(self, usage: UsageCounter) -> None:
        self._usage = usage
        self.translations: dict[bytes, Translation] = {
            b"zrange": _translate_zrange,
            b"zrangestore": self._translate_zrangestore,
        }

    def _translate_zrangestore(self, argv: Argv) -> Step | Dialogue:
        limit = _find_limit(argv, first_option=5)
        if limit is None:
            return Step((argv,))

        async def store(connection: UpstreamConnection) -> Reply:
            (size,) = await connection.send([(b"ZCARD", argv[2])])
            if isinstance(size, Error):
                return size
            self._usage.subtract(1)  # the ZCARD: the service bills one command
            try:
                start, stop = (_count_from_start(int(word), size) for word in argv[3:5])
            except ValueError:
                return Error(b"ERR value is not an integer or out of range")
            first = start + limit.offset
            last = stop if limit.count < 0 else min(stop, first + limit.count - 1)
            if first > last or limit.offset < 0:
                first, last = size, size  # an empty range
            ranks = (b"%d" % first, b"%d" % last)
            (reply,) = await connection.send([(*argv[:3], *ranks, *limit.plain[5:])])
            return reply

        return store


def _translate_zrange(argv: Argv) -> Step:
    limit = _find_limit(argv, first_option=4)
    if limit is None:
        return Step((argv,))

    def cut(reply: Reply) -> Reply:
        if not isinstance(reply, list):
            return reply
        # In RESP3, a member and its score are an array.
        is_flat = b"WITHSCORES" in map(bytes.upper, argv[4:]) and not (
            reply and isinstance(reply[0], list)
        )
        width = 2 if is_flat else 1
        end = None if limit.count < 0 else (limit.offset + limit.count) * width
        return reply[limit.offset * width : end]

    return convert_reply(limit.plain, cut)


def _find_limit(argv: Argv, first_option: int) -> _Limit | None:
    """Return the LIMIT of a range by rank, or None if there is none."""
    options = [word.upper() for word in argv[first_option:]]
    if b"LIMIT" not in options or b"BYSCORE" in options or b"BYLEX" in options:
        return None
    position = first_option + options.index(b"LIMIT")
    try:
        offset, count = (int(number) for number in argv[position + 1 : position + 3])
    except ValueError:
        return None
    return _Limit((*argv[:position], *argv[position + 3 :]), offset, count)


def _count_from_start(rank: int, size: int) -> int:
    return max(0, rank + size) if rank < 0 else rank
