"""What rate limits decided in this process, by policy and outcome."""

from __future__ import annotations

import os
import threading
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.observe import LimitDecided, Record
from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.policy import Policy


class Decisions:
    """Counts what it is told of; `observe.subscribe` takes it."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew, as a forked child must."""
        # Re-entrant: a signal handler that uses the cache may interrupt its own thread in here.
        self._lock = threading.RLock()
        self._counts: defaultdict[str, defaultdict[str, Counter[str]]] = defaultdict(
            lambda: defaultdict(Counter)
        )

    def __call__(self, record: Record) -> None:
        if type(record) is LimitDecided:
            with self._lock:
                self._counts[record.alias][record.policy][record.outcome] += 1

    def of(self, alias: str) -> Mapping[str, Counter[str]]:
        """Return how often each policy's name had each outcome of `LimitDecided`."""
        with self._lock:
            return {name: count.copy() for name, count in self._counts[alias].items()}


decisions = Decisions()

if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=decisions.forget)


@dataclass(frozen=True, slots=True)
class Row:
    """
    Attributes:
        name: of the policy.
        policy: None: it is written in code, and not in the settings.
        count: its decisions by outcome.
    """

    name: str
    policy: Policy | None
    count: Counter[str]


@dataclass(frozen=True, slots=True)
class Limits:
    """
    Attributes:
        mode: ``enforce``, ``shadow`` or ``off``.
        rows: the policies of the settings in their order, then those that decided besides.
        problem: what is wrong with the settings.
    """

    mode: str = ""
    rows: tuple[Row, ...] = ()
    problem: str = ""


def limits(config: Config) -> Limits | None:
    """Return what limits by an alias' database; None: nothing does."""
    counts = decisions.of(config.alias)
    try:
        policies = conf.policies if conf.alias == config.alias else {}
        names = [*policies, *sorted(counts.keys() - policies.keys())]
        rows = tuple(Row(name, policies.get(name), counts.get(name, Counter())) for name in names)
        return Limits(conf.mode, rows) if rows else None
    except ConfigurationError as error:
        return Limits(problem=str(error))
