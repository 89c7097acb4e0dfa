"""BITOP DIFF, DIFF1, ANDOR and ONE of Redis 8.2, which Valkey lacks.

Source: https://redis.io/docs/latest/commands/bitop/
"""

from collections.abc import Callable, Sequence
from functools import reduce
from operator import or_
from typing import Final

from continuum_upstash.emulator.commands.command_specs import CommandSpecs
from continuum_upstash.emulator.commands.translation import (
    Dialogue,
    Step,
    Translation,
    reply_with,
)
from continuum_upstash.emulator.redis.resp2_wire import Argv, Error, NullArray, Reply
from continuum_upstash.emulator.redis.upstream import UpstreamConnection
from continuum_upstash.emulator.usage import UsageCounter


def _combine_one(values: Sequence[int]) -> int:
    """Return the bits that are set in exactly one value."""
    once = several = 0
    for value in values:
        several |= once & value
        once |= value
    return once & ~several


def _combine_others(values: Sequence[int]) -> int:
    return reduce(or_, values[1:])


# For each operation: its result, and the minimum number of source keys.
_OPERATIONS: Final[dict[bytes, tuple[Callable[[Sequence[int]], int], int]]] = {
    b"DIFF": (lambda values: values[0] & ~_combine_others(values), 2),
    b"DIFF1": (lambda values: _combine_others(values) & ~values[0], 2),
    b"ANDOR": (lambda values: values[0] & _combine_others(values), 2),
    b"ONE": (_combine_one, 1),
}


class BitOperations:
    def __init__(self, usage: UsageCounter, specs: CommandSpecs) -> None:
        self._usage = usage
        # DELIFEQ is a command of Valkey: a Redis server has these operations, or is too old.
        is_valkey = specs.has_command(b"delifeq")
        self.translations: dict[bytes, Translation] = (
            {b"bitop": self._translate} if is_valkey else {}
        )

    def _translate(self, argv: Argv) -> Step | Dialogue:
        operation = _OPERATIONS.get(argv[1].upper()) if len(argv) > 3 else None
        if operation is None:
            return Step((argv,))
        combine, minimum = operation
        target, sources = argv[2], argv[3:]
        if len(sources) < minimum:
            return reply_with(
                Error(
                    b"ERR BITOP %b must be called with at least two source keys." % argv[1].upper()
                )
            )

        async def run(connection: UpstreamConnection) -> Reply:
            while True:
                watch = (b"WATCH", *sources)
                _, *values = await connection.send([watch, *((b"GET", key) for key in sources)])
                for value in values:
                    if isinstance(value, Error):
                        await connection.send([(b"UNWATCH",)])
                        return value
                result = _apply(combine, [value or b"" for value in values])
                change = (b"SET", target, result) if result else (b"DEL", target)
                # The service bills one command for the GETs and the change.
                self._usage.subtract(len(sources))
                _, queued, results = await connection.send([(b"MULTI",), change, (b"EXEC",)])
                if isinstance(queued, Error):
                    return queued
                if not (results is None or isinstance(results, NullArray)):
                    return results[0] if isinstance(results[0], Error) else len(result)

        return run


def _apply(combine: Callable[[Sequence[int]], int], values: Sequence[bytes]) -> bytes:
    """Combine bit strings; shorter ones are extended with zero bits, as in Redis."""
    length = max(map(len, values))
    numbers = [int.from_bytes(value.ljust(length, b"\0")) for value in values]
    return combine(numbers).to_bytes(length)
