"""A panel for django-debug-toolbar: the commands of a request, sync and async.

``DEBUG_TOOLBAR_PANELS = [..., "continuum_upstash.stats.toolbar.UpstashPanel"]``
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
from collections import Counter
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple

import asgiref
import django
from debug_toolbar.panels import Panel
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from continuum_upstash.observe import CommandDetails, Record, subscribe
from continuum_upstash.plans.billing import count_billed_in_batch
from continuum_upstash.plans.command_table import ALL, get_spec
from continuum_upstash.protocol import Command, Script, ScriptHash
from continuum_upstash.stats.labels import LOCAL, classify_reply, get_operation, select_values

_PACKAGE: Final = f"{Path(__file__).parents[1]}{os.sep}"
# Frames of these do not show where a call comes from, unless there is no other.
_LIBRARIES: Final = (
    *(f"{Path(str(module.__file__)).parent}{os.sep}" for module in (django, asgiref, asyncio)),
    contextlib.__file__,
)
_MAX_LENGTH: Final = 70  # characters of a command that are shown


class _CallSite(NamedTuple):
    """Where a batch comes from.

    Attributes:
        method: the cache's method that was called; empty: unknown.
        place: the file, line and function of the call; empty: unknown.
    """

    method: str
    place: str


class _Batch(NamedTuple):
    details: CommandDetails
    site: _CallSite


@dataclass(frozen=True, slots=True)
class _Row:
    """
    Attributes:
        times: how often the request sent exactly these commands.
    """

    alias: str
    backend: str
    method: str
    place: str
    times: int
    command: str
    result: str
    milliseconds: float
    billed: int


_batches: ContextVar[list[_Batch] | None] = ContextVar("continuum_toolbar", default=None)


def _collect(record: Record) -> None:
    batches = _batches.get()
    if batches is not None and isinstance(record, CommandDetails):
        batches.append(_Batch(record, _find_call_site()))


class UpstashPanel(Panel):
    """Round trips and billed commands of a request. Keys are shown, values are not."""

    title = _("Upstash")
    template = "continuum_upstash/toolbar.html"
    is_async = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._batches: list[_Batch] = []

    @classmethod
    def ready(cls) -> None:
        subscribe(_collect)

    def enable_instrumentation(self) -> None:
        _batches.set(self._batches)

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
        rows = _list_rows(self._batches)
        self.record_stats(  # type: ignore[no-untyped-call]  # as above
            {
                "rows": [{name: getattr(row, name) for name in _Row.__slots__} for row in rows],
                "trips": sum(row.backend != LOCAL for row in rows),
                "billed": sum(row.billed for row in rows),
                "milliseconds": sum(row.milliseconds for row in rows),
            }
        )


def _list_rows(batches: Sequence[_Batch]) -> list[_Row]:
    contents = [_identify(batch.details) for batch in batches]
    times = Counter(contents)
    return [
        _get_row(batch, times[content]) for batch, content in zip(batches, contents, strict=True)
    ]


def _identify(details: CommandDetails) -> tuple[str, str, str]:
    return details.alias, details.backend, repr(details.commands)


def _find_call_site() -> _CallSite:
    """Return the method of this package on the stack, and the code that called it."""
    frame = inspect.currentframe()
    method = place = ""
    while frame is not None:
        code = frame.f_code
        if code.co_filename.startswith(_PACKAGE):
            # The outermost frame of this package is the method, if no library comes between.
            method = method if place or code.co_name.startswith("<") else _name_method(code)
        elif not code.co_filename.startswith(_LIBRARIES):
            return _CallSite(method, _describe_place(frame))
        else:
            place = place or _describe_place(frame)
        frame = frame.f_back
    return _CallSite(method, place)


def _name_method(code: CodeType) -> str:
    """Return the name of the method, or its class for a special method: `Lock` for `__enter__`."""
    return code.co_qualname.split(".")[-2] if code.co_name.startswith("__") else code.co_name


def _describe_place(frame: FrameType) -> str:
    path = Path(frame.f_code.co_filename)
    with contextlib.suppress(ValueError):
        path = path.relative_to(Path.cwd())
    return f"{path}:{frame.f_lineno} ({frame.f_code.co_name})"


def _get_row(batch: _Batch, times: int) -> _Row:
    details = batch.details
    commands = "; ".join(map(_format_command, details.commands))
    return _Row(
        details.alias,
        details.backend,
        batch.site.method or get_operation(details.commands),
        batch.site.place,
        times,
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
