"""The decorator of django-ratelimit, by its own arguments, for a change of one import.

    from continuum_upstash.ratelimit.django_ratelimit import ratelimit

``request.limited`` is set as there. What differs:

- A refusal is 429 with Retry-After instead of 403, and raises no ``Ratelimited``.
- A rate is text: no function, not None, and not ``0/s``. A key's function is given as such and not
  by its path.
- Who lacks a header or a field is counted by address, not together with everybody else who does.
- Counts are exact under concurrency, and hold in any window instead of in an aligned one.
- Views that share a group share their counter, whatever their methods are.
- Addresses that begin with ``::ffff:`` are the IPv4 addresses that they stand for.
- Async views are limited, too.
- Addresses are those of CONTINUUM_RATELIMIT["TRUSTED_PROXIES"]; RATELIMIT_IP_META_KEY is not read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from django.http import HttpRequest

from continuum_upstash.ratelimit.decorators import Limiting
from continuum_upstash.ratelimit.engine.decision import Decision

View = TypeVar("View", bound=Callable[..., Any])

ALL: Final = None
UNSAFE: Final = ("DELETE", "PATCH", "POST", "PUT")


def ratelimit(
    group: str | None = None,
    key: str | Callable[[str, HttpRequest], str] | None = None,
    rate: str | None = None,
    method: str | Sequence[str] | None = ALL,
    block: bool = True,
) -> Callable[[View], View]:
    """Limit a view as django-ratelimit does.

    Args:
        group: shares a counter with the other views of this group; None: the view's own.
        key: ``ip``, ``user``, ``user_or_ip``, ``header:…``, ``post:…``, ``get:…``, or a function
            of the group and the request.
        rate: such as ``5/m``.
        method: the methods that count; None: all.
        block: refuse; otherwise ``request.limited`` says what would have been.
    """
    if key is None or rate is None:
        raise TypeError("ratelimit() wants a key and a rate, such as key='ip', rate='5/m'")

    def decorate(view: View) -> View:
        options: dict[str, Any] = {"key": key, "rate": rate, "methods": method}
        if callable(key):
            options["key"] = partial(key, group or f"{view.__module__}.{view.__qualname__}")
        if group is not None:
            options["group"] = group
        return Limiting((), options, block=block, note=_mark)(view)

    return decorate


def _mark(request: HttpRequest, decision: Decision) -> None:
    refused = not decision.allowed or getattr(request, "limited", False)
    request.limited = refused  # type: ignore[attr-defined]  # as django-ratelimit does
