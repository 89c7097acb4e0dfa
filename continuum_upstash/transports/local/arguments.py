"""What commands share when they read their arguments: numbers, expiry options, error texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
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


_COMPARING: Final = (b"IFEQ", b"IFNE")
_CONDITIONS: Final = (b"NX", b"XX", *_COMPARING)

SET_WORDS: Final = frozenset({*_CONDITIONS, b"GET", b"KEEPTTL", *UNITS})
GETEX_WORDS: Final = frozenset({b"PERSIST", *UNITS})


@dataclass(slots=True)
class Options:
    """What was asked for.

    Attributes:
        condition: NX, XX, or IFEQ or IFNE with `operand`.
        life: EX, PX, EXAT or PXAT with `amount`; or KEEPTTL or PERSIST.
        returns: the reply is the old value.
    """

    condition: bytes | None = None
    operand: bytes = b""
    life: bytes | None = None
    amount: bytes = b""
    returns: bool = False

    @property
    def compares(self) -> bool:
        return self.condition in _COMPARING

    def end(self, space: Keyspace, command: str) -> int | None:
        """Return the end that these options set, if they set one.

        Raises:
            ReplyError: the amount is not a positive integer within range.
        """
        if self.life not in UNITS:
            return None
        return end_of_life(space, self.life, self.amount, command)


def read(words: Sequence[bytes], known: frozenset[bytes]) -> Options:
    """Return the options.

    Raises:
        ReplyError: a word is unknown, contradicts another or lacks its argument.
    """
    options = Options()
    rest = iter(words)
    for word in rest:
        option = word.upper()
        if option not in known:
            raise syntax_error()
        if option == b"GET":
            options.returns = True
        elif option in _CONDITIONS:
            _read_condition(options, option, rest)
        else:
            _read_life(options, option, rest)
    return options


def _read_condition(options: Options, option: bytes, rest: Iterator[bytes]) -> None:
    # NX NX is accepted by a server, IFEQ a IFEQ b is not.
    if options.condition is not None and (options.compares or options.condition != option):
        raise syntax_error()
    options.condition = option
    if options.compares:
        options.operand = _argument(rest)


def _read_life(options: Options, option: bytes, rest: Iterator[bytes]) -> None:
    if options.life not in (None, option):
        raise syntax_error()
    options.life = option
    if option in UNITS:
        options.amount = _argument(rest)


def _argument(rest: Iterator[bytes]) -> bytes:
    argument = next(rest, None)
    if argument is None:
        raise syntax_error()
    return argument
