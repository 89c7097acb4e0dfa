"""CACHES entries, and the ids of what the checks find in them."""

from __future__ import annotations

BACKEND = "continuum_upstash.backend.CacheBackend"
REST = "https://db.upstash.io"


def make_entry(location=REST, **params):
    options = {"TOKEN": lambda: "secret-token"} if location.startswith("http") else {}
    options |= params.pop("OPTIONS", {})
    return {"BACKEND": BACKEND, "LOCATION": location, "OPTIONS": options, **params}


def get_ids(messages):
    return [each.id.removeprefix("continuum_upstash.") for each in messages]
