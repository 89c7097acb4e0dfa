"""Key families, from a sample: the part of a key before its first colon."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from continuum_upstash.keys import KeyPattern

ALONE = "(no family)"


@dataclass(frozen=True, slots=True)
class Family:
    """
    Attributes:
        name: with its colon, such as ``query:``.
        seen: keys in the sample.
        share: of the sample, 0 to 1.
    """

    name: str
    seen: int
    share: float


@dataclass(slots=True)
class Sample:
    """Counts the families of the names that it is shown.

    Attributes:
        pattern: tells a user's key from a full key; others' keys are not counted.
        keys: how many of ours were seen.
    """

    pattern: KeyPattern
    keys: int = 0
    _families: Counter[str] = field(default_factory=Counter)

    def add(self, names: Iterable[str]) -> None:
        for name in filter(self.pattern.matches, names):
            family, colon, _ = self.pattern.key(name).partition(":")
            self._families[family + colon if colon else ALONE] += 1
            self.keys += 1

    def largest(self, count: int = 10) -> list[Family]:
        return [
            Family(name, seen, seen / self.keys) for name, seen in self._families.most_common(count)
        ]
