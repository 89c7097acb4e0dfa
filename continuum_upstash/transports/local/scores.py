"""Scores of sorted sets: how they are read, and printed as a server prints doubles."""

from __future__ import annotations

import math
import re
from typing import Final, NamedTuple

from continuum_upstash.errors import ReplyError

_NUMBER: Final = re.compile(
    rb"[+-]?(?:(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?)", re.IGNORECASE
)


class Bound(NamedTuple):
    """An end of a range of scores, which may itself be outside."""

    score: float
    excluded: bool


def score(text: bytes) -> float:
    """Return the score.

    Raises:
        ReplyError: no number, or one beyond what a double holds.
    """
    number = _number(text, "ERR value is not a valid float")
    lowered = text.lower()
    too_large = math.isinf(number) and b"inf" not in lowered
    too_small = number == 0 and lowered.split(b"e")[0].strip(b"+-0.") != b""
    if too_large or too_small:
        raise ReplyError("ERR value is not a valid float")
    return number


def bound(text: bytes) -> Bound:
    """Return the end that is given as ``5``, ``(5``, ``-inf``; as on a server, nothing is 0.

    Raises:
        ReplyError: no number.
    """
    excluded = text.startswith(b"(")
    return Bound(_number(text[excluded:] or b"0", "ERR min or max is not a float"), excluded)


def _number(text: bytes, otherwise: str) -> float:
    if not _NUMBER.fullmatch(text):
        raise ReplyError(otherwise)
    return float(text)


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
