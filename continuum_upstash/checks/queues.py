"""Checks of CONTINUUM_FEDERATION, and of the databases that store jobs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage
from django.utils.translation import gettext

from continuum_upstash.checks.catalogue import check_message
from continuum_upstash.checks.entries import resolve_entries
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.federation.worker.handlers import (
    SETTING,
    find_handlers,
    read_alias,
    read_handlers,
)
from continuum_upstash.health.probe import list_job_aliases
from continuum_upstash.sessions.conf import conf as session_conf


def check_queues(**_: Any) -> list[CheckMessage]:
    """Check the setting, if it is set: its handlers, and the cache that it names."""
    if not hasattr(settings, SETTING):
        return []
    try:
        alias = read_alias()
        find_handlers([*read_handlers()])
    except ConfigurationError as error:
        return [check_message("E311", str(error))]
    configs, _errors = resolve_entries()  # check_caches reports the errors
    config = configs.get(alias)
    # Without credentials, check_caches reports it: development may begin without a database.
    if config is None or (config.mode == "local" and not config.unconfigured):
        text = gettext("CACHES['{alias}'] has no database of Upstash.").format(alias=alias)
        return [check_message("E312", f"{SETTING}: {text}")]
    return []


def check_job_databases(**_: Any) -> list[CheckMessage]:
    """Check whether jobs share a database with values that may be evicted."""
    return [message for alias in sorted(list_job_aliases()) for message in _check_sharing(alias)]


def _check_sharing(alias: str) -> Iterator[CheckMessage]:
    configs, _errors = resolve_entries()
    config = configs.get(alias)
    if config is None or config.mode == "local":
        return
    safe = list_job_aliases()
    for other in configs.values():
        if other.alias in safe or session_conf.are_stored_in(other.alias):
            continue
        if other.server_identity == config.server_identity:
            text = gettext("jobs share a database with the cache '{other}'.")
            yield check_message("W311", text.format(other=other.alias), alias)
