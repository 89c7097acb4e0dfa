"""The keys of a copy: what a page of SCAN contains, what was done with each, and the totals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Final, NamedTuple, TypeAlias

STRING: Final = "string"
# Of the values that are in memory at once, and in a request, which must end in READ_TIMEOUT.
GROUP_BYTES: Final = 256 * 1024


class Entry(NamedTuple):
    """A key of the source.

    Attributes:
        key: its full key in the source.
        target_key: its full key in the target.
        kind: its Redis type.
        size: the bytes of a string; 0 for other types.
        items: the members, fields or items of another type.
        expires_at: when it expires, in seconds of the clock; None: never.
    """

    key: str
    target_key: str
    kind: str
    size: int
    items: int
    expires_at: float | None


class Outcome(StrEnum):
    """What a copy did with a key."""

    COPIED = "copied"
    SELECTED = "selected"  # would be copied, in a dry run
    EXISTING = "existing"  # in the target; kept
    EXPIRED = "expired"  # while it was copied
    DELETED = "deleted"  # from the source while it was copied, and therefore from the target
    EXPIRING = "expiring"  # its remaining lifetime is below --min-ttl
    TOO_LARGE = "too_large"
    ONE_SIDED = "one_sided"  # a collection, which MigratingCache keeps on one side only
    UNREADABLE = "unreadable"  # its value cannot be decoded, or has no stored format
    UNSUPPORTED = "unsupported"  # its type, for example a stream


PROBLEMS: Final = frozenset({Outcome.TOO_LARGE, Outcome.UNREADABLE, Outcome.UNSUPPORTED})


class Problem(NamedTuple):
    """A key that is not copied although it should be."""

    key: str
    outcome: Outcome
    detail: str


OnProblem: TypeAlias = Callable[[Problem], object]


@dataclass(slots=True)
class CopyProgress:
    """How far a copy is.

    Attributes:
        cursor: where to continue after an interruption, so that no key is missed.
        complete: whether the last page was reached.
        pages: SCANs so far.
        scanned: keys that match.
        bytes: of the strings that match.
        items: members, fields and items of the other types that match.
        outcomes: number of keys by outcome.
        types: number of keys by Redis type.
        source_commands, target_commands: sent so far, each of them billed on Upstash.
    """

    cursor: str = "0"
    complete: bool = False
    pages: int = 0
    scanned: int = 0
    bytes: int = 0
    items: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)
    source_commands: int = 0
    target_commands: int = 0

    def count(self, outcome: Outcome, number: int = 1) -> None:
        if number:
            self.outcomes[outcome] = self.outcomes.get(outcome, 0) + number

    def get(self, outcome: Outcome) -> int:
        return self.outcomes.get(outcome, 0)

    @property
    def problems(self) -> int:
        """The keys that are not copied although they should be."""
        return sum(map(self.get, PROBLEMS))

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> CopyProgress:
        """
        Raises:
            TypeError: the values are not those of `as_dict`.
        """
        progress = cls(**values)
        for each in fields(cls):
            if type(getattr(progress, each.name)) is not type(getattr(cls(), each.name)):
                raise TypeError(each.name)
        return progress
