"""How a database is doing: one report object, which doctor, panel and JSON show."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from time import perf_counter, time
from typing import Any, Final, Literal, TypeAlias

from django.conf import settings
from django.core.cache import caches
from django.utils.module_loading import import_string

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.errors import ContinuumError, ReplyError
from continuum_upstash.observe import BackendStatus
from continuum_upstash.plans import info
from continuum_upstash.plans.effects import Batch, Plan, pair
from continuum_upstash.protocol import Replies, Reply

Verdict: TypeAlias = Literal["ok", "degraded", "down"]

FULL: Final = 0.85  # of the memory limit: from here on somebody should act
_ANSWERS: Final = frozenset({"closed", "disabled"})


@dataclass(frozen=True, slots=True)
class Server:
    """What INFO says.

    Attributes:
        version: of Redis, as the server claims.
        keys: in the whole database.
        memory, memory_limit: bytes; a limit of 0 is none, or none that the server tells.
        policy: ``noeviction``, or on Upstash with eviction on ``optimistic-volatile``.
        raw: all fields, for who knows more of them.
    """

    version: str
    keys: int
    memory: int
    memory_limit: int
    policy: str
    raw: dict[str, Any]

    @property
    def memory_used(self) -> float | None:
        """The share of the limit that is used, 0 to 1; None: there is no limit."""
        return self.memory / self.memory_limit if self.memory_limit else None

    @property
    def evicts(self) -> bool:
        return self.policy not in {"", "noeviction"}


@dataclass(frozen=True, slots=True)
class Report:
    """One look at one alias.

    Attributes:
        alias, mode, host: which database; `host` is empty in local mode.
        label: how messages name it.
        at: Unix seconds of the look.
        status: the breaker's view, from this process.
        fallback: whether the local store answers while the database cannot.
        round_trip: seconds that the look took; None: there was no answer.
        server: what INFO said; None: nothing, or it may not be asked.
        errors: what failed, one line each, without secrets.
        missing: what to set, where DEBUG is off and the mode is local by nobody's choice.
    """

    alias: str
    mode: str
    host: str
    label: str
    at: float
    status: BackendStatus
    fallback: bool
    round_trip: float | None
    server: Server | None
    errors: tuple[str, ...]
    missing: str = ""

    @property
    def verdict(self) -> Verdict:
        """``ok``; ``degraded``: callers get answers, but not as they should; ``down``: none."""
        if self.round_trip is None or self.status.state not in _ANSWERS:
            return "degraded" if self.fallback or self.round_trip is not None else "down"
        return "degraded" if self.errors or self.warnings else "ok"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What answers, but not as it should, or not for ever."""
        found = []
        if self.missing:
            found.append(f"Each process has a cache of its own, and no database. {self.missing}")
        used = self.server.memory_used if self.server else None
        if used is not None and used >= FULL:
            advice = "delete keys or choose a larger plan."
            found.append(f"{used:.0%} of the memory limit is used: {advice}")
        return tuple(found)

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON knows it, the verdict included, INFO's raw fields not."""
        values = asdict(self)
        del values["missing"]  # a warning says it
        if self.server is not None:
            del values["server"]["raw"]
            values["server"]["memory_used"] = self.server.memory_used
        return {**values, "verdict": self.verdict, "warnings": list(self.warnings)}


class Examiner:
    """Looks at the database of a cache. A look is one round trip, and nothing in it is billed.

    It sees what is true this very moment, and reads no statistics: probes, `Overseer`, panel,
    doctor and the live check call it.
    """

    def __init__(self, cache: UpstashBaseCache) -> None:
        self._run, self._arun = cache.run, cache.arun
        self._database = cache.database

    def plan_report(self) -> Plan[Report]:
        """Ask for a sign of life and for INFO; whatever goes wrong stands in the report."""
        started, errors, replies = perf_counter(), [], None
        try:
            replies = yield Batch((("PING",), ("INFO",)), needs_server=True)
        except ContinuumError as error:
            errors.append(str(error))
        return self._report(perf_counter() - started, replies, errors)

    report, areport = pair(plan_report)

    def _report(self, seconds: float, replies: Replies | None, errors: list[str]) -> Report:
        errors += [str(reply) for reply in replies or () if isinstance(reply, ReplyError)]
        config = self._database.config
        answered = replies is not None and not isinstance(replies[0], ReplyError)
        return Report(
            alias=config.alias,
            mode=config.mode,
            host=config.host,
            label=config.label,
            at=time(),
            status=self._database.status,
            fallback=config.fallback,
            round_trip=seconds if answered else None,
            server=_server(replies[1]) if replies else None,
            errors=tuple(dict.fromkeys(errors)),
            missing=config.setup_hint if config.unconfigured and not settings.DEBUG else "",
        )


def _server(reply: Reply) -> Server | None:
    if not isinstance(reply, bytes):
        return None
    fields = info.parse(reply.decode("utf-8", "replace"))
    return Server(
        version=fields["version"],
        keys=fields["keys"],
        memory=int(fields.get("total_data_size", fields["used_memory"])),
        memory_limit=int(fields.get("max_data_size", fields.get("maxmemory", 0))),
        policy=fields["maxmemory_policy"],
        raw=fields,
    )


def aliases() -> list[str]:
    """Return the aliases of CACHES that are ours, in its order."""
    return [alias for alias, entry in settings.CACHES.items() if _is_ours(entry["BACKEND"])]


def ours(chosen: Iterable[str]) -> list[UpstashBaseCache]:
    """Return the caches of some aliases.

    Raises:
        ImproperlyConfigured: an entry of CACHES is wrong.
    """
    found = [caches[alias] for alias in chosen]
    return [cache for cache in found if isinstance(cache, UpstashBaseCache)]


def _is_ours(backend: str) -> bool:
    try:
        return issubclass(import_string(backend), UpstashBaseCache)
    except ImportError:
        return False  # Django's own check says so
