"""Whether it is worth while to ask a database that has to answer within a decision's time.

That one is shorter than what other callers wait for. Hence a time-out of the limiter's is no
business of the database's breaker, which would take cache and sessions away from a site whose
database is merely slow; it has a breaker of its own, so that not every request waits in vain.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from time import monotonic
from typing import TypeVar

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ReplyError, Unavailable
from continuum_upstash.plans.effects import Plan
from continuum_upstash.transports.failover.circuit_breaker import CircuitBreaker
from continuum_upstash.transports.network_errors import is_timeout

R = TypeVar("R")


class Patience:
    """The limiter's breaker of one database: three time-outs in a row open it.

    Args:
        config: the database's.
        clock: monotonic seconds.
    """

    def __init__(self, config: Config, clock: Callable[[], float] = monotonic) -> None:
        self._label, self._clock = config.label, clock
        self._breaker = CircuitBreaker(
            config.health_check_interval, config.read_timeout, lambda *_: None, clock
        )
        self._failed_at = -math.inf

    def asking(self, plan: Plan[R]) -> Plan[R]:
        """Run a plan that asks the database.

        Raises:
            Unavailable: it was not asked, for it has been too slow of late.
        """
        breaker = self._breaker
        generation, probe, began = breaker.generation, False, self._clock()
        if not breaker.is_passing:
            permit = breaker.acquire()
            if permit is None:
                raise Unavailable(
                    f"{self._label} is not asked for {self.left():.0f} s more: {breaker.reason}"
                )
            generation, probe = permit
        try:
            result = yield from plan
        except (Unavailable, ReplyError) as error:
            if not is_timeout(error):
                breaker.record_success(generation)  # the database's own breaker judges the rest
            elif began >= self._failed_at:  # what one pause made fail together has failed once
                self._failed_at = self._clock()
                breaker.record_failure(generation, str(error).removeprefix(f"{self._label}: "))
            raise
        if breaker.failures or probe:
            breaker.record_success(generation)
        return result

    def left(self) -> float:
        """Return the seconds until the database is asked again; 0: it is."""
        return max(self._breaker.retry_at - self._clock(), 0.0)
