"""The CACHES entries of this package, read without opening a cache."""

from __future__ import annotations

import os
from typing import Any, cast

from django.conf import settings

from continuum_upstash.cache.base import import_key_functions
from continuum_upstash.cache.django_redis_settings import add_ignore_exceptions
from continuum_upstash.config.resolve import Config, resolve
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.health.probe import list_upstash_aliases


def get_entry(alias: str) -> dict[str, Any]:
    entry: Any = settings.CACHES[alias]
    return cast("dict[str, Any]", entry)


def get_key_prefix(alias: str) -> str:
    return str(get_entry(alias).get("KEY_PREFIX", ""))


def resolve_entries() -> tuple[dict[str, Config], list[ConfigurationError]]:
    """Return the configurations by alias, and an error for each invalid entry."""
    configs, errors = {}, []
    for alias in list_upstash_aliases():
        entry = get_entry(alias)
        location = entry.get("LOCATION", "")
        options = add_ignore_exceptions(entry.get("OPTIONS", {}))
        try:
            import_key_functions(alias, entry)
            configs[alias] = resolve(options, os.environ, alias=alias, location=location)
        except ConfigurationError as error:
            errors.append(error)
    return configs, errors
