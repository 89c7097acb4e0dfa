"""What commands share when they read their arguments: numbers, expiry options, error texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from continuum_upstash.errors import ReplyError
from continuum_upstash.transports.local.keyspace import Keyspace

LOWEST: Final = -(2**63)
HIGHEST: Final = 2**63 - 1

# Redis' string2ll: no sign but a minus, no leading zeros, no spaces.
_INTEGER: Final = re.compile(rb"0|-?[1-9][0-9]{0,18}")


def syntax_error() -> ReplyError:
    return ReplyError("ERR syntax error")


def wrong_arity(name: str) -> ReplyError:
    return ReplyError(f"ERR wrong number of arguments for '{name}' command")


def integer(text: bytes, message: str = "ERR value is not an integer or out of range") -> int:
    """Return the 64-bit integer that a text is.

    Raises:
        ReplyError: with this message.
    """
    if _INTEGER.fullmatch(text):
        number = int(text)
        if LOWEST <= number <= HIGHEST:
            return number
    raise ReplyError(message)


def added(number: int, step: int) -> int:
    """Return the sum.

    Raises:
        ReplyError: it does not fit 64 bits.
    """
    total = number + step
    if not LOWEST <= total <= HIGHEST:
        raise ReplyError("ERR increment or decrement would overflow")
    return total


def pairs(values: Sequence[bytes], command: str) -> Iterator[tuple[bytes, bytes]]:
    """Return key and value, key and value, ….

    Raises:
        ReplyError: the last key has no value.
    """
    if len(values) % 2:
        raise wrong_arity(command)
    return zip(values[::2], values[1::2], strict=True)


# The option or command's unit in ms, and whether it counts from now.
UNITS: Final = {b"EX": (1000, True), b"PX": (1, True), b"EXAT": (1000, False), b"PXAT": (1, False)}


def end_of_life(space: Keyspace, option: bytes, text: bytes, command: str) -> int:
    """Return the end, in ms since the epoch, that a value is stored with.

    Raises:
        ReplyError: not an integer, not positive, or out of range.
    """
    amount = integer(text)
    unit, relative = UNITS[option]
    base = space.now if relative else 0
    if amount <= 0 or amount > HIGHEST // unit or amount * unit > HIGHEST - base:
        raise ReplyError(f"ERR invalid expire time in '{command}' command")
    return amount * unit + base
