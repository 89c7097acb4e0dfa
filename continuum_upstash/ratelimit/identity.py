"""Who is counted: the kinds of keys, and what stands for an identity in the database."""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.policy import Policy


def identity(policy: Policy, request: HttpRequest, user: Any) -> str:
    """Return who a policy counts a request for.

    Who lacks what the policy wants, as a visitor lacks a user, is counted by address: a bucket
    that all such clients shared would be anybody's to empty.
    """
    if callable(policy.key):
        found = policy.key(request)
        parts = [_ip(request) if found is None or found == "" else ("key", str(found))]
    else:
        parts = [_part(kind, request, user) or _ip(request) for kind in policy.kinds]
    if policy.upstash_prefix is not None:
        return "+".join(value for _, value in parts)  # as the other side writes it
    return "\n".join(f"{kind}={value}" for kind, value in parts)


def _part(kind: str, request: HttpRequest, user: Any) -> tuple[str, str] | None:
    name, _, argument = kind.partition(":")
    value: str | None = None
    if name in {"user", "user_or_ip"} and user is not None and user.is_authenticated:
        return "user", str(user.pk)
    if name == "header":
        value = request.headers.get(argument)
    elif name == "post":
        value = request.POST.get(argument)
    elif name == "get":
        value = request.GET.get(argument)
    # Each part has a line of its own, and no value may fake another one.
    line = " ".join(normal(value or "").split())
    return (kind, line) if line else None


def _ip(request: HttpRequest) -> tuple[str, str]:
    return "ip", conf.proxies.client(request.META)


def normal(identity: str) -> str:
    """Return one spelling of an identity, however it was written."""
    return unicodedata.normalize("NFKC", identity).casefold().strip()


def digest(identity: str) -> str:
    """Return what stands for an identity in keys: of fixed length, and nothing can be read off."""
    hashed = _keyed(settings.SECRET_KEY).copy()  # at half the cost of a new one
    hashed.update(normal(identity).encode("utf-8", "surrogatepass"))
    return hashed.hexdigest()


@lru_cache(maxsize=4)
def _keyed(secret: str | bytes) -> blake2b:
    text = secret.encode() if isinstance(secret, str) else secret
    return blake2b(digest_size=16, key=blake2b(text, person=b"ratelimit").digest())
