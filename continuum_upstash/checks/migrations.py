"""Checks of the CACHES entries with MigratingCache."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from django.conf import settings
from django.core.cache import BaseCache, InvalidCacheBackendError, caches
from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.checks.catalogue import check_message
from continuum_upstash.checks.entries import get_entry
from continuum_upstash.config.resolve import resolve
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.migration.conf import BACKEND, get_settings
from continuum_upstash.migration.dual.sides import Sides


def check_migrations(**_: Any) -> list[CheckMessage]:
    """Check the two caches of each migration."""
    return [
        message
        for alias, entry in settings.CACHES.items()
        if entry.get("BACKEND") == BACKEND
        for message in _check(alias)
    ]


def _check(alias: str) -> Iterator[CheckMessage]:
    try:
        options = get_settings(alias)
        _ = caches[alias]  # it rejects TIMEOUT and the like
        sides = Sides(options)
    except (ImproperlyConfigured, InvalidCacheBackendError) as error:
        yield check_message("E501", str(error))
        return
    key = "key"
    identities = [_get_identity(options.old, sides.old), _get_identity(options.new, sides.new)]
    if identities[0] and identities[0] == identities[1]:
        names = [str(cache.make_key(key)) for cache in (sides.old, sides.new)]
        if names[0] == names[1]:
            text = gettext(
                "Cache '{alias}': OLD '{old}' and NEW '{new}' store the same keys in the same "
                "database."
            )
            yield check_message("E502", text.format(alias=alias, old=options.old, new=options.new))
    if sides.old.default_timeout != sides.new.default_timeout:
        text = gettext(
            "Cache '{alias}': TIMEOUT of '{old}' is {old_timeout}, that of '{new}' is "
            "{new_timeout}."
        ).format(
            alias=alias,
            old=options.old,
            old_timeout=sides.old.default_timeout,
            new=options.new,
            new_timeout=sides.new.default_timeout,
        )
        yield check_message("W501", text)


def _get_identity(alias: str, cache: BaseCache) -> tuple[str, ...]:
    """Return what identifies the database of a cache; empty if that is not known."""
    if isinstance(cache, UpstashBaseCache):
        return cache.database.config.server_identity
    with suppress(ConfigurationError):  # a cache that is not in Redis has another LOCATION
        location = get_entry(alias).get("LOCATION", "")
        if location:
            return resolve({}, {}, alias=alias, location=location).server_identity
    return ()
