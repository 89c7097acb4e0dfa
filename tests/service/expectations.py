"""Values that compare equal to every reply that the assumption allows.

    assert reply == matching("WRONGTYPE")

The repr is what the report prints as expected.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """An error that the service returned in place of a result."""

    text: str

    def __repr__(self) -> str:
        return f"error {self.text!r}"


class Expected:
    """Equal to what `accepts` returns True for."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, description: str, accepts: Callable[[Any], bool]) -> None:
        self._description, self._accepts = description, accepts

    def __eq__(self, other: object) -> bool:
        return self._accepts(other)

    def __repr__(self) -> str:
        return self._description


def matching(pattern: str) -> Expected:
    """Text that begins with `pattern`, a regular expression."""
    return Expected(
        f"text that begins with {pattern!r}",
        lambda other: isinstance(other, str) and re.match(pattern, other) is not None,
    )


def error(pattern: str) -> Expected:
    """An error reply whose text begins with `pattern`, a regular expression."""
    return Expected(
        f"an error that begins with {pattern!r}",
        lambda other: isinstance(other, ErrorReply) and re.match(pattern, other.text) is not None,
    )


def one_of(*allowed: Any) -> Expected:
    return Expected(
        " or ".join(map(repr, allowed)), lambda other: any(other == each for each in allowed)
    )


def between(low: float, high: float) -> Expected:
    """A number, or its text, from `low` to `high`."""

    def accepts(other: Any) -> bool:
        try:
            return low <= float(other) <= high
        except (TypeError, ValueError):
            return False

    return Expected(f"a number from {low} to {high}", accepts)
