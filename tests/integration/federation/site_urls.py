from __future__ import annotations

from django.urls import include, path

urlpatterns = [path("federation/", include("continuum_upstash.federation.urls"))]
