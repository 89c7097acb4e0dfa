"""The identity of a client: which values of a request a policy counts by."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from itertools import starmap
from typing import Any, TypeAlias

from django.http import HttpRequest

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.ratelimit.client_ip import parse_address
from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.policy import ADDRESS_SOURCES, FIELD_SOURCES, Policy

# Returns the request's body as a framework has parsed it; called only if a policy needs it.
GetBody: TypeAlias = Callable[[], object]

_Part: TypeAlias = tuple[str, str]  # the source and its value


def get_identity(
    policy: Policy, request: HttpRequest, user: Any, get_body: GetBody | None = None
) -> str:
    """Return the identity that a policy counts a request by.

    A client without the required key (e.g. no user) is counted by IP address; a shared bucket
    could be exhausted by anyone.

    Args:
        policy: its key selects the values.
        request: the request.
        user: the user, or None if the policy needs none.
        get_body: returns the body where keys by ``post:`` are read; None: they read the form.
    """
    if callable(policy.key):
        value = policy.key(request)
        is_missing = value is None or value == ""
        parts = [get_address_part(policy, request.META) if is_missing else ("key", str(value))]
    else:
        parts = [
            _read_part(source, request, user, get_body) or get_address_part(policy, request.META)
            for source in policy.sources
        ]
    return compose_identity(policy, parts)


def compose_identity(policy: Policy, parts: Sequence[_Part]) -> str:
    """Return the identity that consists of some parts, in the order of the policy's key."""
    if policy.upstash_prefix is not None:
        sources = policy.sources or ("key",)
        return "+".join(starmap(_to_upstash_form, zip(sources, parts, strict=True)))
    return "\n".join(f"{source}={value}" for source, value in parts)


def _to_upstash_form(required: str, part: _Part) -> str:
    """Return a part as @upstash/ratelimit writes it: the value alone.

    An address in place of another source is marked by a line of its own. Otherwise a client that
    sends an address as a header would be counted as the client with that address.
    """
    source, value = part
    is_substitute = source == "ip" and required not in ADDRESS_SOURCES
    return f"{source}\n{value}" if is_substitute else value


def _read_part(
    source: str, request: HttpRequest, user: Any, get_body: GetBody | None
) -> _Part | None:
    name, _, argument = source.partition(":")
    value: str | None = None
    if name in {"user", "user_or_ip"} and user is not None and user.is_authenticated:
        return "user", str(user.pk)
    if name == "header":
        value = request.headers.get(argument)
    elif name == "post":
        value = _read_field(request.POST if get_body is None else get_body(), argument)
    elif name == "get":
        value = request.GET.get(argument)
    text = normalize(source, value or "")
    return (source, text) if text else None


def _read_field(body: object, name: str) -> str | None:
    value = body.get(name) if isinstance(body, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    # JSON may contain lone surrogates, which cannot be encoded.
    return str(value).encode("utf-8", "ignore").decode()


def get_address_part(policy: Policy, meta: Mapping[str, Any]) -> _Part:
    """Return the address of a client as a part of its identity.

    Args:
        policy: with upstash_prefix, the full address is used, as in @upstash/ratelimit.
        meta: ``request.META``.
    """
    if policy.upstash_prefix is not None:
        return "ip", str(conf.trusted_proxies.get_client_ip(meta) or "unknown")
    return "ip", conf.trusted_proxies.get_client_key(meta)


def get_listed_values(request: HttpRequest) -> tuple[str, ...]:
    """Return what a deny list of @upstash/ratelimit may contain: the address, the user agent."""
    address = conf.trusted_proxies.get_client_ip(request.META)
    return str(address or ""), request.headers.get("User-Agent", "")


def normalize(source: str, value: str) -> str:
    """Return one spelling of a client's value, in one line: it cannot look like another part."""
    if source.partition(":")[0] not in FIELD_SOURCES:
        return value
    return " ".join(unicodedata.normalize("NFKC", value).casefold().split())


def parse_identity(policy: Policy, parts: Sequence[str]) -> str:
    """Return the identity that a request of a client would have.

    Args:
        policy: the policy that counts it.
        parts: ``source=value``, in the order of the policy's key.

    Raises:
        ConfigurationError: the policy counts by other sources.
    """
    if not matches_policy(policy, parts):
        sources = _get_sources(policy)
        examples = " ".join(f"{source.removesuffix('_or_ip')}=…" for source in sources)
        raise ConfigurationError(
            f"Policy '{policy.name}' counts by {'+'.join(sources)}, not by {' '.join(parts)!r}. "
            f"Write {examples}, with ip=… for each part that a request lacks."
        )
    return compose_identity(
        policy,
        [
            get_address_part(policy, {"REMOTE_ADDR": value})
            if source == "ip"
            else (source, normalize(source, value))
            for source, value in map(_split_part, parts)
        ],
    )


def matches_policy(policy: Policy, parts: Sequence[str]) -> bool:
    """Return whether ``source=value`` parts are what a policy counts by."""
    sources = _get_sources(policy)
    return len(parts) == len(sources) and all(
        map(_matches_source, sources, map(_split_part, parts))
    )


def _get_sources(policy: Policy) -> Sequence[str]:
    return policy.sources or ("key",)


def _split_part(part: str) -> _Part:
    source, _, value = part.partition("=")
    return source, value


def _matches_source(required: str, part: _Part) -> bool:
    source, value = part
    if source == "ip":
        return parse_address(value) is not None
    return bool(value) and source == required.removesuffix("_or_ip")
