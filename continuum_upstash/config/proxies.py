"""Selects the proxy of REST requests by the environment variables that curl and httpx read.

httpx's own reading of them fails for an entry of NO_PROXY that it cannot parse, and for each
variable whose proxy it cannot use, even if that proxy is for another scheme.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.util import find_spec
from ipaddress import ip_address, ip_network
from typing import ClassVar, Final
from urllib.parse import SplitResult, unquote

from continuum_upstash.config.frozen_settings import FrozenSettings
from continuum_upstash.config.secrets import strip_quotes
from continuum_upstash.config.urls import remove_root_dot, split_url
from continuum_upstash.errors import ConfigurationError

_HTTP_SCHEMES: Final = frozenset({"http", "https"})
_SOCKS_SCHEMES: Final = frozenset({"socks5", "socks5h"})
_PORTS: Final = {"https": 443, "http": 80}
_SYSTEM_SETTINGS: Final = "the system's network settings"


class Proxy(FrozenSettings):
    """A proxy.

    Attributes:
        url: scheme, host and port.
        auth: user name and password.
        source: the environment variable that names it.
    """

    url: str
    auth: tuple[str, str] | None = None
    source: str = ""

    NOT_COMPARED: ClassVar = frozenset({"source"})
    HIDDEN: ClassVar = frozenset({"auth"})

    def __str__(self) -> str:
        return self.url


def find_proxy(environ: Mapping[str, str], rest_url: str) -> Proxy | None:
    """Return the proxy for a REST URL, or None if its host is connected to directly.

    Raises:
        ConfigurationError: the proxy's URL cannot be parsed, or its protocol is not supported.
    """
    source, text = _find_variable(environ, rest_url.partition(":")[0])
    is_from_system = not source and sys.platform in {"darwin", "win32"}
    if not text and not is_from_system:
        return None  # the usual case; Django configures a cache for each async request
    parts = split_url(rest_url)
    if parts is None or not parts.hostname:
        return None
    if is_from_system:
        source, text = _SYSTEM_SETTINGS, _find_in_system(parts)
    if not text or _is_excluded(parts, environ.get("no_proxy") or environ.get("NO_PROXY", "")):
        return None
    return _parse_proxy(text, source)


def _find_variable(environ: Mapping[str, str], scheme: str) -> tuple[str, str]:
    """Return the name and the value of the variable that applies, or empty strings."""
    # In a CGI process, HTTP_PROXY is the header "Proxy" of the client's request.
    ignored = "HTTP_PROXY" if "REQUEST_METHOD" in environ else ""
    for name in (f"{scheme}_proxy", "all_proxy"):
        # The name in lower case takes precedence, even if its value is empty.
        variable, text = name, environ.get(name)
        if text is None:
            variable = name.upper()
            text = environ.get(variable)
        if text and variable != ignored and (text := strip_quotes(text)):
            return variable, text
    return "", ""


def _find_in_system(parts: SplitResult) -> str:
    from urllib.request import getproxies, proxy_bypass  # noqa: PLC0415 doubles the time of our import

    return "" if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme, "")


def _is_excluded(parts: SplitResult, no_proxy: str) -> bool:
    host = remove_root_dot(parts.hostname or "")
    port = str(parts.port or _PORTS[parts.scheme])
    return any(_matches(entry, host, port) for entry in no_proxy.replace(",", " ").split())


def _matches(entry: str, host: str, port: str) -> bool:
    """Return whether an entry of NO_PROXY applies to a host.

    An entry is ``*``, a domain, an address or a network, perhaps with a port. Any other entry
    applies to no host.
    """
    if entry == "*":
        return True
    if entry.startswith("["):
        name, _, own_port = entry[1:].partition("]")
        own_port = own_port.removeprefix(":")
    elif entry.count(":") == 1:
        name, _, own_port = entry.partition(":")
    else:
        name, own_port = entry, ""
    if own_port not in {"", port}:
        return False
    try:
        return ip_address(host) in ip_network(name, strict=False)
    except ValueError:
        domain = remove_root_dot(name).removeprefix("*").removeprefix(".").lower()
        return bool(domain) and f".{host}".endswith(f".{domain}")


def _parse_proxy(text: str, source: str) -> Proxy:
    parts = split_url(text if "://" in text else f"http://{text}")
    if parts is None or not parts.hostname or " " in parts.netloc:
        raise ConfigurationError(
            f"The proxy in {source} cannot be parsed. Write http://host:port, and percent-encode "
            "the special characters of its password."
        )
    if parts.scheme not in _HTTP_SCHEMES | _SOCKS_SCHEMES:
        raise ConfigurationError(
            f"The proxy in {source} has the unsupported scheme {parts.scheme}://. Write http:// "
            "or socks5://, or add the host of the database to NO_PROXY."
        )
    if parts.scheme in _SOCKS_SCHEMES and find_spec("socksio") is None:
        raise ConfigurationError(
            f"The proxy in {source} is a SOCKS proxy, and the package socksio is not installed. "
            "Run pip install 'httpx[socks]', or add the host of the database to NO_PROXY."
        )
    auth = None
    if parts.username or parts.password:
        auth = unquote(parts.username or ""), unquote(parts.password or "")
    url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    return Proxy(url=url, auth=auth, source=source)
