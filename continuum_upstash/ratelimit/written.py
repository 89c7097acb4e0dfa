"""Identities as somebody writes them: ``ip=203.0.113.7``, ``user=5``, ``post:username=Alice``."""

from __future__ import annotations

from collections.abc import Sequence

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.ratelimit.client_ip import parse
from continuum_upstash.ratelimit.http.identity import address_part, joined, spelt
from continuum_upstash.ratelimit.policy import Policy


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
