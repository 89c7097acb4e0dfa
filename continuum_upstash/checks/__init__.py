"""System checks: what is wrong with the settings of a site.

`manage.py check` runs them without network access; ``--deploy`` adds those for production, and
``--tag continuum_upstash_live`` those that connect to the databases.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, TypeAlias, cast

from django.core.checks import CheckMessage, Tags, register
from django.core.checks.caches import check_file_based_cache_is_absolute
from django.core.checks.registry import registry

LIVE_TAG: Final = "continuum_upstash_live"

_Check: TypeAlias = Callable[..., list[CheckMessage]]


def add_checks() -> None:
    """Register all checks; the app calls this when Django starts.

    A process that serves requests runs no checks, so their modules are imported when they run.
    """
    registry.registered_checks.discard(check_file_based_cache_is_absolute)
    for check in (
        _defer("caches", "check_file_based_caches"),
        _defer("caches", "check_caches"),
        _defer("migrations", "check_migrations"),
        _defer("sessions", "check_sessions"),
        _defer("stats", "check_statistics"),
        _defer("stats", "check_budgets"),
    ):
        register(check, Tags.caches)
    for check in (
        _defer("caches", "check_caches_in_production"),
        _defer("sessions", "check_session_middleware"),
        _defer("probes", "check_probes"),
    ):
        register(check, Tags.caches, Tags.security, deploy=True)
    register(_defer("rate_limits", "check_ratelimit"))
    register(_defer("tasks", "check_tasks"))
    register(_defer("queues", "check_queues"))
    register(_defer("channels", "check_live_pages"))
    register(_defer("tasks", "check_tasks_in_production"), deploy=True)
    register(_defer("queues", "check_job_databases"), deploy=True)
    register(_defer("live", "check_live"), LIVE_TAG)


def _defer(module: str, name: str) -> _Check:
    def check(**options: Any) -> list[CheckMessage]:
        function = getattr(import_module(f"{__name__}.{module}"), name)
        return cast("_Check", function)(**options)

    check.__name__ = name
    return check
