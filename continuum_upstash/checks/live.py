"""The checks that connect to the databases."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from django.core.checks import CheckMessage
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext

from continuum_upstash.checks import LIVE_TAG
from continuum_upstash.checks.caches import check_credentials
from continuum_upstash.checks.catalogue import check_message
from continuum_upstash.health.probe import (
    Health,
    get_upstash_caches,
    list_job_aliases,
    list_upstash_aliases,
    probe_health,
)
from continuum_upstash.ratelimit.conf import conf as ratelimit_conf
from continuum_upstash.sessions.conf import conf as session_conf


def check_live(**_: Any) -> list[CheckMessage]:
    """Connect to the databases, if the command line contains the tag.

    Django runs every check with each runserver and migrate, and does not pass the selected tags to
    a check.
    """
    if not any(argument.endswith(LIVE_TAG) for argument in sys.argv):
        return []
    return [message for alias in list_upstash_aliases() for message in _check_database(alias)]


def _check_database(alias: str) -> Iterator[CheckMessage]:
    try:
        (cache,) = get_upstash_caches([alias])
    except ImproperlyConfigured as error:
        yield check_message("E002", str(error))  # with --tag, Django does not run check_caches
        return
    yield from check_credentials(cache.database.config)  # for the same reason
    health = cache.run(probe_health(cache))
    for text in health.errors:
        yield check_message("E040", text, alias)
    yield from _check_eviction(health)


def _check_eviction(health: Health) -> Iterator[CheckMessage]:
    server = health.server
    if health.mode == "local" or server is None or not server.evicts:
        return
    if session_conf.are_stored_in(health.alias):
        text = gettext("the database stores sessions and evicts keys when it is full ({policy}).")
        check_id = "I041" if session_conf.allow_eviction else "E041"
        yield check_message(check_id, text.format(policy=server.policy), health.alias)
    if ratelimit_conf.has_counters_in(health.alias):
        text = gettext(
            "the database stores rate-limit counters and evicts them first when it is full "
            "({policy})."
        )
        yield check_message("W205", text.format(policy=server.policy), health.alias)
    if health.alias in list_job_aliases():
        text = gettext("the database stores jobs and evicts keys when it is full ({policy}).")
        yield check_message("E304", text.format(policy=server.policy), health.alias)
