"""Scores of sorted sets: how they are read, and printed as a server prints doubles."""

from __future__ import annotations

import math
import re
from typing import Final

from continuum_upstash.errors import ReplyError

_NUMBER: Final = re.compile(
    rb"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?)", re.IGNORECASE
)


def score(text: bytes, message: str = "ERR value is not a valid float") -> float:
    """Return the number.

    Raises:
        ReplyError: with this message: no number, or one beyond what a double holds.
    """
    if not _NUMBER.fullmatch(text):
        raise ReplyError(message)
    number = float(text)
    digits = text.lower().split(b"e")[0].strip(b"+-0.")
    if b"inf" not in text.lower() and (math.isinf(number) or (number == 0 and digits)):
        raise ReplyError(message)
    return number


def bound(text: bytes, *, lower: bool) -> float:
    """Return the first (or last) score within a bound such as ``5``, ``(5`` or ``-inf``.

    To a server, no number at all is 0 here.
    """
    excluded = text.startswith(b"(")
    number = score(text[excluded:] or b"0", "ERR min or max is not a float")
    return math.nextafter(number, math.inf if lower else -math.inf) if excluded else number


def score_text(number: float) -> bytes:
    """Return the shortest text that reads back as this number (Valkey's fpconv_dtoa)."""
    if math.isinf(number):
        return b"inf" if number > 0 else b"-inf"
    if number.is_integer() and abs(number) <= 2**62:
        return b"%d" % number
    from decimal import Decimal  # noqa: PLC0415 few scores are no integers, and it loads slowly

    shortest = Decimal(repr(number)).normalize()
    sign, digits, exponent = shortest.as_tuple()
    assert isinstance(exponent, int)
    leading = len(digits) + exponent - 1
    plain = exponent > -7 or abs(leading) < 4 if exponent < 0 else leading < len(digits) + 7
    if plain:
        return f"{shortest:f}".encode()
    text = "".join(map(str, digits))
    fraction = f".{text[1:]}" if len(text) > 1 else ""
    return f"{'-' * sign}{text[0]}{fraction}e{leading:+d}".encode()
