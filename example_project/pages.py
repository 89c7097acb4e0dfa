"""The pages in the order of the navigation. To add one, add its line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from example_project.views import (
    articles,
    backend,
    counter,
    dashboard,
    devices,
    home,
    limits,
    month,
    outage,
)


@dataclass(frozen=True, slots=True)
class Page:
    name: str
    path: str
    view: Callable[..., Any]
    title: str
    summary: str


PAGES = (
    Page("home", "", home.page, "Home", "What this site shows."),
    Page("articles", "articles/", articles.page, "Articles", "A query over 12,000 rows, cached."),
    Page("counter", "counter/", counter.page, "Counter", "Shared among tabs, never off by one."),
    Page("month", "month/", month.page, "Cached page", "A whole page under cache_page."),
    Page("dashboard", "dashboard/", dashboard.page, "Async", "A hundred keys in one request."),
    Page("devices", "devices/", devices.page, "Devices", "Sessions, and logging out everywhere."),
    Page("limits", "limits/", limits.page, "Limits", "Two limits, and what clients are told."),
    Page(
        "outage", "outage/", outage.page, "Outage", "Break the database and watch the site go on."
    ),
    Page("backend", "backend/", backend.page, "Backend", "Who answers, and how it is configured."),
)
