"""The configuration of an alias as a table: no secrets, and where each value comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.conf import settings
from django.template.defaultfilters import filesizeformat
from django.utils.formats import number_format
from django.utils.translation import gettext_lazy as _

from continuum_upstash.cache.django_redis_settings import add_ignore_exceptions
from continuum_upstash.config.budget import Budget
from continuum_upstash.config.django_redis import (
    TCP_OPTIONS,
    replace_options,
    replace_tcp_options,
)
from continuum_upstash.config.hashable import from_hashable
from continuum_upstash.config.resolve import Config
from continuum_upstash.config.secrets import Secret
from continuum_upstash.panel.formatting import Text

# The page shows the alias elsewhere, and the others in another form.
_OMITTED: Final = frozenset(
    {
        "alias",
        "env_prefix",
        "near_scope",
        "redis_options",
        "rest_url",
        "setup_hint",
        "signing_keys",
        "sources",
        "unconfigured",
    }
)
_HIDDEN: Final = "••••••••"
_SECONDS: Final = frozenset(
    {"connect_timeout", "read_timeout", "health_check_interval", "near", "ttl_by_prefix"}
)
_BYTES: Final = frozenset(
    {"compress_min_bytes", "max_value_bytes", "local_max_bytes", "near_max_bytes"}
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the table.

    Attributes:
        name: as in OPTIONS.
        value: with its unit.
        source: an environment variable, OPTIONS, LOCATION, or that it is the default.
    """

    name: str
    value: Text
    source: Text


def list_entries(config: Config) -> list[Entry]:
    options, sources = _get_options(config), dict(config.sources)
    host = [Entry("REST_URL", config.host, sources["rest_url"])] if config.rest_url else []
    entries = [
        Entry(
            name.upper(),
            _format_value(name, value),
            _find_source(name, value, options, sources),
        )
        for name in config.NAMES
        if name not in _OMITTED and (value := getattr(config, name)) is not None
    ]
    # The values of redis-py's own options may contain passwords.
    redis_options = sorted(from_hashable(config.redis_options))
    return host + entries + [Entry(name, _HIDDEN, "OPTIONS") for name in redis_options]


def _find_source(
    name: str, value: object, options: dict[str, object], sources: dict[str, str]
) -> Text:
    if name in sources:
        return sources[name]
    if name.upper() in options:
        return "OPTIONS"
    if value == getattr(Config, name):
        return _("default")
    if name == "mode":  # derived from the URL
        return sources.get("rest_url") or sources["redis_url"]
    return _("environment")


def _format_value(name: str, value: object) -> Text:
    if isinstance(value, Secret):
        return _HIDDEN
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, Budget):
        amount = value.amount
        text = getattr(amount, "__qualname__", "?") if callable(amount) else f"{amount:,}"
        return f"{text} {value.unit}"
    if isinstance(value, tuple):
        pairs = (f"{prefix} {_format_seconds(seconds)}" for prefix, seconds in value)
        return ", ".join(pairs) or _("none")
    if name in _BYTES:
        return filesizeformat(str(value))
    return _format_seconds(value) if name in _SECONDS else str(value)


def _format_seconds(value: Any) -> Text:
    if value is None:
        return _("no expiry")
    return f"{number_format(int(value) if value == int(value) else value)} s"


def _get_options(config: Config) -> dict[str, object]:
    entry: dict[str, Any] = settings.CACHES[config.alias]
    options = add_ignore_exceptions(entry.get("OPTIONS", {}))
    replace_options(options)
    if config.mode == "rest":
        replace_tcp_options(
            options, {name: options[name] for name in TCP_OPTIONS.keys() & options.keys()}
        )
    return options
