"""``path("health/", include("continuum_upstash.urls"))``: live/, ready/ and metrics/."""

from __future__ import annotations

from django.urls import path

from continuum_upstash.health import views

app_name = "continuum_upstash"
urlpatterns = [
    path("live/", views.live, name="live"),
    path("ready/", views.ready, name="ready"),
    path("metrics/", views.metrics, name="metrics"),
]
