"""What a process remembers of one database's limits, and what limits in its place."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Sequence
from typing import Final
from weakref import WeakKeyDictionary

from continuum_upstash.config.resolve import Config
from continuum_upstash.observe import logger
from continuum_upstash.plans.effects import Batch
from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.engine.breaker import Patience
from continuum_upstash.ratelimit.engine.decision import Decision, Verdict
from continuum_upstash.ratelimit.engine.ephemeral_cache import Denials
from continuum_upstash.ratelimit.engine.script import Charge, command, read
from continuum_upstash.ratelimit.engine.server_clock import Clock
from continuum_upstash.transports.local.transport import LocalTransport
from continuum_upstash.transports.registry import Database

_LOG_SECONDS: Final = 30.0
_RETRY_SECONDS: Final = 1.0


class Standin:
    """Limits of this process alone, while the database cannot be asked."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        # Its time is steady: a clock that is set must not open or shut the limits.
        self._local = LocalTransport(Config(), clock=time.monotonic)
        self._logged_at = -math.inf

    def decide(self, charges: Sequence[Charge], error: Exception, database: Database) -> Decision:
        """Decide as each policy's on_error says."""
        self._log(charges, error)
        refusing = [charge for charge in charges if charge.policy.on_error == "deny"]
        if refusing:
            seconds = self._seconds_to_next_try(database)
            refusals = (Verdict(charge.policy, 0, seconds, seconds) for charge in refusing)
            return Decision(False, "unavailable", tuple(refusals))
        local = [
            charge._replace(
                limit=max(charge.cost, math.ceil(charge.limit / conf.instances)),
                sharing=conf.instances,
            )
            for charge in charges
            if charge.policy.on_error == "local"
        ]
        if not local:
            return Decision(True, "unavailable")
        now = int(time.monotonic() * 1000)
        (reply,) = self._local.send(
            Batch((command(local, now, servers_clock=True, by_hash=False),))
        )
        answers = read(local, reply)
        return Decision(
            answers.fits, "unavailable" if answers.fits else "limited", answers.verdicts
        )

    def _seconds_to_next_try(self, database: Database) -> float:
        probe = database.status.next_probe
        until_probe = 0.0 if probe is None else probe - time.time()
        return max(_RETRY_SECONDS, until_probe, self._patience.left())

    def _log(self, charges: Sequence[Charge], error: Exception) -> None:
        now = time.monotonic()
        if now - self._logged_at >= _LOG_SECONDS:
            self._logged_at = now
            names = ", ".join(f"{each.policy.name}: {each.policy.on_error}" for each in charges)
            logger.warning("Rate limits cannot be asked for (%s): %s", names, error)


class State:
    """What hangs on one database in this process."""

    def __init__(self, config: Config) -> None:
        self.patience = Patience(config)
        self.clock = Clock()
        self.denials = Denials()
        self.standin = Standin(self.patience)


_states: WeakKeyDictionary[Database, State] = WeakKeyDictionary()


def state_of(database: Database) -> State:
    state = _states.get(database)
    return state if state is not None else _states.setdefault(database, State(database.config))


if hasattr(os, "register_at_fork"):  # not on Windows
    # Another thread of the parent may have held one of the locks.
    os.register_at_fork(after_in_child=_states.clear)
