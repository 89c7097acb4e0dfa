"""A circuit breaker for the limiter's own, shorter deadline.

A time-out of the limiter does not count for the breaker of the database: cache and sessions have
more time, and must not fail over because the database is slow. This breaker keeps each request
from waiting for the deadline again.
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


class LimiterBreaker:
    """The limiter's breaker of one database. Three time-outs in a row open it.

    Args:
        config: the configuration of the database.
        clock: returns monotonic seconds.
    """

    def __init__(self, config: Config, clock: Callable[[], float] = monotonic) -> None:
        self._label, self._clock = config.label, clock
        self._breaker = CircuitBreaker(
            config.health_check_interval, config.read_timeout, lambda *_: None, clock
        )
        self._failed_at = -math.inf

    def guard(self, plan: Plan[R]) -> Plan[R]:
        """Run a plan unless the breaker is open, and record whether it timed out.

        Raises:
            Unavailable: the breaker is open, or the plan raised it.
            ReplyError: the plan raised it.
        """
        breaker = self._breaker
        generation, probe, started = breaker.generation, False, self._clock()
        if not breaker.is_passing:
            permit = breaker.acquire()
            if permit is None:
                raise Unavailable(
                    f"{self._label}: the rate limiter's circuit breaker is open, next attempt in "
                    f"{self.get_retry_seconds():.0f} s: {breaker.reason}"
                )
            generation, probe = permit
        try:
            result = yield from plan
        except (Unavailable, ReplyError) as error:
            if not is_timeout(error):
                breaker.record_success(generation)  # other errors count for the database's breaker
            elif started >= self._failed_at:  # checks that time out together count once
                self._failed_at = self._clock()
                breaker.record_failure(generation, str(error).removeprefix(f"{self._label}: "))
            raise
        except BaseException:  # a cancelled probe has no result: the next check probes
            breaker.release(generation)
            raise
        if breaker.failures or probe:
            breaker.record_success(generation)
        return result

    def get_retry_seconds(self) -> float:
        """Return the seconds until the next attempt; 0: the breaker is closed."""
        return max(self._breaker.retry_at - self._clock(), 0.0)
