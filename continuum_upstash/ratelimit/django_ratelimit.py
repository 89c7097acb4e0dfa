"""django-ratelimit's decorator with the same arguments: only the import changes.

    from continuum_upstash.ratelimit.django_ratelimit import ratelimit

``request.limited`` is set as in django-ratelimit. The differences:

- A refused request gets a 429 with Retry-After, not a 403, and ``Ratelimited`` is not raised.
- A rate is a string, not a function or None, and not ``0/s``. A key function is passed as a
  function, not as a dotted path.
- A request without the header or field of its key is counted by IP address. In django-ratelimit,
  all such requests share one counter.
- Counts are exact under concurrency, and a limit holds in any window, not only in aligned ones.
- Views of one group share their counter, even if their methods differ.
- IPv6 addresses that begin with ``::ffff:`` count as the IPv4 addresses that they contain.
- Async views can be limited.
- Addresses are determined by CONTINUUM_RATELIMIT["TRUSTED_PROXIES"]; RATELIMIT_IP_META_KEY is not
  read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from django.http import HttpRequest

from continuum_upstash.ratelimit.decorators import RateLimitDecorator
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
        group: the views of one group share a counter; None: the view has its own.
        key: ``ip``, ``user``, ``user_or_ip``, ``header:…``, ``post:…``, ``get:…``, or a function
            of the group and the request.
        rate: for example ``5/m``.
        method: the methods that count; None: all.
        block: return a 429 response if the limit is exceeded. If False, the view runs, and
            ``request.limited`` is True.

    Raises:
        TypeError: key or rate is missing.
        ConfigurationError: an argument is invalid.
    """
    if key is None or rate is None:
        raise TypeError("ratelimit() requires a key and a rate, for example key='ip', rate='5/m'")

    def decorate(view: View) -> View:
        options: dict[str, Any] = {"key": key, "rate": rate, "methods": method}
        if callable(key):
            options["key"] = partial(key, group or f"{view.__module__}.{view.__qualname__}")
        if group is not None:
            options["group"] = group
        return RateLimitDecorator((), options, block=block, on_decision=_set_limited)(view)

    return decorate


def _set_limited(request: HttpRequest, decision: Decision) -> None:
    limited = not decision.allowed or getattr(request, "limited", False)
    request.limited = limited  # type: ignore[attr-defined]  # as django-ratelimit does
