"""Times and states as text in the reader's language."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

from django.conf import settings
from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.timezone import get_current_timezone
from django.utils.translation import gettext_lazy as _

from continuum_upstash.health.probe import Health
from continuum_upstash.health.quantities import format_milliseconds
from continuum_upstash.transports.failover.circuit_breaker import CALLING_STATES

if TYPE_CHECKING:  # the stubs' name of a lazy translation
    from django.utils.functional import _StrPromise

    Text: TypeAlias = str | _StrPromise
else:
    Text = str | Promise

VERDICTS: Final[Mapping[str, Text]] = MappingProxyType(
    {"ok": _("OK"), "degraded": _("Degraded"), "down": _("Down")}
)
STATES: Final[Mapping[str, Text]] = MappingProxyType(
    {
        "closed": _("The breaker is closed: calls use the database."),
        "open": _("The breaker is open: calls do not use the database until the next probe."),
        "half_open": _("The breaker is half open: one call probes the database."),
        "forced_open": _(
            "The breaker is forced open: no call uses the database until it is closed."
        ),
        "disabled": _("The breaker is bypassed: calls use the database, even during an outage."),
    }
)


def summarize(health: Health) -> Text:
    """Return what serves the cache, in one or two sentences."""
    if health.mode == "local":
        return _("No database is configured: each process has a separate local store.")
    if health.round_trip is not None:
        return format_lazy(
            _("{host} replies in {time}."),
            host=health.host,
            time=format_milliseconds(health.round_trip),
        )
    if health.status.state in CALLING_STATES:
        cause = _("The database does not reply.")
    else:
        cause = _("The database is not used at the moment.")
    if health.fallback:
        effect = _("Each process uses a local store instead.")
    else:
        effect = _("There is no fallback: calls fail.")
    return format_lazy("{} {}", cause, effect)


def to_local_datetime(seconds: float) -> datetime:
    """Return Unix seconds as a time in the reader's time zone."""
    return datetime.fromtimestamp(seconds, get_current_timezone() if settings.USE_TZ else None)
