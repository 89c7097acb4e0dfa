"""A panel for django-debug-toolbar: the commands of a request, sync and async.

``DEBUG_TOOLBAR_PANELS = [..., "continuum_upstash.stats.toolbar.UpstashPanel"]``
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from debug_toolbar.panels import Panel
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from continuum_upstash.observe import CommandDetails, Record, subscribe
from continuum_upstash.plans.billing import count_billed_in_batch
from continuum_upstash.plans.command_table import ALL, get_spec
from continuum_upstash.protocol import Command, Script, ScriptHash
from continuum_upstash.stats.labels import LOCAL, classify_reply, get_operation, select_values

_MAX_LENGTH: Final = 70  # characters of a command that are shown


@dataclass(frozen=True, slots=True)
class _Row:
    alias: str
    backend: str
    operation: str
    command: str
    result: str
    milliseconds: float
    billed: int


_batches: ContextVar[list[CommandDetails] | None] = ContextVar("continuum_toolbar", default=None)


def _collect(record: Record) -> None:
    batches = _batches.get()
    if batches is not None and isinstance(record, CommandDetails):
        batches.append(record)


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
        subscribe(_collect)

    def enable_instrumentation(self) -> None:
        _batches.set(self._records)

    def disable_instrumentation(self) -> None:
        _batches.set(None)

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
        rows = [_get_row(record) for record in self._records]
        self.record_stats(  # type: ignore[no-untyped-call]  # as above
            {
                "rows": [{name: getattr(row, name) for name in _Row.__slots__} for row in rows],
                "trips": sum(row.backend != LOCAL for row in rows),
                "billed": sum(row.billed for row in rows),
                "milliseconds": sum(row.milliseconds for row in rows),
            }
        )


def _get_row(details: CommandDetails) -> _Row:
    commands = "; ".join(map(_format_command, details.commands))
    return _Row(
        details.alias,
        details.backend,
        get_operation(details.commands),
        commands if len(commands) <= _MAX_LENGTH else commands[:_MAX_LENGTH] + "…",
        _format_result(details),
        details.seconds * 1000,
        0 if details.backend == LOCAL else count_billed_in_batch(details),
    )


def _format_command(command: Command) -> str:
    """Return the name and the first key, with an ellipsis if there are more keys."""
    has_script = len(command) > 1 and isinstance(command[1], (Script, ScriptHash))
    first_key = 3 if has_script else 1  # a script is followed by the number of keys
    more = "…" if get_spec(command).keys == ALL and len(command) > 2 else ""
    return " ".join(map(str, (command[0], *command[first_key : first_key + 1]))) + more


def _format_result(details: CommandDetails) -> str:
    if details.error is not None:
        return type(details.error).__name__
    pairs = zip(details.commands, details.replies, strict=True)
    results = [
        classify_reply(str(command[0]).upper(), select_values(command, reply))
        for command, reply in pairs
    ]
    return ", ".join(dict.fromkeys(results))
