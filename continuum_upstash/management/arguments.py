"""What the commands have in common: which caches, which format, and how they fail."""

from __future__ import annotations

import json
import re
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NoReturn

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.health.probe import get_upstash_caches, list_upstash_aliases

DEGRADED: Final = 1
UNREACHABLE: Final = 2  # or misuse

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def add_caches(parser: ArgumentParser) -> None:
    """Add --cache and --all; see `chosen`."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--cache", action="append", metavar="ALIAS", help="an alias of CACHES; may be repeated"
    )
    which.add_argument("--all", action="store_true", help="every alias of this package (default)")


def chosen(options: dict[str, Any]) -> list[str]:
    """Return the aliases that were asked for.

    Raises:
        CommandError: there is none of that name, or none at all.
    """
    known = list_upstash_aliases()
    for alias in options["cache"] or ():
        if alias not in known:
            refuse(f"There is no alias '{alias}' of this package in CACHES. {_there_is(known)}")
    if not known:
        refuse(_there_is(known))
    return options["cache"] or known


def caches_of(aliases: Iterable[str]) -> list[UpstashBaseCache]:
    """Return the caches.

    Raises:
        CommandError: their configuration is wrong.
    """
    try:
        return get_upstash_caches(aliases)
    except ImproperlyConfigured as error:
        refuse(str(error))


def seconds(text: str) -> int:
    """Return the seconds of a time such as ``90``, ``15m``, ``1h`` or ``7d``; for argparse."""
    match = re.fullmatch(r"(\d+)([smhd]?)", text)
    if match is None:
        raise ArgumentTypeError(f"{text!r} is not a time: write 90, 15m, 1h or 7d")
    return int(match[1]) * _UNITS[match[2] or "s"]


def ago(text: str) -> timedelta:
    """Return how far back a time such as ``7d`` goes; for argparse."""
    try:
        span = timedelta(seconds=seconds(text))
        datetime.now(UTC) - span  # for the error, where there is no such day
    except OverflowError as error:
        raise ArgumentTypeError(f"{text!r} is longer ago than time: write 1h, 7d or 32d") from error
    return span


def positive(text: str) -> int:
    """Return a whole number above 0; for argparse."""
    if not text.isdecimal() or int(text) == 0:
        raise ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def as_json(values: dict[str, Any]) -> str:
    """Return what a command prints; `schema` grows when a name changes its meaning."""
    return json.dumps({"schema": 1, **values}, indent=2)


def refuse(message: str, returncode: int = UNREACHABLE) -> NoReturn:
    raise CommandError(message, returncode=returncode)


def _there_is(known: list[str]) -> str:
    if known:
        return f"There is {', '.join(known)}."
    others = ", ".join(settings.CACHES)
    return (
        f"No entry of CACHES ({others}) has the BACKEND continuum_upstash.backend.CacheBackend: "
        "see docs/reference/settings.md."
    )
