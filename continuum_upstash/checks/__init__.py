"""System checks: what is wrong with the settings of a site.

`manage.py check` runs them without network access; ``--deploy`` adds those for production, and
``--tag continuum_upstash_live`` those that connect to the databases.
"""

from __future__ import annotations

from django.core.checks import Tags, register

from continuum_upstash.checks.caches import check_caches, check_caches_in_production
from continuum_upstash.checks.channels import check_live_pages
from continuum_upstash.checks.live import LIVE_TAG, check_live
from continuum_upstash.checks.migrations import check_migrations
from continuum_upstash.checks.probes import check_probes
from continuum_upstash.checks.queues import check_job_databases, check_queues
from continuum_upstash.checks.rate_limits import check_ratelimit
from continuum_upstash.checks.sessions import check_session_middleware, check_sessions
from continuum_upstash.checks.stats import check_budgets, check_statistics
from continuum_upstash.checks.tasks import check_tasks, check_tasks_in_production


def add_checks() -> None:
    """Register all checks; the app calls this when Django starts."""
    for check in (check_caches, check_migrations, check_sessions, check_statistics, check_budgets):
        register(check, Tags.caches)
    for check in (check_caches_in_production, check_session_middleware, check_probes):
        register(check, Tags.caches, Tags.security, deploy=True)
    register(check_ratelimit)
    register(check_tasks)
    register(check_queues)
    register(check_live_pages)
    register(check_tasks_in_production, deploy=True)
    register(check_job_databases, deploy=True)
    register(check_live, LIVE_TAG)
