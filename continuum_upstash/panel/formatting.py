"""Numbers and states in the reader's words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from django.conf import settings
from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.timezone import get_current_timezone
from django.utils.translation import gettext_lazy as _

from continuum_upstash.health.report import Report
from continuum_upstash.transports.failover.circuit_breaker import CALLING_STATES

if TYPE_CHECKING:  # what its stubs call a translation that waits for its reader
    from django.utils.functional import _StrPromise

    Text: TypeAlias = str | _StrPromise
else:
    Text = str | Promise

NOTHING: Final = "—"
_LEAST_SHARE: Final = 0.001

VERDICTS: Final[Mapping[str, Text]] = MappingProxyType(
    {"ok": _("OK"), "degraded": _("Degraded"), "down": _("Down")}
)
STATES: Final[Mapping[str, Text]] = MappingProxyType(
    {
        "closed": _("The breaker is closed: every call asks the database."),
        "open": _("The breaker is open: the database is left alone until the break is over."),
        "half_open": _("The breaker is half open: one call tries the database."),
        "forced_open": _("The breaker is forced open: nobody asks until somebody closes it."),
        "disabled": _("The breaker is switched off: every call asks, whatever happens."),
    }
)


def headline(report: Report) -> Text:
    """Return who answers, in a sentence or two."""
    if report.mode == "local":
        return _("There is no database: each process answers from a store of its own.")
    if report.round_trip is not None:
        return format_lazy(
            _("{host} answers in {time}."),
            host=report.host,
            time=milliseconds(report.round_trip),
        )
    if report.status.state in CALLING_STATES:
        silence = _("The database does not answer.")
    else:
        silence = _("The database is not asked at the moment.")
    if report.fallback:
        rest = _("A local store stands in for it, one in each process.")
    else:
        rest = _("Nothing stands in for it.")
    return format_lazy("{} {}", silence, rest)


def milliseconds(seconds: float | None) -> str:
    if seconds is None:
        return NOTHING
    value = seconds * 1000
    return f"{number_format(value, 2 if 0 < value < 10 else 0, force_grouping=True)} ms"


def percentage(share: float | None) -> str:
    if share is None:
        return NOTHING
    if 0 < share < _LEAST_SHARE:
        return f"< {_percent(_LEAST_SHARE)}"
    return _percent(share)


def _percent(share: float) -> str:
    value = round(share * 100.0, 1)
    return f"{number_format(value, 0 if value.is_integer() else 1)} %"


def count(number: float) -> str:
    return number_format(number, 0, force_grouping=True)


def moment(seconds: float) -> datetime:
    """Return Unix seconds as a time of the reader's zone."""
    return datetime.fromtimestamp(seconds, get_current_timezone() if settings.USE_TZ else None)
