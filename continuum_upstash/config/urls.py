"""Parses URLs that may contain a password, and classifies their hosts."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

_LOCAL_DOMAINS: Final = (".local", ".internal", ".localhost", ".flycast")
_MAX_LABEL: Final = 63  # characters between two dots of a host name (RFC 1035)


def split_url(text: str) -> SplitResult | None:
    """Return the parts of a URL, or None if it cannot be parsed.

    No exception is raised because urllib's contain the URL, with its password. A URL with an "@"
    after the host cannot be parsed either: its password contains a "/", "?" or "#" that is not
    percent-encoded, so the supposed host is a part of the password.
    """
    if not text.isprintable():
        return None  # urllib would delete line breaks and tabs
    try:
        parts = urlsplit(text)
        host, _ = parts.hostname, parts.port  # an invalid port raises here
    except ValueError:
        return None
    if host is not None and not _is_valid_host(host):
        return None
    if parts.scheme != "unix" and "@" in parts.path + parts.query + parts.fragment:
        return None
    return parts


def _is_valid_host(host: str) -> bool:
    if ":" in host:
        return True  # an IPv6 address, which urllib has validated
    try:
        name = host if host.isascii() else host.encode("idna").decode()
    except UnicodeError:
        return False
    labels = remove_root_dot(name).split(".")
    return " " not in name and all(0 < len(label) <= _MAX_LABEL for label in labels)


def remove_root_dot(host: str) -> str:
    """Return the name of a host as certificates contain it.

    A dot at the end marks an absolute name: the resolver tries no search domains.
    """
    return host.removesuffix(".")


def is_same_url(one: str, other: str) -> bool:
    """Return whether two REST URLs are equal, however their host is written."""
    first, second = split_url(one.strip()), split_url(other.strip())
    if first is None or second is None:
        return one == other
    return _normalize(first) == _normalize(second)


def _normalize(parts: SplitResult) -> tuple[object, ...]:
    port = parts.port or {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, remove_root_dot(parts.hostname or ""), port, parts.path.rstrip("/")


def is_upstash(host: str) -> bool:
    return remove_root_dot(host).endswith(".upstash.io")


def is_loopback(host: str) -> bool:
    """Return whether `host` is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_private(host: str) -> bool:
    """Return whether unencrypted traffic to `host` is acceptable.

    That is the case for loopback, private address ranges, local names, and the databases of
    Fly.io, which only its private network can reach.
    """
    host = remove_root_dot(host)
    try:
        address = ip_address(host)
    except ValueError:
        is_on_fly = is_upstash(host) and host.startswith("fly-")
        return "." not in host or host.endswith(_LOCAL_DOMAINS) or is_on_fly
    return not address.is_global
