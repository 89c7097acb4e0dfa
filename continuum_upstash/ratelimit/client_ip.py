"""The IP address of a client: the connection's, or the one that trusted proxies report.

Header values that a client can write itself are not trusted: X-Forwarded-For is read from the
right, and only the part that trusted proxies have written. The proxies are known by their networks
or by their number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Any, Final, TypeAlias

from continuum_upstash.errors import ConfigurationError

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

UNIX: Final = "unix"
"""In TRUSTED_PROXIES: a peer without an address, for example on a Unix socket."""

_MAX_HOPS: Final = 32
_MAX_ADDRESS_LENGTH: Final = 80
_MAPPED_BITS: Final = 96  # of ::ffff:0:0/96
_NAT64: Final = ip_network("64:ff9b::/96")
_BRACKETED: Final = re.compile(r"\[([^\]]+)\](?::\d{1,5})?")
_IPV4_WITH_PORT: Final = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}")


def parse_address(text: str) -> Address | None:
    """Return the address in a header or in REMOTE_ADDR, without port, brackets and zone.

    An IPv4-mapped IPv6 address, as dual-stack sockets report it, becomes the IPv4 address. Invalid
    text returns None.
    """
    text = text.strip().strip('"')
    if not 0 < len(text) <= _MAX_ADDRESS_LENGTH:
        return None
    match = _BRACKETED.fullmatch(text) or _IPV4_WITH_PORT.fullmatch(text)
    text = (match[1] if match else text).partition("%")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return _get_mapped_ipv4(address) or address


def _get_mapped_ipv4(address: Address) -> IPv4Address | None:
    return address.ipv4_mapped if isinstance(address, IPv6Address) else None


def _get_embedded_ipv4(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address in a NAT64 or 6to4 address.

    The IPv6 network would not identify a client there: all clients of NAT64 share one, and a
    client of 6to4 has many.
    """
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour


class TrustedProxies:
    """Determines the client of a request.

    Args:
        trusted: the networks of the proxies, with ``unix`` for a peer without an address; or the
            number of proxies, each of which appends to the header.
        header: the header that the proxies set: X-Forwarded-For, or one with a single address.
        ipv6_prefix: the number of address bits that identify one IPv6 client, since a client can
            use any address of its network.

    Raises:
        ConfigurationError: a network is invalid or includes all addresses, or another argument is
            invalid.
    """

    def __init__(
        self,
        trusted: Sequence[str] | int = (),
        header: str = "X-Forwarded-For",
        ipv6_prefix: int = 64,
    ) -> None:
        if type(ipv6_prefix) is not int or not 32 <= ipv6_prefix <= 128:
            raise ConfigurationError(
                f"IPV6_PREFIX must be a number of bits from 32 to 128, not {ipv6_prefix!r}."
            )
        if not header or not isinstance(header, str):
            raise ConfigurationError(f"PROXY_HEADER must be the name of a header, not {header!r}.")
        self._prefix = ipv6_prefix
        self._meta_name = "HTTP_" + header.upper().replace("-", "_")
        self._depth = 0
        self._networks: tuple[Network, ...] = ()
        self._trusts_unix = False
        if isinstance(trusted, int):
            if isinstance(trusted, bool) or not 0 <= trusted <= _MAX_HOPS:
                raise ConfigurationError(
                    f"TRUSTED_PROXIES as a number must be from 0 to {_MAX_HOPS}, not {trusted!r}."
                )
            self._depth = trusted
        elif isinstance(trusted, str) or not isinstance(trusted, Iterable):
            raise ConfigurationError(
                f'TRUSTED_PROXIES must be a list such as ["10.0.0.0/8"], not {trusted!r}.'
            )
        else:
            self._trusts_unix = UNIX in trusted
            self._networks = tuple(parse_network(each) for each in trusted if each != UNIX)

    def get_client_key(self, meta: Mapping[str, Any]) -> str:
        """Return what identifies the client: an IPv4 address, an IPv6 network, or ``unknown``.

        Args:
            meta: ``request.META``.
        """
        address = self.get_client_ip(meta)
        if address is None:
            return "unknown"
        if isinstance(address, IPv6Address):
            network = IPv6Network((int(address), self._prefix), strict=False)
            return str(_get_embedded_ipv4(address) or network)
        return str(address)

    def get_client_ip(self, meta: Mapping[str, Any]) -> Address | None:
        """Return the address of the client, or None if it is unknown.

        Args:
            meta: ``request.META``.
        """
        peer = parse_address(str(meta.get("REMOTE_ADDR") or ""))
        header = str(meta.get(self._meta_name) or "")
        hops = header.split(",")[-_MAX_HOPS:] if header else []
        if self._depth:
            reported = parse_address(hops[-self._depth]) if len(hops) >= self._depth else None
            return reported or peer
        if not (self._is_trusted(peer) if peer else self._trusts_unix):
            return peer
        nearest = peer
        for hop in reversed(hops):
            address = parse_address(hop)
            if address is None:
                break  # not written by a trusted proxy, which would have written an address
            nearest = address
            if not self._is_trusted(address):
                break
        return nearest

    def _is_trusted(self, address: Address) -> bool:
        return any(address in each for each in self._networks)


def parse_network(text: str) -> Network:
    """Return a network of the settings.

    Raises:
        ConfigurationError: the network is invalid, or includes all addresses.
    """
    try:
        network = ip_network(str(text))  # ip_network(5) would be the address 0.0.0.5
    except ValueError as error:
        raise ConfigurationError(
            f"{text!r} is not a network such as 10.0.0.0/8: {error}."
        ) from None
    mapped = _get_mapped_ipv4(network.network_address)
    if mapped is not None and network.prefixlen >= _MAPPED_BITS:
        network = IPv4Network((int(mapped), network.prefixlen - _MAPPED_BITS))
    if network.prefixlen == 0:
        raise ConfigurationError(
            f"{text} includes all addresses, so every client would be trusted or exempt. List the "
            "networks that you mean."
        )
    return network
