"""Runs management commands over an emulator, and says how they ended."""

from __future__ import annotations

import json
from dataclasses import dataclass
from io import StringIO
from typing import Any

from django.core.cache import caches
from django.core.management import call_command
from django.core.management.base import CommandError

BACKEND = "continuum_upstash.backend.CacheBackend"


def entry(emulator, transport="rest", **params):
    """Return an entry of CACHES for an emulator, or for nothing but a local store.

    The transport `forgotten` is that of a site that lacks its variables.
    """
    options = params.pop("OPTIONS", {})
    if transport == "forgotten":
        return {"BACKEND": BACKEND, "OPTIONS": options, **params}
    if transport == "local":
        return {"BACKEND": BACKEND, "OPTIONS": {"MODE": "local", **options}, **params}
    if transport == "tcp":
        return {"BACKEND": BACKEND, "LOCATION": emulator.redis_url, "OPTIONS": options, **params}
    options = {"TOKEN": emulator.token, **options}
    return {"BACKEND": BACKEND, "LOCATION": emulator.rest_url, "OPTIONS": options, **params}


@dataclass(frozen=True)
class Ended:
    """How a command ended: `error` is what it would have printed on stderr before exiting."""

    code: int
    out: str
    err: str
    error: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def ran(name, *arguments):
    out, err, code, message = StringIO(), StringIO(), 0, ""
    try:
        call_command(name, *arguments, stdout=out, stderr=err)
    except CommandError as error:
        code, message = error.returncode, str(error)
    return Ended(code, out.getvalue(), err.getvalue(), message)


def cache(alias="default"):
    return caches[alias]
