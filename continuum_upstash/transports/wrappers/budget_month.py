"""The month of a budget: its counter in the database, and what other parts know of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from continuum_upstash.keys import BUDGET_KEYS
from continuum_upstash.plans.effects import Plan

KEPT_SECONDS: Final = 40 * 24 * 3600  # the counter outlives its month


class BudgetSource(Protocol):
    """What the statistics know; see `continuum_upstash.health.budget_source`."""

    def count_commands(self, alias: str, dollars: float) -> int:
        """Return how many commands an amount pays for in a month.

        Raises:
            ConfigurationError: the pricing plan of the alias has no price for a command.
        """
        ...

    def count_regions(self, alias: str) -> int:
        """Return the read regions of an alias's database, in which writes are billed, too."""
        ...

    def count_month(self, alias: str) -> Plan[int]:
        """Return the billed commands of this month, of all processes, as they are recorded."""
        ...


def make_budget_key(month: datetime) -> str:
    """Return the key of a month's counter, which all aliases of a database share."""
    return f"{BUDGET_KEYS}{month:%Y%m}"


def find_month(now: float) -> tuple[str, float]:
    """Return the key of the current month's counter, and the month's end in Unix seconds."""
    today = datetime.fromtimestamp(now, UTC)
    month = datetime(today.year, today.month, 1, tzinfo=UTC)
    return make_budget_key(month), (month + timedelta(days=32)).replace(day=1).timestamp()
