"""The settings of django-redis outside CACHES, for a project that keeps ``DJANGO_REDIS_…``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from django.conf import settings
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from continuum_upstash.plans.scan import COUNT

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

_UNUSED: Final[Mapping[str, _StrPromise]] = {
    "DJANGO_REDIS_CLOSE_CONNECTION": _("connections stay open between requests"),
    "DJANGO_REDIS_LOGGER": _("outages are logged by the logger continuum_upstash"),
}

_UNUSED_WITHOUT_TCP: Final[Mapping[str, _StrPromise]] = {
    "DJANGO_REDIS_CONNECTION_FACTORY": _("no cache is in TCP mode"),
}


def add_ignore_exceptions(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the OPTIONS of an entry, with DJANGO_REDIS_IGNORE_EXCEPTIONS if it applies to it."""
    ignore = getattr(settings, "DJANGO_REDIS_IGNORE_EXCEPTIONS", None)
    if ignore is None or not options.keys().isdisjoint({"FALLBACK", "IGNORE_EXCEPTIONS"}):
        return dict(options)
    return {**options, "IGNORE_EXCEPTIONS": ignore}


def get_itersize() -> int:
    """Return how many keys a SCAN of `delete_pattern` examines: DJANGO_REDIS_SCAN_ITERSIZE."""
    itersize: int = getattr(settings, "DJANGO_REDIS_SCAN_ITERSIZE", COUNT)
    return itersize


def list_unused_settings(*, has_tcp: bool) -> Iterator[str]:
    """Yield which settings have no effect on this package's caches, in the active language.

    Args:
        has_tcp: whether a cache is in TCP mode.
    """
    backends = [str(entry.get("BACKEND", "")) for entry in settings.CACHES.values()]
    if any(backend.startswith("django_redis.") for backend in backends):
        return
    unused = _UNUSED if has_tcp else {**_UNUSED, **_UNUSED_WITHOUT_TCP}
    for name, reason in unused.items():
        if getattr(settings, name, None):
            yield gettext("{name} has no effect: {reason}.").format(name=name, reason=reason)
