"""The address of a client: by default the connection's, else what trusted proxies say.

Whatever a client may write itself is not believed: X-Forwarded-For is read from the right, and
only as far as the proxies that are known by their networks, or by their number, have written it.
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
"""Among the trusted proxies: a peer without an address, as over a Unix socket."""

_MAX_HOPS: Final = 32
_MAX_TEXT: Final = 80
_MAPPED_BITS: Final = 96  # of ::ffff:0:0/96
_NAT64: Final = ip_network("64:ff9b::/96")
_BRACKETED: Final = re.compile(r"\[([^\]]+)\](?::\d{1,5})?")
_IPV4_WITH_PORT: Final = re.compile(r"(\d{1,3}(?:\.\d{1,3}){3}):\d{1,5}")


def parse(text: str) -> Address | None:
    """Return the address in a header or in REMOTE_ADDR, without port, brackets and zone.

    An IPv4 address that a dual-stack socket wrote as IPv6 is the IPv4 address.
    """
    text = text.strip().strip('"')
    if not 0 < len(text) <= _MAX_TEXT:
        return None
    form = _BRACKETED.fullmatch(text) or _IPV4_WITH_PORT.fullmatch(text)
    text = (form[1] if form else text).partition("%")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return _mapped(address) or address


def _mapped(address: Address) -> IPv4Address | None:
    return address.ipv4_mapped if isinstance(address, IPv6Address) else None


def _tunnelled(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that 6to4 or NAT64 carries: all such clients share one network."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.sixtofour


class Proxies:
    """Whom to believe, and what one client is.

    Args:
        trusted: networks whose word counts, with ``unix`` for a peer without an address; or the
            number of proxies that each add to the header.
        header: where they say it: X-Forwarded-For, or one that holds a single address.
        ipv6_prefix: bits of an IPv6 address that stand for one client, who may use any address
            of that network.

    Raises:
        ConfigurationError: a network does not parse or is everybody, or a number is not one.
    """

    def __init__(
        self,
        trusted: Sequence[str] | int = (),
        header: str = "X-Forwarded-For",
        ipv6_prefix: int = 64,
    ) -> None:
        if type(ipv6_prefix) is not int or not 32 <= ipv6_prefix <= 128:
            raise ConfigurationError(f"IPV6_PREFIX is 32 to 128 bits, not {ipv6_prefix!r}.")
        if not header or not isinstance(header, str):
            raise ConfigurationError(f"PROXY_HEADER is a header's name, not {header!r}.")
        self._prefix = ipv6_prefix
        self._meta = "HTTP_" + header.upper().replace("-", "_")
        self._depth = 0
        self._networks: tuple[Network, ...] = ()
        self._unix = False
        if isinstance(trusted, int):
            if isinstance(trusted, bool) or not 0 <= trusted <= _MAX_HOPS:
                raise ConfigurationError(f"TRUSTED_PROXIES is 0 to {_MAX_HOPS} as a number.")
            self._depth = trusted
        elif isinstance(trusted, str) or not isinstance(trusted, Iterable):
            raise ConfigurationError('TRUSTED_PROXIES is a list, such as ["10.0.0.0/8"].')
        else:
            self._unix = UNIX in trusted
            self._networks = tuple(network(each) for each in trusted if each != UNIX)

    def client(self, meta: Mapping[str, Any]) -> str:
        """Return what stands for the client of a request: an address, or an IPv6 network."""
        address = self.address(meta)
        if address is None:
            return "unknown"
        if isinstance(address, IPv6Address):
            within = IPv6Network((int(address), self._prefix), strict=False)
            return str(_tunnelled(address) or within)
        return str(address)

    def address(self, meta: Mapping[str, Any]) -> Address | None:
        """Return the address of the client, or None: nobody knows it."""
        peer = parse(str(meta.get("REMOTE_ADDR") or ""))
        header = str(meta.get(self._meta) or "")
        hops = header.split(",")[-_MAX_HOPS:] if header else []
        if self._depth:
            said = parse(hops[-self._depth]) if len(hops) >= self._depth else None
            return said or peer
        if not (self._trusts(peer) if peer else self._unix):
            return peer
        nearest = peer
        for hop in reversed(hops):
            address = parse(hop)
            if address is None:
                break  # what a trusted proxy has not written as an address, it has not checked
            nearest = address
            if not self._trusts(address):
                break
        return nearest

    def _trusts(self, address: Address) -> bool:
        return any(address in each for each in self._networks)


def network(text: str) -> Network:
    """Return a network of the settings.

    Raises:
        ConfigurationError: it does not parse, or is everybody.
    """
    try:
        found = ip_network(str(text))  # of a number it would make an address
    except ValueError as error:
        raise ConfigurationError(f"{text!r} is no network such as 10.0.0.0/8: {error}.") from None
    mapped = _mapped(found.network_address)
    if mapped is not None and found.prefixlen >= _MAPPED_BITS:
        found = IPv4Network((int(mapped), found.prefixlen - _MAPPED_BITS))
    if found.prefixlen == 0:
        raise ConfigurationError(
            f"{text} is everybody, whom nobody should trust or exempt. Name the networks that "
            "you mean."
        )
    return found
