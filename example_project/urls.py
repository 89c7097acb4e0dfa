from __future__ import annotations

from django.contrib import admin
from django.templatetags.static import static
from django.urls import include, path
from django.views.generic import RedirectView

from example_project.pages import PAGES
from example_project.views import (
    articles,
    budget,
    costs,
    counter,
    dashboard,
    devices,
    limits,
    live,
    outage,
    report,
    rollout,
)

urlpatterns = [
    *(path(page.path, page.view, name=page.name) for page in PAGES),
    path("articles/delete-cached/", articles.delete_cached, name="delete-cached-articles"),
    path("costs/budget/", budget.change, name="change-budget"),
    path("costs/commands/", budget.send_commands, name="send-commands"),
    path("costs/loop/", costs.read_in_a_loop, name="read-in-a-loop"),
    path("costs/get-many/", costs.read_at_once, name="read-at-once"),
    path("counter/add/", counter.add_one, name="add-one"),
    path("counter/add-hundred/", counter.add_hundred, name="add-hundred"),
    path("counter/value/", counter.get_value, name="counter-value"),
    path("dashboard/measure/", dashboard.measure, name="measure"),
    path("devices/login/", devices.login, name="login"),
    path("devices/logout/", devices.logout, name="logout"),
    path("devices/end/", devices.end_device, name="end-device"),
    path("devices/end-others/", devices.end_other_devices, name="end-other-devices"),
    path("devices/end-all/", devices.end_all_devices, name="end-all-devices"),
    path("limits/api/", limits.call_api, name="limited-api"),
    path("limits/search/", limits.search, name="limited-search"),
    path("live/hello/", live.say_hello, name="say-hello"),
    path("api/", include("continuum_upstash.federation.urls")),
    path("report/start/", report.start, name="start-report"),
    path("report/<slug:report_id>/", report.show_result, name="report-result"),
    path("report/<slug:report_id>/state/", report.get_state, name="report-state"),
    path("rollout/change/", rollout.change, name="change-rollout"),
    path("rollout/store/", rollout.store, name="store-rollout-keys"),
    path("rollout/read/", rollout.read, name="read-rollout-keys"),
    path("rollout/delete/", rollout.delete, name="delete-rollout-keys"),
    path("outage/start/", outage.start_outage, name="start-outage"),
    path("outage/end/", outage.end_outage, name="end-outage"),
    path("favicon.ico", RedirectView.as_view(url=static("example/icon.svg"))),
    path("admin/", admin.site.urls),
]
