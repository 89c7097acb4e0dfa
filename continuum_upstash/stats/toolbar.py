"""A panel for django-debug-toolbar: what a request asked of our databases, sync and async.

``DEBUG_TOOLBAR_PANELS = [..., "continuum_upstash.stats.toolbar.UpstashPanel"]``
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from debug_toolbar.panels import Panel
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from continuum_upstash.observe import CommandDetails, Record, subscribe
from continuum_upstash.plans.command_table import ALL, get_spec
from continuum_upstash.protocol import Command, Script, ScriptHash
from continuum_upstash.stats.aggregator import Meter
from continuum_upstash.stats.labels import operation, result

_LONGEST = 70  # characters of a command that are shown


@dataclass(frozen=True, slots=True)
class _Call:
    alias: str
    backend: str
    operation: str
    command: str
    outcome: str
    milliseconds: float
    billed: int


_calls: ContextVar[list[CommandDetails] | None] = ContextVar("continuum_toolbar", default=None)


def _note(record: Record) -> None:
    calls = _calls.get()
    if calls is not None and isinstance(record, CommandDetails):
        calls.append(record)


class UpstashPanel(Panel):
    """Round trips and billed commands of a request. Keys are shown, values are not."""

    title = _("Upstash")
    template = "continuum_upstash/toolbar.html"
    is_async = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._records: list[CommandDetails] = []

    @classmethod
    def ready(cls) -> None:
        subscribe(_note)

    def enable_instrumentation(self) -> None:
        _calls.set(self._records)

    def disable_instrumentation(self) -> None:
        _calls.set(None)

    @property
    def nav_subtitle(self) -> str:
        stats = self.get_stats()  # type: ignore[no-untyped-call]  # the toolbar's own
        trips, billed = stats.get("trips", 0), stats.get("billed", 0)
        return ngettext("%(trips)d round trip", "%(trips)d round trips", trips) % {
            "trips": trips
        } + ngettext(", %(billed)d billed command", ", %(billed)d billed commands", billed) % {
            "billed": billed
        }

    def generate_stats(self, request: Any, response: Any) -> None:
        del request, response
        calls = [_call(record) for record in self._records]
        self.record_stats(  # type: ignore[no-untyped-call]  # as above
            {
                "calls": [
                    {name: getattr(call, name) for name in _Call.__slots__} for call in calls
                ],
                "trips": sum(call.backend != "local" for call in calls),
                "billed": sum(call.billed for call in calls),
                "milliseconds": sum(call.milliseconds for call in calls),
            }
        )


def _call(details: CommandDetails) -> _Call:
    meter = Meter(details.backend)
    meter.note(details)
    shown = "; ".join(map(_text, details.commands))
    return _Call(
        details.alias,
        details.backend,
        operation(details.commands),
        shown if len(shown) <= _LONGEST else shown[:_LONGEST] + "…",
        _outcome(details),
        details.seconds * 1000,
        meter.tally().billed,
    )


def _text(command: Command) -> str:
    """Return its name and its first key, with a mark where there are more."""
    script = len(command) > 1 and isinstance(command[1], (Script, ScriptHash))
    place = 3 if script else 1  # after the script comes the number of keys
    more = "…" if get_spec(command).keys == ALL and len(command) > 2 else ""
    return " ".join(map(str, (command[0], *command[place : place + 1]))) + more


def _outcome(details: CommandDetails) -> str:
    if details.error is not None:
        return type(details.error).__name__
    pairs = zip(details.commands, details.replies, strict=True)
    outcomes = [result(str(command[0]).upper(), reply) for command, reply in pairs]
    return ", ".join(dict.fromkeys(outcomes))
