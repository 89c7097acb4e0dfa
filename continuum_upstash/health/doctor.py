"""Examines one alias, from its configuration to its round trips; a failure comes with its fix."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import perf_counter, time
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

from django.conf import settings

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.config.credentials import is_loopback, is_private
from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import (
    AuthenticationFailed,
    ConfigurationError,
    ContinuumError,
    NotPermitted,
    QuotaExceeded,
    ReplyError,
    Unavailable,
)
from continuum_upstash.health.overview import NO_HISTORY, Overseer
from continuum_upstash.health.report import FULL, Examiner, Report
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Command, Replies, Reply
from continuum_upstash.ratelimit.conf import conf as limits
from continuum_upstash.sessions.conf import conf
from continuum_upstash.stats.pricing import PRICING_PLANS, WARN_RATIO, get_pricing_plan_name

Outcome: TypeAlias = Literal["ok", "info", "warning", "failed"]

PINGS: Final = 20
_SKEW: Final = 1.0  # seconds of clock offset from which on expiry times look wrong
_SLOW: Final = 0.15  # seconds: farther than another region of the same continent
_PROBE: Final = "continuum:doctor:probe"
_FEATURES: Final = ("EVAL", "DELEX", "GETEX", "UNLINK", "HEXPIRE", "JSON.GET")

_FIXES: Final = {
    AuthenticationFailed: "Copy the token (REST) or the password (TCP) again: they differ.",
    QuotaExceeded: "Change the plan or raise the budget in the console, or wait for next month.",
    Unavailable: (
        "Does {host} resolve from here? Is the database active in the console, and not archived? "
        "Is an IP allow list on, and this machine's address not in it? Does a firewall let port "
        "443 (REST) or 6379 (TCP) out?"
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """
    Attributes:
        name: of what was examined.
        outcome: ``ok``, ``info`` (nothing to judge), ``warning`` or ``failed``.
        detail: what was found, without secrets.
        fix: what to do; empty where nothing is.
    """

    name: str
    outcome: Outcome
    detail: str
    fix: str = ""


class Doctor:
    """Examines a cache; `examine` yields the findings as they are made.

    Args:
        cache: which one.
        write: also write, read and delete a key (two billed commands).
    """

    def __init__(self, cache: UpstashBaseCache, *, write: bool = False) -> None:
        self._cache, self._write = cache, write
        self._config: Config = cache.database.config

    def examine(self) -> Iterator[Finding]:
        yield from _configuration(self._config)
        if self._config.mode == "local":
            return
        # Whatever this process has met before: the database is examined, not the breaker.
        self._cache.database.failover.breaker.allow_probe_now()
        try:
            yield from self._connected()
        except ContinuumError as error:
            yield _failed(self._config, error)

    def _connected(self) -> Iterator[Finding]:
        (pong,) = self._sent(("PING",))
        if isinstance(pong, ReplyError):
            raise pong
        yield Finding("connection", "ok", f"{self._config.label} answers")
        yield from self._round_trips()
        yield from self._clock()
        yield from self._scope()
        yield from self._features()
        yield from _server(self._config, Examiner(self._cache).report())
        yield from self._quota()
        if self._write:
            yield from self._write_probe()

    def _round_trips(self) -> Iterator[Finding]:
        seconds = []
        for _ in range(PINGS):
            started = perf_counter()
            self._sent(("PING",))
            seconds.append(perf_counter() - started)
        seconds.sort()
        p50, p95 = seconds[PINGS // 2], seconds[PINGS * 95 // 100 - 1]
        detail = f"p50 {p50 * 1000:.1f} ms, p95 {p95 * 1000:.1f} ms of {PINGS} pings"
        slow = p50 > _SLOW
        fix = "Create the database in the region where this code runs." if slow else ""
        yield Finding("round trip", "warning" if slow else "ok", detail, fix)

    def _clock(self) -> Iterator[Finding]:
        before = time()
        (reply,) = self._sent(("TIME",))
        if isinstance(reply, ReplyError):
            yield Finding("clock", "info", f"TIME is not answered: {reply}")
            return
        seconds, micros = (int(part) for part in _listed(reply))
        offset = seconds + micros / 1e6 - (before + time()) / 2
        wrong = abs(offset) > _SKEW
        fix = "Correct this machine's clock (NTP): rate limits and expiry times follow it."
        yield Finding(
            "clock",
            "warning" if wrong else "ok",
            f"the database's is {abs(offset):.3f} s {'ahead' if offset > 0 else 'behind'}",
            fix if wrong else "",
        )

    def _scope(self) -> Iterator[Finding]:
        # A read-only token may neither write nor walk (Upstash docs, redis/features/restapi).
        (reply,) = self._sent(("SCAN", "0", "COUNT", 1))
        if isinstance(reply, NotPermitted):
            fix = "Use the standard token: this one cannot write."
            yield Finding("token", "failed", "the token is read-only", fix)
        elif isinstance(reply, ReplyError):
            yield Finding("token", "warning", f"SCAN is not answered: {reply}", "Try again later.")
        else:
            hint = "" if self._write else "; --write tries whether it may write"
            yield Finding("token", "ok", f"the token may walk, which a read-only one may not{hint}")

    def _features(self) -> Iterator[Finding]:
        (reply,) = self._sent(("COMMAND", "INFO", *_FEATURES))
        if not isinstance(reply, list):
            yield Finding("features", "info", "the server does not tell its commands")
            return
        known = [name for name, each in zip(_FEATURES, reply, strict=True) if each]
        missing = [name for name in _FEATURES if name not in known]
        detail = ", ".join(known) + (f"; not {', '.join(missing)}" if missing else "")
        fix = "" if "EVAL" in known else "incr() and rate limits need scripts: use another server."
        yield Finding("features", "failed" if fix else "ok", detail, fix)

    def _quota(self) -> Iterator[Finding]:
        try:
            plan = PRICING_PLANS[get_pricing_plan_name(self._config.alias)]
        except ConfigurationError as error:
            yield Finding("quota", "failed", str(error), "Correct CONTINUUM_STATS.")
            return
        yield Finding("request limit", "info", f"{plan.request_mb} MB, arguments and replies alike")
        overview = Overseer(self._cache).overview(timedelta(hours=1), datetime.now(UTC))
        bill, errors = overview.bill, "; ".join(overview.errors)
        if bill is None:
            yield Finding("quota", "warning" if errors else "info", errors or NO_HISTORY)
            return
        much = bill.used_ratio is not None and bill.used_ratio >= WARN_RATIO
        limit = "" if bill.limit is None else f" of {bill.limit:,}"
        detail = f"{bill.commands:,}{limit} commands this month, {bill.projected:,} at its end"
        fix = "At the limit every command fails: choose a larger plan." if much else ""
        yield Finding("quota", "warning" if much else "ok", detail, fix)

    def _write_probe(self) -> Iterator[Finding]:
        replies = self._sent(("SET", _PROBE, b"1", "EX", 10), ("GETDEL", _PROBE))
        errors = [str(reply) for reply in replies if isinstance(reply, ReplyError)]
        if errors:
            yield Finding("write", "failed", errors[0], "See the message.")
        else:
            yield Finding("write", "ok", "a key was written, read and deleted")

    def _sent(self, *commands: Command) -> Replies:
        return self._cache.database.send(Batch(commands, needs_server=True))


def _configuration(config: Config) -> Iterator[Finding]:
    found = ", ".join(f"{name} from {source}" for name, source in config.sources)
    if config.mode == "local":
        wrong = config.unconfigured and not settings.DEBUG
        detail = "no database: a store in each process"
        yield Finding("configuration", "failed" if wrong else "warning", detail, config.setup_hint)
        if conf.are_stored_in(config.alias):
            yield _sessions_in_memory(config)
        return
    yield Finding("configuration", "ok", f"{config.mode}: {found}")
    url = config.rest_url or (config.redis_url.reveal() if config.redis_url else "")
    plain = urlsplit(url).scheme in {"http", "redis", "unix"}
    if not plain:
        yield Finding("encryption", "ok", f"TLS to {config.host}")
    elif is_private(config.host):
        yield Finding("encryption", "info", f"no TLS to {config.host}, which is private")
    else:
        fix = "Write https:// or rediss:// in the URL."
        yield Finding("encryption", "failed", f"no TLS to {config.host}", fix)


def _sessions_in_memory(config: Config) -> Finding:
    detail = "they would stand in the memory of this one process"
    if conf.allow_eviction:
        return Finding("sessions", "info", f"{detail}: SESSION_ALLOW_EVICTION accepts that")
    return Finding("sessions", "failed", detail, config.setup_hint)


def _failed(config: Config, error: ContinuumError) -> Finding:
    fix = next((fix for kind, fix in _FIXES.items() if isinstance(error, kind)), "")
    if isinstance(error, Unavailable) and "certificate" in str(error).lower():
        fix = "Set CA_FILE if a proxy or an emulator has a certificate of its own."
    elif isinstance(error, Unavailable) and is_loopback(config.host):
        fix = "Does it run, on this port? manage.py upstash_emulator (--token, --port) starts one."
    return Finding("connection", "failed", str(error), fix.format(host=config.host))


def _server(config: Config, report: Report) -> Iterator[Finding]:
    server = report.server
    if server is None:
        yield Finding("server", "info", "INFO is not answered")
        return
    yield Finding("server", "info", f"Redis {server.version}, {server.keys:,} keys")
    used = server.memory_used
    if used is not None:
        full = used >= FULL
        fix = "Delete keys (manage.py cache_cleanup), or choose a larger plan." if full else ""
        yield Finding("memory", "warning" if full else "ok", f"{used:.1%} of the limit", fix)
    yield _eviction(config, server.policy, evicts=server.evicts)


def _eviction(config: Config, policy: str, *, evicts: bool) -> Finding:
    holds = conf.are_stored_in(config.alias)
    if evicts and holds:
        detail = f"{policy}, and sessions are kept here"
        if conf.allow_eviction:
            return Finding("eviction", "info", f"{detail}: SESSION_ALLOW_EVICTION accepts that")
        fix = "Console: switch Eviction off, or give sessions a database of their own."
        return Finding("eviction", "failed", detail, fix)
    counts = limits.has_counters_in(config.alias)
    if evicts and counts:
        detail = f"{policy}, and rate limits are counted here: counters go first"
        fix = "Console: switch Eviction off, or name another ALIAS in CONTINUUM_RATELIMIT."
        return Finding("eviction", "warning", detail, fix)
    if not evicts and not holds and not counts:
        fix = "For a pure cache switch Eviction on: else writes fail when the database is full."
        return Finding("eviction", "info", policy or "not told", fix)
    return Finding("eviction", "ok", policy)


def _listed(reply: Reply) -> list[Any]:
    assert isinstance(reply, list)
    return reply
