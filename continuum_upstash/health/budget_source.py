"""What the shared statistics and the prices tell the guard of a budget."""

from __future__ import annotations

from datetime import UTC, datetime

from django.conf import settings

from continuum_upstash.health.monthly_usage import get_midnight, read_bill
from continuum_upstash.health.probe import get_upstash_caches
from continuum_upstash.plans.effects import Plan
from continuum_upstash.stats.conf import get_setting
from continuum_upstash.stats.pricing import count_affordable, get_terms
from continuum_upstash.stats.shared.reader import read_hours, sum_buckets
from continuum_upstash.stats.shared.writer import SharedWriter
from continuum_upstash.stats.totals import add_up
from continuum_upstash.transports.registry import get_process_state, set_budget_source


class StatisticsSource:
    """The source of the guards in this process, see `BudgetSource`."""

    def count_commands(self, alias: str, dollars: float) -> int:
        return count_affordable(alias, dollars)

    def count_regions(self, alias: str) -> int:
        return get_terms(alias).regions

    def count_month(self, alias: str) -> Plan[int]:
        """Return the billed commands of the database's month; 0 without shared statistics.

        Billed: as `read_bill`, and one command for today.
        """
        if not get_setting("SHARED") or alias not in settings.CACHES:
            return 0
        now = datetime.now(UTC)
        hours = yield from read_hours(alias, get_midnight(now), now)
        pending = get_process_state(SharedWriter).read_pending(alias)
        today = add_up([sum_buckets(hours), pending])
        (cache,) = get_upstash_caches([alias])
        bill = yield from read_bill(cache.database, today, now)
        return bill.commands


def start() -> None:
    """Let the guards of this process use the statistics."""
    set_budget_source(StatisticsSource())
