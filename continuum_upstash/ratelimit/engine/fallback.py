"""What the limiter keeps per process for one database, and what limits during an outage."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from continuum_upstash.config.resolve import Config
from continuum_upstash.observe import logger
from continuum_upstash.plans.effects import Batch
from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.engine.breaker import LimiterBreaker
from continuum_upstash.ratelimit.engine.decision import Decision, Reason, Verdict
from continuum_upstash.ratelimit.engine.deny_lists import DenyLists
from continuum_upstash.ratelimit.engine.ephemeral_cache import EphemeralCache
from continuum_upstash.ratelimit.engine.script import Charge, build_command, parse_reply
from continuum_upstash.ratelimit.engine.server_clock import ServerClock
from continuum_upstash.transports.local.transport import LocalTransport, read_wall_clock
from continuum_upstash.transports.registry import Database

_LOG_SECONDS: Final = 30.0
_MIN_RETRY_SECONDS: Final = 1.0


class LocalLimiter:
    """Applies on_error while the database is unavailable; limits only this process.

    It keeps 10,000 counters, and apart from them 10,000 exhausted limits, so that requests of other
    identities cannot displace a limit that denies.

    Args:
        breaker: the limiter's circuit breaker of the database.
        clock: returns monotonic seconds.
    """

    def __init__(
        self, breaker: LimiterBreaker, clock: Callable[[], float] = time.monotonic
    ) -> None:
        # Monotonic time, so that adjusting the system clock cannot change limits.
        self._breaker, self._clock = breaker, clock
        self._local = LocalTransport(Config(), clock)
        self._exhausted = EphemeralCache(max_trust_seconds=math.inf, clock=clock)
        self._logged_at = -math.inf

    def decide(self, charges: Sequence[Charge], error: Exception, database: Database) -> Decision:
        """Decide by the on_error of each policy.

        Args:
            charges: without those of shadow policies.
            error: why the database is unavailable.
            database: the one that is unavailable.
        """
        self._log(charges, error)
        denying = [charge.policy for charge in charges if charge.policy.on_error == "deny"]
        if denying:
            seconds = self._get_seconds_until_retry(database)
            verdicts = tuple(
                Verdict(policy, 0, seconds, seconds, policy.limit) for policy in denying
            )
            return Decision(False, "unavailable", verdicts)
        local = [
            _take_share(charge, conf.instances)
            for charge in charges
            if charge.policy.on_error == "local"
        ]
        if not local:
            return Decision(True, "unavailable")
        blocked = self._exhausted.find_blocked(local)
        if blocked:
            return Decision(False, "limited", _restore_limits(blocked))
        now = int(self._clock() * 1000)
        command = build_command(local, now, use_server_clock=True, by_hash=False)
        (reply,) = self._local.send(Batch((command,)))
        result = parse_reply(local, reply)
        self._exhausted.block_exhausted(local, result.verdicts)
        reason: Reason = "unavailable" if result.fits else "limited"
        return Decision(result.fits, reason, _restore_limits(result.verdicts))

    def reset(self, charge: Charge) -> None:
        """Delete this process's counters of a charge."""
        self._exhausted.clear(charge.key_prefix)
        keys = charge.policy.build_keys(charge.key_prefix, int(self._clock() * 1000))
        self._local.send(Batch((("UNLINK", *keys),)))

    def _get_seconds_until_retry(self, database: Database) -> float:
        next_probe = database.status.next_probe
        until_probe = 0.0 if next_probe is None else next_probe - time.time()
        return max(_MIN_RETRY_SECONDS, until_probe, self._breaker.get_retry_seconds())

    def _log(self, charges: Sequence[Charge], error: Exception) -> None:
        now = time.monotonic()
        if now - self._logged_at >= _LOG_SECONDS:
            self._logged_at = now
            names = ", ".join(f"{each.policy.name}: {each.policy.on_error}" for each in charges)
            logger.warning("Rate limiter unavailable; applying on_error (%s): %s", names, error)


def _take_share(charge: Charge, instances: int) -> Charge:
    """Return the charge with this process's part of the limit."""
    limit = max(charge.cost, math.ceil(charge.limit / instances))
    return charge._replace(limit=limit, shares=instances, event="", values=())


def _restore_limits(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Return the verdicts with the limits that clients know, not with their shares."""
    return tuple(each._replace(limit=each.policy.limit) for each in verdicts)


class ProcessState:
    """What the limiter keeps per process for one database.

    Attributes:
        breaker: stops checks that would only time out.
        clock: the database's time.
        ephemeral_cache: the identities known to be blocked.
        deny_lists: what is known about the deny lists of @upstash/ratelimit.
        local_limiter: limits while the database is unavailable.
    """

    def __init__(self, config: Config) -> None:
        self.breaker = LimiterBreaker(config)
        if config.mode == "local":  # the local store follows the wall clock, which tests may set
            self.clock = ServerClock(read_wall_clock, read_wall_clock)
            self.ephemeral_cache = EphemeralCache(clock=read_wall_clock)
        else:
            self.clock, self.ephemeral_cache = ServerClock(), EphemeralCache()
        self.deny_lists = DenyLists()
        self.local_limiter = LocalLimiter(self.breaker)


def get_limiter_state(database: Database) -> ProcessState:
    """Return the state of this process; a forked child has its own."""
    return database.extras.get(ProcessState, lambda: ProcessState(database.config))
