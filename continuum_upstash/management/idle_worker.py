"""What a worker of an alias's queues costs while it has nothing to do."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.federation.known_queues import list_known_queues
from continuum_upstash.federation.worker.options import estimate_idle_commands
from continuum_upstash.management.arguments import fail
from continuum_upstash.stats.pricing import PRICING_PLANS

_DAYS: Final = 365 / 12  # of a month


class IdleWorker(NamedTuple):
    """
    Attributes:
        queues: how many queues the settings name in the alias.
        commands_per_day: billed at most for one worker of all these queues.
        dollars: a month of them, on the plan payg.
    """

    queues: int
    commands_per_day: int
    dollars: float

    def as_dict(self) -> dict[str, Any]:
        return {**self._asdict(), "dollars": round(self.dollars, 2)}

    def describe(self) -> str:
        return (
            f"at most {self.commands_per_day:,} billed commands a day for each worker of "
            f"{self.queues} queues, ${self.dollars:,.2f} a month"
        )


def estimate_idle_worker(alias: str) -> IdleWorker | None:
    """Return the estimate, or None if the settings name no queues in the alias.

    Raises:
        CommandError: CONTINUUM_FEDERATION is invalid.
    """
    try:
        queues = len(list_known_queues(alias))
    except ConfigurationError as error:
        fail(str(error))
    if not queues:
        return None
    commands = estimate_idle_commands(queues)
    return IdleWorker(queues, commands, PRICING_PLANS["payg"].cost_of(round(commands * _DAYS)))
