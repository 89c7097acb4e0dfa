"""Key families, estimated from a sample of keys. A family is the part before the first colon."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from continuum_upstash.keys import KeyPattern

NO_FAMILY = "(no family)"


@dataclass(frozen=True, slots=True)
class Family:
    """One key family of a sample.

    Attributes:
        name: with its colon, for example ``query:``.
        seen: keys in the sample.
        share: fraction of the sample, 0 to 1.
    """

    name: str
    seen: int
    share: float


@dataclass(slots=True)
class FamilySampler:
    """Counts the key families among full keys.

    Attributes:
        pattern: matches the keys of one alias; other keys are not counted.
        keys: how many keys of the alias were counted.
    """

    pattern: KeyPattern
    keys: int = 0
    _families: Counter[str] = field(default_factory=Counter)

    def add(self, full_keys: Iterable[str]) -> None:
        for full_key in filter(self.pattern.matches, full_keys):
            family, colon, _ = self.pattern.extract_key(full_key).partition(":")
            self._families[family + colon if colon else NO_FAMILY] += 1
            self.keys += 1

    def list_largest(self, count: int = 10) -> list[Family]:
        return [
            Family(name, seen, seen / self.keys) for name, seen in self._families.most_common(count)
        ]
