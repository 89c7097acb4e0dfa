"""Checks of the session engine, its middleware and its database."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage
from django.utils.translation import gettext

from continuum_upstash.checks.catalogue import check_message
from continuum_upstash.checks.entries import resolve_entries
from continuum_upstash.config.resolve import Config
from continuum_upstash.health.probe import list_upstash_aliases
from continuum_upstash.sessions.conf import conf

_CACHE_ENGINES: Final = frozenset(
    {"django.contrib.sessions.backends.cache", "django.contrib.sessions.backends.cached_db"}
)
_MIDDLEWARE: Final = "continuum_upstash.sessions.middleware.SessionMiddleware"
_DJANGO_MIDDLEWARE: Final = "django.contrib.sessions.middleware.SessionMiddleware"


def check_sessions(**_: Any) -> list[CheckMessage]:
    """Check for what is wrong in development and production."""
    configs, _errors = resolve_entries()  # check_caches reports the errors
    return [*_check_alias(), *_check_database(configs), *_check_engine()]


def check_session_middleware(**_: Any) -> list[CheckMessage]:
    """Check whether an outage of the session database is handled."""
    if not conf.is_active or _DJANGO_MIDDLEWARE not in settings.MIDDLEWARE:
        return []
    text = gettext(
        "Django's SessionMiddleware responds with 500 during an outage of the session database."
    )
    return [check_message("W018", text)]


def _check_alias() -> Iterator[CheckMessage]:
    alias = settings.SESSION_CACHE_ALIAS
    if conf.is_active and alias not in list_upstash_aliases():
        text = gettext("SESSION_CACHE_ALIAS is '{alias}', which is not a cache of this package.")
        yield check_message("E005", text.format(alias=alias))


def _check_database(configs: Mapping[str, Config]) -> Iterator[CheckMessage]:
    engine, alias = settings.SESSION_ENGINE, settings.SESSION_CACHE_ALIAS
    config = configs.get(alias)
    if config is None or config.mode == "local":
        return
    if engine in _CACHE_ENGINES and config.fallback:
        text = gettext(
            "during an outage, {engine} creates sessions that only one process can read."
        )
        yield check_message("W013", text.format(engine=engine), alias)
    for other in configs.values() if conf.is_active else ():
        if other.server_identity != config.server_identity:
            continue
        if other.alias != alias:
            text = gettext("sessions share a database with the cache '{other}'.")
            yield check_message("W016", text.format(other=other.alias), alias)


def _check_engine() -> Iterator[CheckMessage]:
    """Report misconfiguration that would make SessionMiddleware raise at startup."""
    if _MIDDLEWARE in settings.MIDDLEWARE and not conf.is_active:
        text = gettext("{middleware} does not work with SESSION_ENGINE = '{engine}'.")
        text = text.format(middleware=_MIDDLEWARE, engine=settings.SESSION_ENGINE)
        yield check_message("E008", text)
