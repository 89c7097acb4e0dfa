"""Examines one cache, from its configuration to its round trips; each problem comes with a fix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from time import perf_counter, time
from typing import Any, Final, TypeAlias

from django.conf import settings

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.config.resolve import Config
from continuum_upstash.config.urls import is_loopback, is_private
from continuum_upstash.documentation import link_to
from continuum_upstash.errors import (
    AuthenticationFailed,
    BudgetExceeded,
    CapacityExceeded,
    ConfigurationError,
    ContinuumError,
    NotPermitted,
    PoolExhausted,
    QuotaExceeded,
    ReadOnlyReplica,
    ReplyError,
    Unavailable,
)
from continuum_upstash.health.account import examine_account, read_account
from continuum_upstash.health.findings import Finding, Outcome
from continuum_upstash.health.overview import NO_HISTORY, read_overview
from continuum_upstash.health.probe import MEMORY_WARN_RATIO, Health, list_job_aliases, probe_health
from continuum_upstash.health.quantities import format_milliseconds, format_percentage
from continuum_upstash.keys import DOCTOR_KEYS
from continuum_upstash.observe import RESTRICTED_STAGES
from continuum_upstash.plans import info
from continuum_upstash.plans.effects import Batch, Plan
from continuum_upstash.protocol import Command, Replies, Reply
from continuum_upstash.ratelimit.conf import conf as ratelimit_conf
from continuum_upstash.sessions.conf import conf as session_conf
from continuum_upstash.stats.pricing import WARN_RATIO, get_pricing_plan, get_pricing_plan_name
from continuum_upstash.stats.totals import Totals
from continuum_upstash.transports.service_errors import COPY_CREDENTIALS

PINGS: Final = 20
_MAX_CLOCK_OFFSET: Final = 1.0  # seconds; beyond, expiry times are visibly wrong
_SLOW: Final = 0.15  # seconds: longer than to another region of the same continent
_TEST_KEY: Final = f"{DOCTOR_KEYS}probe"
_FEATURES: Final = ("EVAL", "DELEX", "GETEX", "UNLINK", "HEXPIRE", "JSON.GET")

_FREE_SPACE: Final = "Delete keys (manage.py cache_cleanup), or choose a larger pricing plan."
_RAISE_BUDGET: Final = "Raise OPTIONS['BUDGET'], or wait for the next month."
_FIXES: Final = {
    AuthenticationFailed: COPY_CREDENTIALS,
    CapacityExceeded: _FREE_SPACE,
    NotPermitted: "Use the standard token: this one cannot write.",
    ReadOnlyReplica: "Wait until the database accepts writes again, after an upgrade for example.",
    QuotaExceeded: (
        "Change the pricing plan or raise the budget in the console, or wait for next month."
    ),
    Unavailable: (
        "Does {host} resolve from here? Is the database active in the console, and not archived? "
        "Is an IP allow list on, and this machine's address not in it? Does a firewall block "
        "outgoing connections to port 443 (REST) or 6379 (TCP)?"
    ),
}


_Check: TypeAlias = Callable[[UpstashBaseCache], Plan[list[Finding]]]


def examine(
    cache: UpstashBaseCache, *, write: bool = False, account: bool = False
) -> Iterator[Finding]:
    """Yield the findings as they are made. Costs a few billed commands.

    Args:
        cache: the cache.
        write: also write, read and delete a key (two billed commands).
        account: also read what Upstash's Developer API says (up to five billed commands, for the
            statistics that it is compared with).
    """
    config = cache.database.config
    yield from _examine_configuration(config)
    if config.mode == "local":
        return
    # The database is examined, whatever state the breaker of this process is in.
    cache.database.failover.breaker.allow_probe_now()
    checks: tuple[_Check, ...] = (
        _check_connection,
        _measure_round_trips,
        _check_clock,
        partial(_check_token, write=write),
        _check_features,
        _check_server,
        _check_quota,
        *([_check_write] if write else []),
    )
    try:
        for check in checks:
            yield from cache.run(check(cache))
    except ContinuumError as error:
        yield _explain_failure(config, error)
        return
    if account:
        yield from _examine_account(cache)


def _examine_account(cache: UpstashBaseCache) -> Iterator[Finding]:
    try:
        found = read_account(cache.database)
        overview = cache.run(read_overview(cache, minutes=timedelta(hours=1)))
    except ContinuumError as error:
        yield Finding(
            "account", "warning", str(error), f"See {link_to('how-to/costs', 'the-account')}"
        )
        return
    yield from examine_account(cache.database, found, overview)


def _check_connection(cache: UpstashBaseCache) -> Plan[list[Finding]]:
    (pong,) = yield from _send(("PING",))
    if isinstance(pong, ReplyError):
        raise pong
    return [Finding("connection", "ok", f"{cache.database.config.label} replies")]


def _measure_round_trips(_: UpstashBaseCache) -> Plan[list[Finding]]:
    seconds = []
    for _attempt in range(PINGS):
        started = perf_counter()
        yield from _send(("PING",))
        seconds.append(perf_counter() - started)
    seconds.sort()
    p50, p95 = seconds[PINGS // 2], seconds[PINGS * 95 // 100 - 1]
    detail = f"p50 {format_milliseconds(p50)}, p95 {format_milliseconds(p95)} of {PINGS} pings"
    slow = p50 > _SLOW
    fix = "Create the database in the region where this code runs." if slow else ""
    return [Finding("round trip", "warning" if slow else "ok", detail, fix)]


def _check_clock(_: UpstashBaseCache) -> Plan[list[Finding]]:
    before = time()
    (reply,) = yield from _send(("TIME",))
    if isinstance(reply, ReplyError):
        return [Finding("clock", "info", f"TIME failed: {reply}")]
    seconds, micros = (int(part) for part in _as_list(reply))
    offset = seconds + micros / 1e6 - (before + time()) / 2
    detail = f"the server's clock is {abs(offset):.3f} s {'ahead' if offset > 0 else 'behind'}"
    if abs(offset) <= _MAX_CLOCK_OFFSET:
        return [Finding("clock", "ok", detail)]
    fix = "Correct this machine's clock (NTP): rate limits and expiry times depend on it."
    return [Finding("clock", "warning", detail, fix)]


def _check_token(_: UpstashBaseCache, *, write: bool) -> Plan[list[Finding]]:
    # A read-only token permits neither writes nor SCAN (Upstash docs, redis/features/restapi).
    (reply,) = yield from _send(("SCAN", "0", "COUNT", 1))
    if isinstance(reply, NotPermitted):
        fix = "Use the standard token: this one cannot write."
        return [Finding("token", "failed", "the token is read-only", fix)]
    if isinstance(reply, ReplyError):
        return [Finding("token", "warning", f"SCAN failed: {reply}", "Try again later.")]
    hint = "" if write else " (--write tests whether it can write)"
    return [Finding("token", "ok", f"the token permits SCAN, so it is not read-only{hint}")]


def _check_features(_: UpstashBaseCache) -> Plan[list[Finding]]:
    reply, server = yield from _send(("COMMAND", "INFO", *_FEATURES), ("INFO",))
    if not isinstance(reply, list) or len(reply) != len(_FEATURES):  # Upstash returns an empty list
        detail = f"the server does not list its commands{_describe_versions(server)}"
        return [Finding("features", "info", detail)]
    known = [name for name, each in zip(_FEATURES, reply, strict=True) if each]
    missing = [name for name in _FEATURES if name not in known]
    detail = ", ".join(known) + (f"; not {', '.join(missing)}" if missing else "")
    if "EVAL" in known:
        return [Finding("features", "ok", detail)]
    fix = "incr() and rate limits need scripts: use another server."
    return [Finding("features", "failed", detail, fix)]


def _describe_versions(reply: Reply) -> str:
    """Return the versions in the reply to INFO, which decide what the server supports."""
    if not isinstance(reply, bytes):
        return ""
    fields = info.parse(reply.decode("utf-8", "replace"))
    versions = {"Redis": fields["version"], "Upstash": fields.get("upstash_version")}
    known = [f"{name} {version}" for name, version in versions.items() if version]
    return f"; its version is that of {' and '.join(known)}" if known else ""


def _check_server(cache: UpstashBaseCache) -> Plan[list[Finding]]:
    health = yield from probe_health(cache)
    server = health.server
    if server is None:
        return [Finding("server", "info", "the server refuses INFO")]
    findings = [Finding("server", "info", f"Redis {server.version}, {server.keys:,} keys")]
    findings += _examine_memory(health, server.memory_ratio)
    alias = cache.database.config.alias
    return [*findings, _examine_eviction(alias, server.policy, evicts=server.evicts)]


def _examine_memory(health: Health, ratio: float | None) -> list[Finding]:
    used = "" if ratio is None else f"{format_percentage(ratio)} of the limit"
    if health.is_full:
        detail = f"full, writes are refused: {used}" if used else "full, writes are refused"
        return [Finding("memory", "failed", detail, _FREE_SPACE)]
    if ratio is None:
        return []
    if ratio >= MEMORY_WARN_RATIO:
        return [Finding("memory", "warning", used, _FREE_SPACE)]
    return [Finding("memory", "ok", used)]


def _check_quota(cache: UpstashBaseCache) -> Plan[list[Finding]]:
    try:
        plan = get_pricing_plan(get_pricing_plan_name(cache.database.config.alias))
    except ConfigurationError as error:
        return [Finding("quota", "failed", str(error), "Correct CONTINUUM_STATS.")]
    limit = f"{plan.request_mb} MB per request and per response"
    findings = [Finding("request limit", "info", limit)]
    overview = yield from read_overview(cache)
    findings += _examine_pool(overview.today)
    findings += _examine_unstored(overview.today)
    findings += _examine_budget(overview.health)
    bill, errors = overview.bill, "; ".join(overview.errors)
    if bill is None:
        outcome: Outcome = "warning" if errors else "info"
        return [*findings, Finding("quota", outcome, errors or NO_HISTORY)]
    maximum = "" if bill.limit is None else f" of {bill.limit:,}"
    detail = f"{bill.commands:,}{maximum} commands this month, projected: "
    detail += bill.describe_projection()
    if (bill.used_ratio or 0) < WARN_RATIO:
        return [*findings, Finding("quota", "ok", detail)]
    fix = "At the limit every command fails: choose a larger pricing plan."
    return [*findings, Finding("quota", "warning", detail, fix)]


def _examine_pool(today: Totals) -> list[Finding]:
    count = today.errors.get(PoolExhausted.__name__, 0)
    if not count:
        return []
    detail = f"{count:,} calls failed today because all connections were busy"
    return [Finding("connection pool", "warning", detail, "Raise POOL_SIZE.")]


def _examine_unstored(today: Totals) -> list[Finding]:
    count = today.discarded.get("full", 0)
    if not count:
        return []
    detail = f"{count:,} times today, values were not stored because the database was full"
    return [Finding("full", "warning", detail, _FREE_SPACE)]


def _examine_budget(health: Health) -> list[Finding]:
    budget = health.status.budget
    if budget is None:
        return []
    detail = f"stage {budget.stage}: {budget.used:,} of {budget.limit:,} commands this month"
    if budget.stage == "within":
        return [Finding("budget", "ok", detail)]
    outcome: Outcome = "failed" if budget.stage in RESTRICTED_STAGES else "warning"
    return [Finding("budget", outcome, detail, _RAISE_BUDGET)]


def _check_write(_: UpstashBaseCache) -> Plan[list[Finding]]:
    replies = yield from _send(("SET", _TEST_KEY, b"1", "EX", 10), ("GETDEL", _TEST_KEY))
    error = next((reply for reply in replies if isinstance(reply, ReplyError)), None)
    if error is not None:
        fix = next((fix for kind, fix in _FIXES.items() if isinstance(error, kind)), "")
        return [Finding("write", "failed", str(error), fix)]
    return [Finding("write", "ok", "a key was written, read and deleted")]


def _send(*commands: Command) -> Plan[Replies]:
    replies: Replies = yield Batch(commands, needs_server=True)
    return replies


def _examine_configuration(config: Config) -> Iterator[Finding]:
    if config.mode == "local":
        wrong = config.unconfigured and not settings.DEBUG
        detail = "no database: each process has a separate local store"
        yield Finding("configuration", "failed" if wrong else "warning", detail, config.setup_hint)
        if session_conf.are_stored_in(config.alias):
            yield _examine_sessions_in_memory(config)
        return
    sources = ", ".join(f"{name} from {source}" for name, source in config.sources)
    yield Finding("configuration", "ok", f"{config.mode}: {sources}")
    if config.proxy is not None:
        detail = f"REST requests are sent through {config.proxy}, from {config.proxy.source}"
        yield Finding("proxy", "info", detail)
    yield _examine_encryption(config)


def _examine_encryption(config: Config) -> Finding:
    url = config.rest_url or (config.redis_url.reveal() if config.redis_url else "")
    scheme = url.partition(":")[0].lower()
    if scheme == "unix":
        return Finding("encryption", "info", f"no TLS over the Unix socket {config.address}")
    if scheme not in {"http", "redis"}:
        return Finding("encryption", "ok", f"TLS to {config.host}")
    if is_private(config.host):
        return Finding("encryption", "info", f"no TLS to {config.host}, a private address")
    fix = "Write https:// or rediss:// in the URL."
    return Finding("encryption", "failed", f"no TLS to {config.host}", fix)


def _examine_sessions_in_memory(config: Config) -> Finding:
    detail = "sessions would be stored in the memory of this process only"
    if session_conf.allow_eviction:
        return Finding("sessions", "info", f"{detail}; SESSION_ALLOW_EVICTION allows this")
    return Finding("sessions", "failed", detail, config.setup_hint)


def _explain_failure(config: Config, error: ContinuumError) -> Finding:
    if isinstance(error, BudgetExceeded):
        return Finding("budget", "failed", str(error), _RAISE_BUDGET)
    fix = next((fix for kind, fix in _FIXES.items() if isinstance(error, kind)), "")
    if isinstance(error, Unavailable) and "certificate" in str(error).lower():
        fix = "Set CA_FILE if a proxy or an emulator has a certificate of its own."
    elif isinstance(error, Unavailable) and "does not use TLS" in str(error):
        fix = "Correct the scheme or the port of the URL."
    elif isinstance(error, Unavailable) and "TOKEN raised" in str(error):
        fix = "Correct the callable TOKEN: call it in manage.py shell to see its exception."
    elif isinstance(error, Unavailable) and config.proxy is not None:
        fix = (
            f"Does the proxy in {config.proxy.source} work from here, and does it allow "
            "connections to {host}? If no proxy is needed for this host, add it to NO_PROXY."
        )
    elif isinstance(error, Unavailable) and not config.host:
        fix = f"Is the server running, and may this process use its socket {config.address}?"
    elif isinstance(error, Unavailable) and is_loopback(config.host):
        fix = (
            "Is the server running on this port? manage.py upstash_emulator (--token, --port) "
            "starts one."
        )
    fix = fix.format(host=config.host)
    detail = str(error).removesuffix(fix).rstrip()  # the text of some errors ends with the fix
    return Finding("connection", "failed", detail, fix)


def _examine_eviction(alias: str, policy: str, *, evicts: bool) -> Finding:
    has_sessions = session_conf.are_stored_in(alias)
    if evicts and has_sessions:
        detail = f"{policy}, and the database stores sessions"
        if session_conf.allow_eviction:
            return Finding("eviction", "info", f"{detail}; SESSION_ALLOW_EVICTION allows this")
        fix = "Switch Eviction off in the console, or use a separate database for sessions."
        return Finding("eviction", "failed", detail, fix)
    has_jobs = alias in list_job_aliases()
    if evicts and has_jobs:
        fix = "Switch Eviction off in the console, or use a separate database for queues and tasks."
        return Finding("eviction", "failed", f"{policy}, and the database stores jobs", fix)
    has_counters = ratelimit_conf.has_counters_in(alias)
    if evicts and has_counters:
        detail = f"{policy}, and the database stores rate-limit counters, which are evicted first"
        fix = "Switch Eviction off in the console, or set another ALIAS in CONTINUUM_RATELIMIT."
        return Finding("eviction", "warning", detail, fix)
    if not (evicts or has_sessions or has_jobs or has_counters):
        fix = "For a pure cache, switch Eviction on: otherwise writes fail when it is full."
        return Finding("eviction", "info", policy or "unknown", fix)
    return Finding("eviction", "ok", policy)


def _as_list(reply: Reply) -> list[Any]:
    assert isinstance(reply, list)
    return reply
