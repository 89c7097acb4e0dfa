"""Who is counted: the kinds of keys, and what stands for an identity in the database."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import starmap
from typing import Any, TypeAlias

from django.conf import settings
from django.http import HttpRequest

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.ratelimit.client_ip import parse
from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.policy import ADDRESSES, NAMED_KINDS, Policy

# What a framework has made of a request's body; asked for only where a policy counts by it.
Posted: TypeAlias = Callable[[], object]


def identity(policy: Policy, request: HttpRequest, user: Any, posted: Posted | None = None) -> str:
    """Return who a policy counts a request for.

    Who lacks what the policy wants, as a visitor lacks a user, is counted by address: a bucket
    that all such clients shared would be anybody's to empty. Where `posted` is given, keys by
    ``post:`` read that in place of the form.
    """
    if callable(policy.key):
        found = policy.key(request)
        missing = found is None or found == ""
        parts = [address_part(policy, request.META) if missing else ("key", str(found))]
    else:
        parts = [
            _part(kind, request, user, posted) or address_part(policy, request.META)
            for kind in policy.kinds
        ]
    return joined(policy, parts)


def joined(policy: Policy, parts: Sequence[tuple[str, str]]) -> str:
    """Return the identity of its parts: of each the kind and the value."""
    if policy.upstash_prefix is not None:
        wanted = policy.kinds or ("key",)
        return "+".join(starmap(_as_theirs, zip(wanted, parts, strict=True)))
    return "\n".join(f"{kind}={value}" for kind, value in parts)


def _as_theirs(wanted: str, part: tuple[str, str]) -> str:
    """Return a part as the other side writes it: the value alone.

    An address that stands in for something else says so, in a line of its own: a client that
    sends an address in a header must not be counted as the client that has that address.
    """
    kind, value = part
    stands_in = kind == "ip" and wanted not in ADDRESSES
    return f"{kind}\n{value}" if stands_in else value


def _part(
    kind: str, request: HttpRequest, user: Any, posted: Posted | None
) -> tuple[str, str] | None:
    name, _, argument = kind.partition(":")
    value: str | None = None
    if name in {"user", "user_or_ip"} and user is not None and user.is_authenticated:
        return "user", str(user.pk)
    if name == "header":
        value = request.headers.get(argument)
    elif name == "post":
        value = _field(request.POST if posted is None else posted(), argument)
    elif name == "get":
        value = request.GET.get(argument)
    text = spelt(kind, value or "")
    return (kind, text) if text else None


def _field(data: object, name: str) -> str | None:
    value = data.get(name) if isinstance(data, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    # JSON may hold half a character, which no database stores and no key may have.
    return str(value).encode("utf-8", "ignore").decode()


def address_part(policy: Policy, meta: Mapping[str, Any]) -> tuple[str, str]:
    """Return the part that is an address, by a request's META."""
    if policy.upstash_prefix is not None:  # the other side knows no networks
        return "ip", str(conf.proxies.address(meta) or "unknown")
    return "ip", conf.proxies.client(meta)


def spelt(kind: str, value: str) -> str:
    """Return one spelling of what a client wrote, in one line: no value may fake another part."""
    if kind.partition(":")[0] not in NAMED_KINDS:
        return value
    return " ".join(unicodedata.normalize("NFKC", value).casefold().split())


def digest(identity: str) -> str:
    """Return what stands for an identity in keys: of fixed length, and nothing can be read off."""
    hashed = _keyed(settings.SECRET_KEY).copy()  # at half the cost of a new one
    hashed.update(identity.encode("utf-8", "surrogatepass"))
    return hashed.hexdigest()


@lru_cache(maxsize=4)
def _keyed(secret: str | bytes) -> blake2b:
    text = secret.encode() if isinstance(secret, str) else secret
    return blake2b(digest_size=16, key=blake2b(text, person=b"ratelimit").digest())


def written(policy: Policy, parts: Sequence[str]) -> str:
    """Return the identity, as a request of that client would have it.

    Args:
        policy: who it is counted by.
        parts: in the order of the policy's key.

    Raises:
        ConfigurationError: the policy counts by something else.
    """
    if not counts(policy, parts):
        kinds = _kinds(policy)
        examples = " ".join(f"{kind.removesuffix('_or_ip')}=…" for kind in kinds)
        raise ConfigurationError(
            f"Policy '{policy.name}' counts by {'+'.join(kinds)}: write {examples}, or ip=… in "
            f"place of what a request lacks, and not {' '.join(parts)!r}."
        )
    return joined(
        policy,
        [
            address_part(policy, {"REMOTE_ADDR": value})
            if kind == "ip"
            else (kind, spelt(kind, value))
            for kind, value in map(_pair, parts)
        ],
    )


def counts(policy: Policy, parts: Sequence[str]) -> bool:
    """Return whether a policy counts by such parts."""
    kinds = _kinds(policy)
    return len(parts) == len(kinds) and all(map(_fits, kinds, map(_pair, parts)))


def _kinds(policy: Policy) -> Sequence[str]:
    return policy.kinds or ("key",)


def _pair(part: str) -> tuple[str, str]:
    kind, _, value = part.partition("=")
    return kind, value


def _fits(kind: str, pair: tuple[str, str]) -> bool:
    given, value = pair
    if given == "ip":
        return parse(value) is not None
    return bool(value) and given == kind.removesuffix("_or_ip")
