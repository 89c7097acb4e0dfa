"""Whether a cache works, as one round trip shows that is not billed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from time import perf_counter, time
from typing import Any, Final, Literal, TypeAlias

from django.conf import settings
from django.core.cache import caches
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, override

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.errors import ConfigurationError, ContinuumError, ReplyError
from continuum_upstash.observe import RESTRICTED_STAGES, BackendStatus
from continuum_upstash.plans import info
from continuum_upstash.plans.effects import Batch, Plan
from continuum_upstash.protocol import Replies, Reply
from continuum_upstash.transports.registry import Database

Verdict: TypeAlias = Literal["ok", "degraded", "down"]

TASKS_BACKEND: Final = "continuum_upstash.federation.tasks.UpstashTasks"
DEFAULT_JOB_ALIAS: Final = "federation"  # of queues and tasks
MEMORY_WARN_RATIO: Final = 0.85  # fraction of the memory limit at which warnings begin
POOL_WARN_SECONDS: Final = 300.0  # how long an exhausted connection pool is worth a warning
# What each stage of a budget means, by whether there is a fallback.
_BUDGET_EFFECTS: Final = {
    "warn": (gettext_lazy("Nothing is restricted yet."),) * 2,
    "near": (gettext_lazy("The near cache keeps its copies longer."),) * 2,
    "essential": (
        gettext_lazy("The cache fails; sessions, rate limits and locks use the database."),
        gettext_lazy(
            "The local store serves the cache; sessions, rate limits and locks use the database."
        ),
    ),
    "local": (
        gettext_lazy("All calls fail."),
        gettext_lazy("No command is sent; the local store serves the cache."),
    ),
}
_WORKING_STATES: Final = frozenset({"closed", "disabled"})


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """The server's reply to INFO.

    Attributes:
        version: of Redis, as the server states it.
        keys: number of keys in the whole database.
        memory, memory_limit: bytes; a limit of 0 means none, or that the server does not state it.
        policy: the eviction policy: ``noeviction``, or ``optimistic-volatile`` on Upstash with
            eviction on.
        raw: all fields.
    """

    version: str
    keys: int
    memory: int
    memory_limit: int
    policy: str
    raw: dict[str, Any]

    @property
    def memory_ratio(self) -> float | None:
        """The used fraction of the memory limit, 0 to 1; None without a limit."""
        return self.memory / self.memory_limit if self.memory_limit else None

    @property
    def evicts(self) -> bool:
        return self.policy not in {"", "noeviction"}


@dataclass(frozen=True, slots=True)
class Health:
    """The health of one cache at one moment.

    Attributes:
        alias, mode, host: the cache and its database; `host` is empty in local mode.
        label: the name of the cache in messages.
        at: when it was probed, in Unix seconds.
        status: the circuit breaker's, in this process.
        fallback: whether the local store serves the cache while the database is unreachable. It
            does not after an error of the configuration.
        round_trip: duration of the probe in seconds; None: no reply.
        server: the reply to INFO; None: no reply, or the command is not permitted.
        errors: what failed, one line each, without secrets.
        setup_hint: what to configure, if DEBUG is off and no database is configured.
    """

    alias: str
    mode: str
    host: str
    label: str
    at: float
    status: BackendStatus
    fallback: bool
    round_trip: float | None
    server: ServerInfo | None
    errors: tuple[str, ...]
    setup_hint: str = ""

    @property
    def verdict(self) -> Verdict:
        """``ok``; ``degraded``: it works, but not as it should; ``down``: calls fail."""
        if (
            self.status.budget
            and self.status.budget.stage in RESTRICTED_STAGES
            and not self.fallback
        ):
            return "down"
        if self.round_trip is None or self.status.state not in _WORKING_STATES:
            return "degraded" if self.fallback or self.round_trip is not None else "down"
        return "degraded" if self.errors or self.warnings else "ok"

    @property
    def is_full(self) -> bool:
        """Whether the database refuses writes because it is full and does not evict."""
        if self.status.writes == "full":
            return True
        server = self.server
        return server is not None and not server.evicts and (server.memory_ratio or 0) >= 1

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong although the cache works, in the active language."""
        warnings = []
        if self.setup_hint:
            text = _("No database is configured: each process has a separate local store.")
            warnings.append(f"{text} {self.setup_hint}")
        ratio = self.server.memory_ratio if self.server else None
        if self.is_full:
            warnings.append(
                _(
                    "The database is full: it refuses writes, and cached values are not stored. "
                    "Delete keys, choose a larger pricing plan, or switch Eviction on if it is "
                    "only a cache."
                )
            )
        elif ratio is not None and ratio >= MEMORY_WARN_RATIO:
            text = _(
                "{percent} % of the memory limit is used: delete keys or choose a larger pricing "
                "plan."
            )
            warnings.append(text.format(percent=f"{ratio * 100:.0f}"))
        if self.status.writes == "read_only":
            warnings.append(self._describe_read_only())
        budget = self.status.budget
        if budget is not None and budget.stage in _BUDGET_EFFECTS:
            text = _("Budget stage {stage}: {reason}.")
            text = text.format(stage=budget.stage, reason=budget.reason)
            warnings.append(f"{text} {_BUDGET_EFFECTS[budget.stage][self.fallback]}")
        exhausted_at = self.status.last_pool_exhausted
        if exhausted_at is not None and self.at - exhausted_at < POOL_WARN_SECONDS:
            text = _(
                "connection pool exhausted: {calls} calls of this process failed because all "
                "connections were busy. Raise POOL_SIZE."
            )
            warnings.append(text.format(calls=self.status.pool_exhausted))
        return tuple(warnings)

    def _describe_read_only(self) -> str:
        if self.fallback:
            return _(
                "The database accepts no writes for now, during an upgrade or with a read-only "
                "token for example: the local store serves them."
            )
        return _(
            "The database accepts no writes for now, during an upgrade or with a read-only token "
            "for example: they fail."
        )

    @override("en")
    def as_dict(self) -> dict[str, Any]:
        """Return JSON values: with the verdict and the warnings in English, without raw fields."""
        budget = self.status.budget
        values = {
            **asdict(self),
            "status": {**self.status._asdict(), "budget": budget and budget._asdict()},
        }
        del values["setup_hint"]  # one of the warnings
        if self.server is not None:
            del values["server"]["raw"]
            values["server"]["memory_used"] = self.server.memory_ratio
        return {**values, "verdict": self.verdict, "warnings": list(self.warnings)}


def probe_health(cache: UpstashBaseCache) -> Plan[Health]:
    """Send PING and INFO, which are not billed; errors become part of the result."""
    started, errors, replies = perf_counter(), [], None
    fallback = cache.database.config.fallback
    try:
        replies = yield Batch((("PING",), ("INFO",)), needs_server=True)
    except ContinuumError as error:
        errors.append(str(error))
        fallback = fallback and not isinstance(error, ConfigurationError)
    health = _make_health(cache.database, perf_counter() - started, replies, errors)
    return replace(health, fallback=fallback)


def _make_health(
    database: Database, seconds: float, replies: Replies | None, errors: list[str]
) -> Health:
    errors += [str(reply) for reply in replies or () if isinstance(reply, ReplyError)]
    config = database.config
    has_pong = replies is not None and not isinstance(replies[0], ReplyError)
    return Health(
        alias=config.alias,
        mode=config.mode,
        host=config.host,
        label=config.label,
        at=time(),
        status=database.status,
        fallback=config.fallback,
        round_trip=seconds if has_pong else None,
        server=_parse_info(replies[1]) if replies else None,
        errors=tuple(dict.fromkeys(errors)),
        setup_hint=config.setup_hint if config.unconfigured and not settings.DEBUG else "",
    )


def _parse_info(reply: Reply) -> ServerInfo | None:
    if not isinstance(reply, bytes):
        return None
    fields = info.parse(reply.decode("utf-8", "replace"))
    return ServerInfo(
        version=fields["version"],
        keys=fields["keys"],
        memory=int(fields.get("total_data_size", fields["used_memory"])),
        memory_limit=int(fields.get("max_data_size", fields.get("maxmemory", 0))),
        policy=fields["maxmemory_policy"],
        raw=fields,
    )


def list_upstash_aliases() -> list[str]:
    """Return the aliases in CACHES that use this package, in their order."""
    return [alias for alias, entry in settings.CACHES.items() if _is_upstash(entry["BACKEND"])]


def list_task_entries() -> dict[str, Mapping[str, Any]]:
    """Return the entries of TASKS that use this package, by alias."""
    entries: Mapping[str, Mapping[str, Any]] = getattr(settings, "TASKS", {})
    return {alias: each for alias, each in entries.items() if each.get("BACKEND") == TASKS_BACKEND}


def get_task_alias(entry: Mapping[str, Any]) -> str:
    """Return the entry of CACHES that an entry of TASKS uses."""
    return str(entry.get("OPTIONS", {}).get("USING", DEFAULT_JOB_ALIAS))


def list_job_aliases() -> set[str]:
    """Return the aliases that store the queues and tasks of the settings."""
    aliases = {get_task_alias(entry) for entry in list_task_entries().values()}
    queues = getattr(settings, "CONTINUUM_FEDERATION", None)
    if isinstance(queues, Mapping):
        aliases.add(str(queues.get("ALIAS", DEFAULT_JOB_ALIAS)))
    return aliases


def get_upstash_caches(aliases: Iterable[str]) -> list[UpstashBaseCache]:
    """Return the caches of those aliases that use this package.

    Raises:
        ImproperlyConfigured: an entry of CACHES is wrong.
    """
    found = [caches[alias] for alias in aliases]
    return [cache for cache in found if isinstance(cache, UpstashBaseCache)]


def iter_configured_caches() -> Iterator[UpstashBaseCache]:
    """Yield the caches of this package, except for those whose entry of CACHES is wrong."""
    for alias in list_upstash_aliases():
        with suppress(ImproperlyConfigured):
            yield from get_upstash_caches([alias])


def _is_upstash(backend: str) -> bool:
    try:
        return issubclass(import_string(backend), UpstashBaseCache)
    except ImportError:
        return False  # one of Django's own checks reports it
