"""The rate-limit decisions of this process, by policy and outcome."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.observe import LimitDecided, Record
from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.policy import Policy
from continuum_upstash.transports.registry import get_process_state

Outcome: TypeAlias = tuple[str, bool]  # LimitDecided's outcome and allowed


class DecisionCounter:
    """The decisions of one process, see `count_decision`."""

    def __init__(self) -> None:
        # Re-entrant: a signal handler that uses the cache may interrupt its own thread in here.
        self._lock = threading.RLock()
        self._counts: defaultdict[str, defaultdict[str, Counter[Outcome]]] = defaultdict(
            lambda: defaultdict(Counter)
        )

    def add(self, decision: LimitDecided) -> None:
        with self._lock:
            self._counts[decision.alias][decision.policy][decision.outcome, decision.allowed] += 1

    def for_alias(self, alias: str) -> Mapping[str, Counter[Outcome]]:
        """Return the number of decisions by policy name and outcome."""
        with self._lock:
            return {name: count.copy() for name, count in self._counts[alias].items()}


def count_decision(record: Record) -> None:
    """Count a decision; an observer, which the app subscribes."""
    if type(record) is LimitDecided:
        get_process_state(DecisionCounter).add(record)


@dataclass(frozen=True, slots=True)
class PolicyRow:
    """The decisions of one policy.

    Attributes:
        name: of the policy.
        policy: None: it is defined in code, not in the settings.
        allowed: the requests that it allowed.
        refused: the requests that it refused.
        from_memory: how many of those it refused without contacting the database.
        in_outage: how many of all it decided by on_error.
        would_refuse: how many of the allowed ones a shadow policy would have refused.
    """

    name: str
    policy: Policy | None
    allowed: int
    refused: int
    from_memory: int
    in_outage: int
    would_refuse: int


def _make_row(name: str, policy: Policy | None, count: Counter[Outcome]) -> PolicyRow:
    allowed = sum(number for (_, is_allowed), number in count.items() if is_allowed)
    outcomes: Counter[str] = Counter()
    for (outcome, _), number in count.items():
        outcomes[outcome] += number
    return PolicyRow(
        name,
        policy,
        allowed,
        refused=count.total() - allowed,
        from_memory=outcomes["cached"],
        in_outage=outcomes["unavailable"],
        would_refuse=outcomes["shadow"],
    )


@dataclass(frozen=True, slots=True)
class RateLimitTable:
    """The rate limits of one database.

    Attributes:
        mode: ``enforce``, ``shadow`` or ``off``.
        rows: the policies of the settings in their order, then those of code that made decisions.
        problem: what is wrong with the settings.
    """

    mode: str = ""
    rows: tuple[PolicyRow, ...] = ()
    problem: str = ""


def make_rate_limit_table(alias: str) -> RateLimitTable | None:
    """Return the rate limits that use the database of an alias; None: there are none."""
    counts = get_process_state(DecisionCounter).for_alias(alias)
    try:
        policies = conf.policies if conf.alias == alias else {}
        names = [*policies, *sorted(counts.keys() - policies.keys())]
        rows = tuple(
            _make_row(name, policies.get(name), counts.get(name, Counter())) for name in names
        )
        return RateLimitTable(conf.mode, rows) if rows else None
    except ConfigurationError as error:
        return RateLimitTable(problem=str(error))
