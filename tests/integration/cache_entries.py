from __future__ import annotations

BACKEND = "continuum_upstash.backend.CacheBackend"


def make_entry(emulator, transport="rest", **params):
    """Return an entry of CACHES.

    Args:
        emulator: the database.
        transport: rest, tcp, local, or unconfigured for an entry without credentials.
        params: other keys of the entry; OPTIONS are added to those of the transport.
    """
    options = params.pop("OPTIONS", {})
    if transport == "unconfigured":
        return {"BACKEND": BACKEND, "OPTIONS": options, **params}
    if transport == "local":
        return {"BACKEND": BACKEND, "OPTIONS": {"MODE": "local", **options}, **params}
    if transport == "tcp":
        return {"BACKEND": BACKEND, "LOCATION": emulator.redis_url, "OPTIONS": options, **params}
    options = {"TOKEN": emulator.token, **options}
    return {"BACKEND": BACKEND, "LOCATION": emulator.rest_url, "OPTIONS": options, **params}
