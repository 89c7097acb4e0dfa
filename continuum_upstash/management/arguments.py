"""What the management commands share: the selection of caches, argument types, JSON and errors."""

from __future__ import annotations

import json
import re
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.documentation import link_to
from continuum_upstash.errors import escape_unprintable
from continuum_upstash.health.probe import get_upstash_caches, list_upstash_aliases
from continuum_upstash.stats.bill import Bill

# Exit statuses.
DEGRADED: Final = 1
UNREACHABLE: Final = 2  # also for invalid arguments
INTERRUPTED: Final = 130  # as shells report Ctrl-C

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def add_cache_options(parser: ArgumentParser) -> None:
    """Add --cache and --all; see `select_aliases`."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--cache", action="append", metavar="ALIAS", help="an alias of CACHES; may be repeated"
    )
    group.add_argument("--all", action="store_true", help="all aliases of this package (default)")


def add_budget_option(parser: ArgumentParser) -> None:
    """Add --budget; see `fail_above_budget`."""
    parser.add_argument(
        "--budget",
        type=parse_dollars,
        metavar="DOLLARS",
        help="the dollars per month and database, for --fail-on cost",
    )


def check_budget_option(options: dict[str, Any]) -> None:
    """
    Raises:
        CommandError: there is no --budget for --fail-on cost, or the other way round.
    """
    if (options["fail_on"] == "cost") is (options["budget"] is None):
        fail("--fail-on cost and --budget DOLLARS belong together.")


def fail_above_budget(bills: Mapping[str, Bill | None], budget: float) -> None:
    """Fail if a month costs more than the budget, so far or as it is projected.

    Args:
        bills: by alias; None: unknown.
        budget: dollars per month.

    Raises:
        CommandError: of the aliases above the budget.
    """
    above = [
        f"{alias}: {bill.commands:,} commands so far, projected: {bill.describe_projection()}"
        for alias, bill in bills.items()
        if bill is not None and bill.is_above(budget)
    ]
    if above:
        fail(f"Above the budget of ${budget:,.2f}: {'; '.join(above)}.", DEGRADED)


def select_aliases(options: dict[str, Any]) -> list[str]:
    """Return the aliases that --cache names, or all of this package.

    Raises:
        CommandError: an alias is unknown, or there is none.
    """
    known = list_upstash_aliases()
    for alias in options["cache"] or ():
        if alias not in known:
            fail(f"CACHES has no alias '{alias}' of this package. {_describe_aliases(known)}")
    if not known:
        fail(_describe_aliases(known))
    return options["cache"] or known


def get_caches(aliases: Iterable[str]) -> list[UpstashBaseCache]:
    """
    Raises:
        CommandError: the configuration of an alias is invalid.
    """
    try:
        return get_upstash_caches(aliases)
    except ImproperlyConfigured as error:
        fail(str(error))


def parse_seconds(text: str) -> int:
    """Return the seconds of a duration such as ``90``, ``15m``, ``1h`` or ``7d``; for argparse."""
    match = re.fullmatch(r"(\d+)([smhd]?)", text)
    if match is None:
        raise ArgumentTypeError(f"{text!r} is not a duration: write for example 90, 15m, 1h or 7d")
    return int(match[1]) * _UNITS[match[2] or "s"]


def parse_lookback(text: str) -> timedelta:
    """Return a duration such as ``7d`` that reaches into the past; for argparse."""
    try:
        duration = timedelta(seconds=parse_seconds(text))
        datetime.now(UTC) - duration  # raises OverflowError for a date before the year 1
    except OverflowError as error:
        raise ArgumentTypeError(f"{text!r} is too long: write for example 1h, 7d or 32d") from error
    return duration


def parse_positive_int(text: str) -> int:
    """Return a whole number above 0; for argparse."""
    if not text.isdecimal() or int(text) == 0:
        raise ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def parse_dollars(text: str) -> float:
    """Return an amount of dollars, 0 or more; for argparse."""
    if not re.fullmatch(r"\d+(\.\d+)?", text, re.ASCII):
        raise ArgumentTypeError(f"{text!r} is no amount of dollars: write for example 50 or 0.5")
    return float(text)


def format_json(values: dict[str, Any]) -> str:
    """Return the output of --format json. `schema` grows when an entry changes its meaning."""
    return json.dumps({"schema": 1, **values}, indent=2)


def confirm(declined: str, purpose: str) -> None:
    """Return if the user types "yes".

    Args:
        declined: the message if the user does not.
        purpose: what --no-input is for.

    Raises:
        CommandError: the user does not, or there is no terminal.
    """
    if sys.stdin is None or not sys.stdin.isatty():
        fail(f"stdin is not a terminal: pass --no-input {purpose}, or --dry-run to count only.")
    try:
        text = input("Type 'yes' to continue, or 'no' to cancel: ")
    except EOFError:
        text = ""
    except KeyboardInterrupt:
        fail(declined, INTERRUPTED)
    if text != "yes":
        fail(declined, DEGRADED)


def fail(message: str, returncode: int = UNREACHABLE) -> NoReturn:
    raise CommandError(escape_unprintable(message), returncode=returncode)


def _describe_aliases(known: list[str]) -> str:
    if known:
        return f"Aliases of this package: {', '.join(known)}."
    others = ", ".join(settings.CACHES)
    return (
        f"No entry of CACHES ({others}) has the BACKEND continuum_upstash.backend.CacheBackend: "
        f"see {link_to('reference/settings')}"
    )
