"""The words behind SET and GETEX."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from continuum_upstash.transports.local.arguments import UNITS, end_of_life, syntax_error
from continuum_upstash.transports.local.keyspace import Keyspace

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
