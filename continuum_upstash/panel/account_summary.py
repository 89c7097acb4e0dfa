"""The figures of the Upstash account beside those of the statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from continuum_upstash.errors import ContinuumError
from continuum_upstash.health.account import (
    CACHE_SECONDS,
    Account,
    Comparison,
    compare,
    examine_account,
    read_account,
)
from continuum_upstash.health.developer_api import has_credentials
from continuum_upstash.health.findings import Finding
from continuum_upstash.health.overview import Overview
from continuum_upstash.stats.totals import Totals
from continuum_upstash.transports.registry import Database

MINUTES: Final = int(CACHE_SECONDS // 60)


@dataclass(frozen=True, slots=True)
class AccountSummary:
    """What the page shows of the account.

    Attributes:
        account: None: it cannot be read.
        comparison: our figures beside the account's; None: there is no history.
        warnings: what the account says that does not fit the use of the alias.
        problem: why the account cannot be read, without secrets.
    """

    account: Account | None = None
    comparison: Comparison | None = None
    warnings: Sequence[Finding] = ()
    problem: str = ""


def summarize_account(database: Database, overview: Overview) -> AccountSummary | None:
    """Return the account's figures; None: there is no API key, or no database.

    A process requests them every 15 minutes at most. They are not billed.
    """
    if database.config.mode == "local" or not has_credentials():
        return None
    try:
        account = read_account(database, max_age=CACHE_SECONDS)
    except ContinuumError as error:
        return AccountSummary(problem=str(error))
    bill, comparison = overview.bill, None
    if bill is not None:
        comparison = compare(bill, account, overview.month or Totals(), overview.today)
    findings = examine_account(database, account, overview)
    warnings = [each for each in findings if each.outcome in {"warning", "failed"}]
    return AccountSummary(account, comparison, warnings)
