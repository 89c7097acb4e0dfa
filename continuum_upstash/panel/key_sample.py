"""What a database holds, by a look at some of its keys: only by a click, for it is billed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.errors import ContinuumError
from continuum_upstash.keys import make_scoped_pattern
from continuum_upstash.plans.effects import Plan, pair
from continuum_upstash.plans.scan import KeyScan
from continuum_upstash.sessions.keys import compile_session_matcher
from continuum_upstash.stats.key_families import Family, FamilySampler

PAGES: Final = 10  # of a thousand keys; each is a billed command
_SHOWN: Final = 25


@dataclass(frozen=True, slots=True)
class Keys:
    """
    Attributes:
        families: the largest ones; sessions are none, for nobody may clear them by a click.
        others: keys of the sample that belong to no family of these.
        seen: the sample's size; keys of this alias only.
        complete: whether the sample is all that there is.
        problem: why something is missing, without secrets.
    """

    families: Sequence[Family]
    others: int
    seen: int
    complete: bool
    problem: str = ""


class Sampler:
    def __init__(self, cache: UpstashBaseCache) -> None:
        self._run, self._arun = cache.run, cache.arun
        self._cache = cache

    def plan_keys(self) -> Plan[Keys]:
        """Look at ten pages at most; a key that SCAN gives twice counts twice."""
        cache = self._cache
        try:
            wanted = make_scoped_pattern(cache.key_func, cache.key_prefix, cache.version, "*")
            sample, spared = FamilySampler(wanted), compile_session_matcher()
            scan = KeyScan(wanted.pattern)
            while scan.pages < PAGES and not scan.is_complete:
                names = yield from scan.fetch_page()
                sample.add(name for name in names if not spared(name))
        except ContinuumError as error:
            return Keys((), 0, 0, complete=False, problem=str(error))
        families = sample.list_largest(_SHOWN)
        named = sum(each.seen for each in families)
        return Keys(families, sample.keys - named, sample.keys, complete=scan.is_complete)

    keys, akeys = pair(plan_keys)
