"""Checks of the entries of TASKS that use this package."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from django.core.checks import CheckMessage
from django.urls import Resolver404, resolve
from django.utils.translation import gettext

from continuum_upstash.checks.catalogue import check_message
from continuum_upstash.checks.entries import resolve_entries
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.federation import task_views
from continuum_upstash.health.probe import get_task_alias, list_task_entries


def check_tasks(**_: Any) -> list[CheckMessage]:
    """Check for what is wrong in development and production."""
    return [
        message
        for alias, entry in list_task_entries().items()
        for message in _check_entry(alias, entry)
    ]


def check_tasks_in_production(**_: Any) -> list[CheckMessage]:
    """Check whether QStash can reach the site."""
    return [
        message
        for alias, entry in list_task_entries().items()
        if (url := _get_push_url(entry))
        for message in _check_url(alias, url)
    ]


def _check_entry(alias: str, entry: Mapping[str, Any]) -> Iterator[CheckMessage]:
    options = entry.get("OPTIONS", {})
    try:
        # Without the framework, which Django 5.2 does not have, this raises an error.
        from continuum_upstash.federation.tasks.options import TaskOptions  # noqa: PLC0415

        TaskOptions.parse(alias, options)
    except ConfigurationError as error:
        yield check_message("E301", str(error))
        return
    configs, _errors = resolve_entries()  # check_caches reports the errors
    config = configs.get(get_task_alias(entry))
    # Without credentials, check_caches reports it: development may begin without a database.
    if config is None or (config.mode == "local" and not config.unconfigured):
        text = gettext("TASKS['{alias}']: CACHES['{cache}'] has no database of Upstash.")
        yield check_message("E302", text.format(alias=alias, cache=get_task_alias(entry)))
    if options.get("PUSH") and find_spec("qstash") is None:
        text = gettext("TASKS['{alias}'] has PUSH, but qstash is not installed.")
        yield check_message("E303", text.format(alias=alias))


def _check_url(alias: str, url: str) -> Iterator[CheckMessage]:
    if not url.startswith("https://"):
        text = gettext("TASKS['{alias}']: the URL of PUSH is not encrypted: {url}")
        yield check_message("W301", text.format(alias=alias, url=url))
    try:
        is_view = resolve(urlsplit(url).path).func is task_views.run_task
    except (Resolver404, ValueError):  # no view has the path; the URL cannot be parsed
        is_view = False
    if not is_view:
        text = gettext(
            "TASKS['{alias}']: the URL of PUSH is not that of the view that runs tasks: {url}"
        )
        yield check_message("W302", text.format(alias=alias, url=url))


def _get_push_url(entry: Mapping[str, Any]) -> str:
    push = entry.get("OPTIONS", {}).get("PUSH")
    return str(push.get("URL", "")) if isinstance(push, Mapping) else ""
