"""How commands read their arguments: numbers, expiry options, error texts."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from continuum_upstash.errors import ReplyError
from continuum_upstash.transports.local.keyspace import Keyspace

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1

# As Redis' string2ll: no plus sign, no leading zeros, no spaces.
_INTEGER: Final = re.compile(rb"0|-?[1-9][0-9]{0,18}")


def syntax_error() -> ReplyError:
    return ReplyError("ERR syntax error, or an option that the local store does not support")


def arity_error(command: str) -> ReplyError:
    return ReplyError(f"ERR wrong number of arguments for '{command}' command")


def parse_int(text: bytes, message: str = "ERR value is not an integer or out of range") -> int:
    """Return the 64-bit integer of a text.

    Raises:
        ReplyError: the text is not one; the error has this message.
    """
    if _INTEGER.fullmatch(text):
        number = int(text)
        if INT64_MIN <= number <= INT64_MAX:
            return number
    raise ReplyError(message)


def parse_positive(text: bytes) -> int:
    """Return a count of 0 or more.

    Raises:
        ReplyError: it is none.
    """
    message = "ERR value is out of range, must be positive"
    number = parse_int(text, message)
    if number < 0:
        raise ReplyError(message)
    return number


def parse_cursor(text: bytes) -> int:
    """Return the position of a SCAN.

    Raises:
        ReplyError: it is not an unsigned 64-bit integer.
    """
    if not text.isdigit() or len(text) > 20 or int(text) >= 2**64:
        raise ReplyError("ERR invalid cursor")
    return int(text)


def read_scan_options(arguments: Sequence[bytes]) -> tuple[bytes, int]:
    """Return the pattern of MATCH and the number of COUNT.

    Raises:
        ReplyError: an option is unknown or lacks its argument.
    """
    pattern, count = b"*", 10
    if len(arguments) % 2:
        raise syntax_error()
    for name, value in zip(arguments[::2], arguments[1::2], strict=True):
        match name.upper():
            case b"MATCH":
                pattern = value
            case b"COUNT":
                count = parse_int(value)
                if count < 1:
                    raise syntax_error()
            case _:
                raise syntax_error()
    return pattern, count


def split_pairs(values: Sequence[bytes], command: str) -> Iterator[tuple[bytes, bytes]]:
    """Return (name, value) pairs.

    Raises:
        ReplyError: the last name has no value.
    """
    if len(values) % 2:
        raise arity_error(command)
    return zip(values[::2], values[1::2], strict=True)


# Milliseconds per unit of the option, and whether the time is relative to now.
UNITS: Final = {b"EX": (1000, True), b"PX": (1, True), b"EXAT": (1000, False), b"PXAT": (1, False)}

SET_OPTIONS: Final = frozenset({b"NX", b"XX", b"IFEQ", b"KEEPTTL", *UNITS})
GETEX_OPTIONS: Final = frozenset({b"PERSIST", *UNITS})


class Options:
    """The options of a SET or GETEX.

    Attributes:
        condition: NX, XX, or IFEQ with `operand`.
        expiry: EX, PX, EXAT or PXAT with `amount`; or KEEPTTL or PERSIST.
    """

    __slots__ = ("amount", "condition", "expiry", "operand")

    def __init__(self) -> None:
        self.condition: bytes | None = None
        self.operand = b""
        self.expiry: bytes | None = None
        self.amount = b""

    def expires_at(self, space: Keyspace, command: str) -> int | None:
        """Return the expiry that these options set, in ms since the epoch, or None.

        Raises:
            ReplyError: the amount is not an integer, not positive or out of range.
        """
        if self.expiry not in UNITS:
            return None
        amount = parse_int(self.amount)
        unit, is_relative = UNITS[self.expiry]
        base = space.now if is_relative else 0
        if amount <= 0 or amount > INT64_MAX // unit or amount * unit > INT64_MAX - base:
            raise ReplyError(f"ERR invalid expire time in '{command}' command")
        return amount * unit + base


def read_options(arguments: Sequence[bytes], known: frozenset[bytes]) -> Options:
    """Return the options.

    Raises:
        ReplyError: an option is unknown, contradicts another one or lacks its argument.
    """
    options = Options()
    rest = iter(arguments)
    for argument in rest:
        option = argument.upper()
        if option not in known:
            raise syntax_error()
        if option in {b"NX", b"XX", b"IFEQ"}:
            _read_condition(options, option, rest)
        else:
            _read_expiry(options, option, rest)
    return options


def _read_condition(options: Options, option: bytes, rest: Iterator[bytes]) -> None:
    # A server accepts NX NX, but not IFEQ a IFEQ b.
    if options.condition not in (None, option) or options.condition == b"IFEQ":
        raise syntax_error()
    options.condition = option
    if option == b"IFEQ":
        options.operand = _next_argument(rest)


def _read_expiry(options: Options, option: bytes, rest: Iterator[bytes]) -> None:
    if options.expiry not in (None, option):
        raise syntax_error()
    options.expiry = option
    if option in UNITS:
        options.amount = _next_argument(rest)


def _next_argument(rest: Iterator[bytes]) -> bytes:
    argument = next(rest, None)
    if argument is None:
        raise syntax_error()
    return argument
