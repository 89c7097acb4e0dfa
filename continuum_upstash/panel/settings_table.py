"""An alias's configuration as it may be shown: no secret, and where each entry comes from."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from continuum_upstash.config.credentials import Secret
from continuum_upstash.config.hashable import from_hashable
from continuum_upstash.config.resolve import Config
from continuum_upstash.panel.formatting import Text

# The alias is the page's; the rest are shown in a form of their own.
_APART: Final = frozenset(
    {"alias", "env_prefix", "redis_options", "rest_url", "sources", "unconfigured"}
)
_HIDDEN: Final = "••••••••"


@dataclass(frozen=True, slots=True)
class Entry:
    """
    Attributes:
        name: as OPTIONS spells it.
        source: an environment variable, OPTIONS, LOCATION, or that it is the default.
    """

    name: str
    value: Text
    source: Text


def entries(config: Config) -> list[Entry]:
    given, sources = _options(config.alias), dict(config.sources)
    host = [Entry("REST_URL", config.host, sources["rest_url"])] if config.rest_url else []
    shown = [
        Entry(each.name.upper(), _text(value), _source(each.name, value, given, sources))
        for each in fields(config)
        if each.name not in _APART and (value := getattr(config, each.name)) is not None
    ]
    # Their values may hold passwords.
    own = [Entry(name, _HIDDEN, "OPTIONS") for name in sorted(from_hashable(config.redis_options))]
    return host + shown + own


def _source(name: str, value: object, given: dict[str, object], sources: dict[str, str]) -> Text:
    if name in sources:
        return sources[name]
    if name.upper() in given:
        return "OPTIONS"
    default = next(each.default for each in fields(Config) if each.name == name)
    if value == default:
        return _("default")
    if name == "mode":  # nobody chose it: it follows the URL
        return sources.get("rest_url") or sources["redis_url"]
    return _("environment")


def _text(value: object) -> Text:
    if isinstance(value, Secret):
        return _HIDDEN
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    if isinstance(value, tuple):
        return ", ".join(f"{name} {seconds}" for name, seconds in value) or _("none")
    return str(value)


def _options(alias: str) -> dict[str, object]:
    entry: dict[str, Any] = settings.CACHES[alias]
    return dict(entry.get("OPTIONS", {}))
