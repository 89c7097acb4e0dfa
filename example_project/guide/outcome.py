"""What a step did, and how it fails."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


class StepFailed(Exception):
    """A step found something else than it expects; the message says what."""


def require(is_met: object, failure: str) -> None:
    """Raise StepFailed unless a condition is met."""
    if not is_met:
        raise StepFailed(failure)


@dataclass(slots=True)
class Outcome:
    """What a step did.

    Attributes:
        step: its name.
        does: what it does.
        result: what it found.
        error: why it failed; empty: it succeeded.
        milliseconds: how long it took.
        billed: commands that Upstash bills.
    """

    step: str
    does: str
    result: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    milliseconds: float = 0.0
    billed: int = 0
