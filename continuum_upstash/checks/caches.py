"""System checks: what is wrong with the settings, without asking anybody over the network.

Only ``manage.py check --tag continuum_upstash_live`` talks to the databases.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import combinations
from ssl import CERT_NONE
from typing import Any, Final, TypeAlias, cast
from urllib.parse import parse_qs, urlsplit

from django.conf import settings
from django.core.cache.backends.base import get_key_func
from django.core.checks import CheckMessage, Tags, register
from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch, reverse

from continuum_upstash.checks.catalogue import message
from continuum_upstash.checks.ratelimit import check_ratelimit
from continuum_upstash.checks.stats import check_statistics
from continuum_upstash.config.credentials import is_private
from continuum_upstash.config.hashable import thaw
from continuum_upstash.config.resolve import Config, resolve
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.health import report as health
from continuum_upstash.keys import own_keys
from continuum_upstash.ratelimit.conf import conf as limits
from continuum_upstash.sessions.conf import conf
from continuum_upstash.sessions.signing import record_name

LIVE: Final = "continuum_upstash_live"
_CACHED_SESSIONS: Final = frozenset(
    {"django.contrib.sessions.backends.cache", "django.contrib.sessions.backends.cached_db"}
)
_OUR_MIDDLEWARE: Final = "continuum_upstash.sessions.middleware.SessionMiddleware"
_DJANGOS_MIDDLEWARE: Final = "django.contrib.sessions.middleware.SessionMiddleware"
_UNVERIFIED: Final = (None, "none", CERT_NONE)  # as redis-py spells it
_PLATFORMS: Final = {"VERCEL": "Vercel", "AWS_LAMBDA_FUNCTION_NAME": "Lambda"}
_LONG_WAIT: Final = 10.0  # seconds: the shortest default limit among serverless platforms

Messages: TypeAlias = Iterator[CheckMessage]
_Rule: TypeAlias = Callable[[Config], Messages]


def check_configuration(**_: Any) -> list[CheckMessage]:
    """Check what would be wrong anywhere."""
    found: list[CheckMessage] = []
    configs: dict[str, Config] = {}
    for alias in health.aliases():
        try:
            configs[alias] = _config(alias)
        except ConfigurationError as error:
            found.append(message("E002", str(error)))
    for config in configs.values():
        for rule in _ALWAYS:
            found += rule(config)
    found += [*_neighbours(configs), *_sessions(configs), *_session_engine()]
    return [*found, *check_statistics(configs)]


def check_deployment(**_: Any) -> list[CheckMessage]:
    """Check what is wrong in production; ``manage.py check --deploy``."""
    found: list[CheckMessage] = []
    for alias in health.aliases():
        try:
            config = _config(alias)
        except ConfigurationError:
            continue  # E002 says so
        for rule in _DEPLOYED:
            found += rule(config)
    return [*found, *_session_middleware(), *_probes()]


def check_live(**_: Any) -> list[CheckMessage]:
    """Ask the databases, if that is what the command line asks for.

    Django runs every check with each runserver and migrate, and does not tell a check whether its
    tag was asked for.
    """
    if not any(argument.endswith(LIVE) for argument in sys.argv):
        return []
    return [each for alias in health.aliases() for each in _live(alias)]


def _live(alias: str) -> Messages:
    try:
        (cache,) = health.ours([alias])
    except ImproperlyConfigured as error:
        yield message("E002", str(error))  # with a tag the other checks are not run
        return
    yield from _credentials(cache.database.config)  # nor this one
    report = health.Examiner(cache).report()
    for text in report.errors:
        yield message("E040", text, alias)
    yield from _eviction(report)


def _eviction(report: health.Report) -> Messages:
    server = report.server
    if report.mode == "local" or server is None or not server.evicts:
        return
    if conf.live_in(report.alias):
        text = f"it holds sessions and deletes keys when it is full ({server.policy})."
        yield message("I041" if conf.allow_eviction else "E041", text, report.alias)
    if limits.counts_in(report.alias):
        text = (
            f"it counts rate limits and deletes counters first when it is full ({server.policy})."
        )
        yield message("W205", text, report.alias)


def add_checks() -> None:
    register(check_configuration, Tags.caches)
    register(check_deployment, Tags.caches, Tags.security, deploy=True)
    register(check_ratelimit)
    register(check_live, LIVE)


# ---- of one alias


def _credentials(config: Config) -> Messages:
    if not config.unconfigured:
        return
    text = "there are no credentials, so each process has a cache of its own."
    number = "W001" if settings.DEBUG else "E001"
    yield message(number, text, config.alias, config.env_prefix)


def _encryption(config: Config) -> Messages:
    for url in (config.rest_url, config.redis_url and config.redis_url.reveal()):
        if url and urlsplit(url).scheme in {"http", "redis"} and not is_private(config.host):
            yield message("E004", f"{config.host} is spoken to without TLS.", config.alias)


def _read_only(config: Config) -> Messages:
    read_only = os.environ.get("KV_REST_API_READ_ONLY_TOKEN")
    if config.token is not None and read_only and config.token.value == read_only:
        yield message("W012", "its token is KV_REST_API_READ_ONLY_TOKEN.", config.alias)


def _sources(config: Config) -> Messages:
    found = ", ".join(f"{name} from {source}" for name, source in config.sources)
    yield message("I030", f"{config.mode}{': ' if found else ''}{found}", config.alias)


def _literals(config: Config) -> Messages:
    entry = _entry(config.alias)
    token = entry.get("OPTIONS", {}).get("TOKEN")
    if isinstance(token, str) and token not in os.environ.values():
        yield message("W010", "its token stands in the settings.", config.alias)
    if urlsplit(entry.get("LOCATION", "")).password:
        text = "LOCATION holds a password, which Django's error pages show."
        yield message("W011", text, config.alias)


def _certificates(config: Config) -> Messages:
    url = config.redis_url.reveal() if config.redis_url else ""
    pool = thaw(config.redis_options).get("CONNECTION_POOL_KWARGS", {})
    asked = [
        *parse_qs(urlsplit(url).query).get("ssl_cert_reqs", ()),
        pool.get("ssl_cert_reqs", "required"),
    ]
    if config.mode == "redis" and any(each in _UNVERIFIED for each in asked):
        yield message("W019", f"nobody checks that {config.host} is who it says.", config.alias)


def _lifetimes(config: Config) -> Messages:
    entry = _entry(config.alias)
    if entry.get("TIMEOUT", 300) is None and not config.ttl_by_prefix and config.mode != "local":
        yield message("W014", "TIMEOUT is None and TTL_BY_PREFIX is empty.", config.alias)


def _patience(config: Config) -> Messages:
    platform = next((name for variable, name in _PLATFORMS.items() if variable in os.environ), None)
    if platform and config.read_timeout >= _LONG_WAIT:
        text = f"READ_TIMEOUT is {config.read_timeout:g} s, and {platform} ends requests by then."
        yield message("W015", text, config.alias)


def _local_in_production(config: Config) -> Messages:
    if config.mode == "local" and not config.unconfigured:
        yield message("W017", "MODE is local.", config.alias)


_ALWAYS: Final[tuple[_Rule, ...]] = (_credentials, _encryption, _read_only)
_DEPLOYED: Final[tuple[_Rule, ...]] = (
    _literals,
    _certificates,
    _lifetimes,
    _patience,
    _local_in_production,
    _sources,
)


# ---- of several, and of other settings


def _neighbours(configs: dict[str, Config]) -> Messages:
    for one, other in combinations(configs.values(), 2):
        if one.place != other.place or not one.place:
            continue
        if _prefix(one.alias) != _prefix(other.alias):
            continue
        both = f"'{one.alias}' and '{other.alias}' have one database and one KEY_PREFIX"
        if one.serializer != other.serializer or one.pickle != other.pickle:
            yield message("E003", f"{both}, but write values differently.")
        else:
            yield message("W003", f"{both}.")


def _sessions(configs: dict[str, Config]) -> Messages:
    engine, alias = settings.SESSION_ENGINE, settings.SESSION_CACHE_ALIAS
    if conf.ours and alias not in health.aliases():
        yield message("E005", f"SESSION_CACHE_ALIAS is '{alias}', which is no cache of ours.")
    config = configs.get(alias)
    if config is None or config.mode == "local":
        return
    if engine in _CACHED_SESSIONS and config.fallback:
        text = f"in an outage {engine} keeps logins in one process, and others do not know them."
        yield message("W013", text, alias)
    for other in configs.values() if conf.ours else ():
        if other.place != config.place:
            continue
        if other.alias != alias:
            text = f"sessions share a database with the cache '{other.alias}'."
            yield message("W016", text, alias)
        if _reaches(other.alias, record_name(_prefix(alias), "0" * 64)):
            text = "its KEY_FUNCTION gives keys the form of sessions' names."
            yield message("W020", text, other.alias)


def _session_middleware() -> Messages:
    if conf.ours and _DJANGOS_MIDDLEWARE in settings.MIDDLEWARE:
        yield message("W018", "Django's SessionMiddleware answers an outage with 500.")


def _session_engine() -> Messages:
    """Find out what our middleware would die of when the site starts."""
    if _OUR_MIDDLEWARE not in settings.MIDDLEWARE:
        return
    if not conf.ours:
        yield message("E008", f"SESSION_ENGINE is {settings.SESSION_ENGINE}.")


def _probes() -> Messages:
    if not settings.SECURE_SSL_REDIRECT or not getattr(settings, "ROOT_URLCONF", None):
        return
    exempt = [re.compile(pattern) for pattern in settings.SECURE_REDIRECT_EXEMPT]
    for name in ("live", "ready"):
        with suppress(NoReverseMatch):
            path = reverse(f"continuum_upstash:{name}").lstrip("/")  # as SecurityMiddleware has it
            if not any(pattern.search(path) for pattern in exempt):
                yield message("W021", f"a probe of {path} is answered 301.")


def _entry(alias: str) -> dict[str, Any]:
    entry: Any = settings.CACHES[alias]
    return cast("dict[str, Any]", entry)


def _config(alias: str) -> Config:
    entry = _entry(alias)
    location, options = entry.get("LOCATION", ""), entry.get("OPTIONS", {})
    return resolve(options, os.environ, alias=alias, location=location)


def _reaches(alias: str, name: str) -> bool:
    """Return whether clear() of an alias would delete a full key."""
    try:
        return own_keys(get_key_func(_entry(alias).get("KEY_FUNCTION")), _prefix(alias)).matches(
            name
        )
    except Exception:  # noqa: BLE001 a KEY_FUNCTION may take its application's own keys only
        return False


def _prefix(alias: str) -> str:
    return str(_entry(alias).get("KEY_PREFIX", ""))
