"""The bill of the month, by the statistics and by the account, and how to make it smaller."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from django.core.cache import caches
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.errors import ContinuumError
from continuum_upstash.health import Overview, read_overview
from continuum_upstash.health.account import compare, read_account
from continuum_upstash.health.savings import find_savings
from continuum_upstash.stats.bill import Bill
from continuum_upstash.stats.pricing import PRICES_DATE, PRICING_PLANS
from continuum_upstash.stats.totals import Totals
from example_project.emulator import is_configured
from example_project.views import budget

READS = 200
_KEYS = tuple(f"price:{number:03}" for number in range(READS))
_ACCOUNT_SECONDS = 60.0  # how old the account's figures may be; those of the emulator are new


def show(request: HttpRequest) -> HttpResponse:
    cache = caches["default"]
    context: dict[str, Any] = {"reads": READS, "prices_date": PRICES_DATE}
    if isinstance(cache, UpstashBaseCache) and cache.database.config.mode != "local":
        overview = cache.run(read_overview(cache))
        context["errors"] = [*overview.health.errors, *overview.errors]
        context |= _describe_account(cache, overview)
        if overview.bill is not None:
            context |= _describe_bill(overview.bill, overview.month or Totals())
    else:
        context["is_local"] = True
    context |= _describe_budget()
    return render(request, "example/costs.html", context)


@require_POST
def read_in_a_loop(request: HttpRequest) -> HttpResponse:
    """Read many keys one after another, which costs a command each."""
    del request
    cache = caches["default"]
    for key in _KEYS:
        cache.get(key)
    return redirect("costs")


@require_POST
def read_at_once(request: HttpRequest) -> HttpResponse:
    """Read the same keys with one command."""
    del request
    caches["default"].get_many(_KEYS)
    return redirect("costs")


def _describe_budget() -> dict[str, Any]:
    status = budget.read_status()
    if status is None or status.budget is None:
        return {}
    return {
        "budget_status": status,
        "budget_ends": datetime.fromtimestamp(status.budget.ends_at, UTC),
        "budget_commands": budget.COMMANDS,
    }


def _describe_bill(bill: Bill, month: Totals) -> dict[str, Any]:
    # A demo shows figures at once, although the statistics cover less than an hour.
    rough = replace(bill, is_early=False)
    plans = [rough.on_plan(name) for name in PRICING_PLANS]
    report = find_savings(rough, month)
    return {"bill": bill, "plans": plans, "report": report}


def _describe_account(cache: UpstashBaseCache, overview: Overview) -> dict[str, Any]:
    try:
        account = read_account(cache.database, max_age=0 if is_configured() else _ACCOUNT_SECONDS)
    except ContinuumError as error:
        return {"account_problem": str(error)}
    if overview.bill is None:
        return {"account": account}
    bill, month = overview.bill, overview.month or Totals()
    return {"account": account, "comparison": compare(bill, account, month, overview.today)}
