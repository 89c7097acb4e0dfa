from __future__ import annotations

from django.contrib import admin
from django.urls import path

from example_project.pages import PAGES
from example_project.views import articles, counter, dashboard

urlpatterns = [
    *(path(page.path, page.view, name=page.name) for page in PAGES),
    path("articles/forget/", articles.forget, name="forget-articles"),
    path("counter/add/", counter.add, name="add"),
    path("counter/add-hundred/", counter.add_hundred, name="add-hundred"),
    path("counter/value/", counter.value, name="counter-value"),
    path("dashboard/measure/", dashboard.measure, name="measure"),
    path("admin/", admin.site.urls),
]
