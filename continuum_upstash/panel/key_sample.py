"""The key families of a cache, estimated on demand from a sample of keys, which is billed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.errors import ContinuumError
from continuum_upstash.keys import make_scoped_pattern
from continuum_upstash.plans.effects import Plan
from continuum_upstash.plans.scan import KeyScan
from continuum_upstash.sessions.keys import compile_session_matcher
from continuum_upstash.stats.key_families import Family, FamilySampler

MAX_PAGES: Final = 10  # of a thousand keys; each is a billed command
_MAX_FAMILIES: Final = 25  # that are shown


@dataclass(frozen=True, slots=True)
class KeySample:
    """The key families of a sample.

    Attributes:
        families: the largest ones, without sessions, which the panel never deletes.
        others: keys of the sample in other families.
        seen: keys of this alias in the sample.
        complete: whether the sample covers the whole database.
        problem: why the sample is missing, without secrets.
    """

    families: Sequence[Family]
    others: int
    seen: int
    complete: bool
    problem: str = ""


def sample_keys(cache: UpstashBaseCache) -> Plan[KeySample]:
    """Read ten pages of keys at most. A key that SCAN returns twice counts twice."""
    try:
        pattern = make_scoped_pattern(cache.key_func, cache.key_prefix, cache.version, "*")
        sampler, is_session = FamilySampler(pattern), compile_session_matcher()
        scan = KeyScan(pattern.pattern)
        while scan.pages < MAX_PAGES and not scan.is_complete:
            keys = yield from scan.fetch_page()
            sampler.add(key for key in keys if not is_session(key))
    except ContinuumError as error:
        return KeySample((), 0, 0, complete=False, problem=str(error))
    families = sampler.list_largest(_MAX_FAMILIES)
    others = sampler.keys - sum(each.seen for each in families)
    return KeySample(families, others, sampler.keys, complete=scan.is_complete)
