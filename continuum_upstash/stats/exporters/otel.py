"""OpenTelemetry spans and metrics; needs ``pip install continuum-upstash[otel]``.

They follow the semantic conventions for databases, v1.44 (docs/db/redis.md): stable names only, and
never a key or a value. There is no convention for caches and circuit breakers: their attributes
begin with ``continuum.``. A batch served by the local store is no database call: it becomes an
internal span and no measurement.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from functools import cache, lru_cache
from time import time_ns
from typing import Final, cast

from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from continuum_upstash import __version__
from continuum_upstash.errors import ReplyError
from continuum_upstash.observe import (
    BudgetChange,
    CommandDetails,
    JobEnded,
    Record,
    StateChange,
    subscribe,
)
from continuum_upstash.protocol import Command, Script, ScriptHash
from continuum_upstash.stats.labels import (
    LOCAL,
    classify_reply,
    get_operation,
    is_failure,
    select_values,
)
from continuum_upstash.transports.registry import list_databases

_SCOPE: Final = "continuum_upstash"
_BOUNDS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)  # seconds, from the convention
_DEFAULT_PORT: Final = 6379
# The error of a script may begin with any text, for example a user's name.
_ERROR_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]*")


class OTelObserver:
    """An observer that records a span and a measurement of each round trip.

    A span is created after its round trip, with the measured times, and does not delay the call.
    Its parent is the span that is current then.
    """

    def __init__(
        self,
        tracers: trace.TracerProvider | None = None,
        meters: metrics.MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer(_SCOPE, __version__, tracers)
        meter = metrics.get_meter(_SCOPE, __version__, meters)
        meter.create_observable_gauge(
            "continuum.cache.budget.used",
            [_observe_budgets],
            unit="1",
            description="The month's commands as a fraction of the budget.",
        )
        self._duration = meter.create_histogram(
            "db.client.operation.duration",
            unit="s",
            description="Duration of database client operations.",
            explicit_bucket_boundaries_advisory=_BOUNDS,
        )
        # The convention for messaging; an attempt that ended in any way but "done" has failed.
        self._processing = metrics.get_meter(_SCOPE, __version__, meters).create_histogram(
            "messaging.process.duration",
            unit="s",
            description="Duration of processing operation.",
            explicit_bucket_boundaries_advisory=_BOUNDS,
        )

    def __call__(self, record: Record) -> None:
        if isinstance(record, CommandDetails):
            self._record_batch(record)
        elif isinstance(record, JobEnded):
            attributes: dict[str, AttributeValue] = {
                "messaging.system": "upstash",
                "messaging.operation.name": "process",
                "messaging.destination.name": record.queue,
                "continuum.cache.alias": record.alias,
            }
            if record.outcome != "done":
                attributes["error.type"] = record.outcome
            self._processing.record(record.seconds, attributes)
        elif isinstance(record, StateChange):
            trace.get_current_span().add_event(
                "continuum.breaker.state_change",
                {
                    "continuum.cache.alias": record.alias,
                    "continuum.breaker.old": record.old,
                    "continuum.breaker.new": record.new,
                    "continuum.breaker.reason": record.reason,
                },
            )

        elif isinstance(record, BudgetChange):
            trace.get_current_span().add_event(
                "continuum.budget.stage_change",
                {
                    "continuum.cache.alias": record.alias,
                    "continuum.budget.old": record.old,
                    "continuum.budget.new": record.new,
                    "continuum.budget.reason": record.reason,
                },
            )

    def _record_batch(self, details: CommandDetails) -> None:
        local, error = details.backend == LOCAL, _find_error(details)
        attributes = _base_attributes(details)
        if not local:
            attributes |= _db_attributes(details)
        if error is not None:
            attributes["error.type"] = type(error).__name__
            if isinstance(error, ReplyError) and _ERROR_CODE.fullmatch(error.code):
                attributes["db.response.status_code"] = error.code
        if not local:
            self._duration.record(details.seconds, attributes)
        end = time_ns()
        span = self._tracer.start_span(
            get_operation(details.commands),
            kind=SpanKind.INTERNAL if local else SpanKind.CLIENT,
            attributes={**attributes, **_span_attributes(details)},
            start_time=end - int(details.seconds * 1e9),
        )
        if error is not None:
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        span.end(end)


def _observe_budgets(_: metrics.CallbackOptions) -> Iterator[metrics.Observation]:
    for database in list_databases():
        budget = database.status.budget
        if budget is not None:
            attributes = {
                "continuum.cache.alias": database.config.alias,
                "continuum.budget.stage": budget.stage,
            }
            yield metrics.Observation(budget.used_ratio, attributes)


def _base_attributes(details: CommandDetails) -> dict[str, AttributeValue]:
    return {
        "continuum.cache.alias": details.alias,
        "continuum.cache.backend": details.backend,
    }


def _db_attributes(details: CommandDetails) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
        "db.system.name": "redis",
        "db.operation.name": get_operation(details.commands),
        "db.namespace": "0",
    }
    host, port = _get_server(details.alias)
    if host:
        attributes["server.address"] = host
        if port != _DEFAULT_PORT:  # the convention omits the default port
            attributes["server.port"] = port
    return attributes


def _span_attributes(details: CommandDetails) -> dict[str, AttributeValue]:
    """Return attributes for spans only; in a metric they would make too many series."""
    if len(details.commands) != 1:
        return {"db.operation.batch.size": len(details.commands)}
    (command,) = details.commands
    attributes: dict[str, AttributeValue] = {}
    if details.replies:
        result = classify_reply(str(command[0]).upper(), select_values(command, details.replies[0]))
        if result in {"hit", "miss"}:
            attributes["continuum.cache.hit"] = result == "hit"
    lua = _get_lua(command)
    if lua is not None:
        attributes["db.stored_procedure.name"] = _hash(lua)
    return attributes


def _find_error(details: CommandDetails) -> Exception | None:
    if details.error is not None:
        return details.error
    return next((cast("ReplyError", each) for each in details.replies if is_failure(each)), None)


def _get_lua(command: Command) -> str | None:
    script = command[1] if len(command) > 1 else None
    if isinstance(script, ScriptHash):
        script = script.script
    return script.lua if isinstance(script, Script) else None


@lru_cache(maxsize=64)
def _hash(lua: str) -> str:
    return hashlib.sha1(lua.encode(), usedforsecurity=False).hexdigest()


def _get_server(alias: str) -> tuple[str, int]:
    """Return the host and the port of an alias's database; an empty host if it is unknown."""
    config = next((each.config for each in list_databases() if each.config.alias == alias), None)
    return (config.host, config.port) if config is not None else ("", 0)


@cache
def _get_observer() -> OTelObserver:
    return OTelObserver()


def start() -> None:
    """Record spans and measurements from now on."""
    subscribe(_get_observer())
