"""OpenTelemetry spans and metrics; needs ``pip install continuum-upstash[otel]``.

By the semantic conventions for databases, v1.44 (docs/db/redis.md): only stable names, never a
key or a value. Caches and breakers have no convention: their attributes begin with ``continuum.``.
An answer of the local store is no call of a database: an internal span, and no measurement.
"""

from __future__ import annotations

import hashlib
import re
from functools import cache, lru_cache
from time import time_ns
from typing import Final, cast

from opentelemetry import metrics, trace
from opentelemetry.trace import SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

from continuum_upstash import __version__
from continuum_upstash.errors import ReplyError
from continuum_upstash.observe import CommandDetails, Record, StateChange, subscribe
from continuum_upstash.protocol import Command, Script, ScriptHash
from continuum_upstash.stats.labels import failed, operation, result
from continuum_upstash.transports.registry import list_databases

_SCOPE: Final = "continuum_upstash"
_BOUNDS: Final = (0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)  # the convention's
_READS: Final = frozenset({"hit", "miss"})
_LOCAL: Final = "local"
_PORT: Final = 6379  # of Redis
# A script's error may begin with anything, a user's name for one.
_CODE: Final = re.compile(r"[A-Z][A-Z0-9_]*")


class Traces:
    """Makes a span and a measurement of each round trip; an observer.

    A span is made when its round trip has ended, with the times that it had: so that nothing
    stands in the way of the call, and whoever is current then is its parent.
    """

    def __init__(
        self,
        tracers: trace.TracerProvider | None = None,
        meters: metrics.MeterProvider | None = None,
    ) -> None:
        self._tracer = trace.get_tracer(_SCOPE, __version__, tracers)
        self._duration = metrics.get_meter(_SCOPE, __version__, meters).create_histogram(
            "db.client.operation.duration",
            unit="s",
            description="Duration of database client operations.",
            explicit_bucket_boundaries_advisory=_BOUNDS,
        )

    def __call__(self, record: Record) -> None:
        if isinstance(record, CommandDetails):
            self._note(record)
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

    def _note(self, details: CommandDetails) -> None:
        local, error = details.backend == _LOCAL, _error(details)
        common = _own(details) if local else _own(details) | _of_database(details)
        if error is not None:
            common["error.type"] = type(error).__name__
            if isinstance(error, ReplyError) and _CODE.fullmatch(error.code):
                common["db.response.status_code"] = error.code
        if not local:
            self._duration.record(details.seconds, common)
        end = time_ns()
        span = self._tracer.start_span(
            operation(details.commands),
            kind=SpanKind.INTERNAL if local else SpanKind.CLIENT,
            attributes={**common, **_of_one(details)},
            start_time=end - int(details.seconds * 1e9),
        )
        if error is not None:
            span.set_status(Status(StatusCode.ERROR, type(error).__name__))
        span.end(end)


def _own(details: CommandDetails) -> dict[str, AttributeValue]:
    return {
        "continuum.cache.alias": details.alias,
        "continuum.cache.backend": details.backend,
    }


def _of_database(details: CommandDetails) -> dict[str, AttributeValue]:
    attributes: dict[str, AttributeValue] = {
        "db.system.name": "redis",
        "db.operation.name": operation(details.commands),
        "db.namespace": "0",
    }
    host, port = _server(details.alias)
    if host:
        attributes["server.address"] = host
        if port != _PORT:  # the convention wants no other
            attributes["server.port"] = port
    return attributes


def _of_one(details: CommandDetails) -> dict[str, AttributeValue]:
    """Return what only a span tells, since a metric would have too many series."""
    if len(details.commands) != 1:
        return {"db.operation.batch.size": len(details.commands)}
    (command,) = details.commands
    attributes: dict[str, AttributeValue] = {}
    if details.replies:
        outcome = result(str(command[0]).upper(), details.replies[0])
        if outcome in _READS:
            attributes["continuum.cache.hit"] = outcome == "hit"
    script = _script(command)
    if script is not None:
        attributes["db.stored_procedure.name"] = _digest(script)
    return attributes


def _error(details: CommandDetails) -> Exception | None:
    if details.error is not None:
        return details.error
    return next((cast("ReplyError", each) for each in details.replies if failed(each)), None)


def _script(command: Command) -> str | None:
    script = command[1] if len(command) > 1 else None
    if isinstance(script, ScriptHash):
        script = script.script
    return script.lua if isinstance(script, Script) else None


@lru_cache(maxsize=64)
def _digest(lua: str) -> str:
    return hashlib.sha1(lua.encode(), usedforsecurity=False).hexdigest()


def _server(alias: str) -> tuple[str, int]:
    """Return the host and the port that are talked to; no host: nobody knows."""
    config = next((each.config for each in list_databases() if each.config.alias == alias), None)
    return (config.host, config.port) if config is not None else ("", 0)


@cache
def _traces() -> Traces:
    return Traces()


def start() -> None:
    """Trace from now on; twice is once."""
    subscribe(_traces())
