"""The pages, in the order of the navigation. A new page needs one entry here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from example_project.views import (
    articles,
    backend,
    cached_page,
    costs,
    counter,
    dashboard,
    devices,
    home,
    limits,
    live,
    outage,
    report,
    rollout,
)


@dataclass(frozen=True, slots=True)
class Page:
    name: str
    path: str
    view: Callable[..., Any]
    title: str
    summary: str


PAGES = (
    Page("home", "", home.show, "Home", "An overview of this site."),
    Page("articles", "articles/", articles.show, "Articles", "A cached query over 12,000 rows."),
    Page("counter", "counter/", counter.show, "Counter", "Atomic increments from many tabs."),
    Page(
        "cached-page",
        "cached-page/",
        cached_page.show,
        "Cached page",
        "A whole page with cache_page.",
    ),
    Page("dashboard", "dashboard/", dashboard.show, "Async", "A hundred keys in one request."),
    Page("devices", "devices/", devices.show, "Devices", "Sessions and logging out everywhere."),
    Page("limits", "limits/", limits.show, "Limits", "Two rate limits and their headers."),
    Page("costs", "costs/", costs.show, "Costs", "The bill of the month, and the largest savings."),
    Page("live", "live/", live.show, "Live", "Events that appear while they happen."),
    Page("report", "report/", report.show, "Report", "A task in the background, with progress."),
    Page("rollout", "rollout/", rollout.show, "Rollout", "Move to another cache step by step."),
    Page("outage", "outage/", outage.show, "Outage", "Break the database and watch the fallback."),
    Page("backend", "backend/", backend.show, "Backend", "The active backend and its settings."),
)
