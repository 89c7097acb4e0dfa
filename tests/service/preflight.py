"""Tries the database before the suite begins, so that a wrong URL or token ends it in seconds."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from continuum_upstash.plans.info import parse
from tests.service.counter import CommandCounter
from tests.service.expectations import ErrorReply
from tests.service.rest_client import NoConnection, RestClient, read_entry
from tests.service.target import Target
from tests.service.tcp_client import TcpConnection, to_text

_COMMANDS: Final = 1
_TIMEOUT: Final = 5.0  # seconds


class Unusable(Exception):
    """The suite cannot run; the message gives component, state, cause and action."""


@dataclass(frozen=True, slots=True)
class Server:
    """What INFO says.

    Attributes:
        keys: in the database, those of other programs included.
    """

    upstash_version: str
    redis_version: str
    eviction_policy: str
    keys: int


def examine(target: Target) -> Server:
    """Return what the database says about itself. PING and INFO are not billed.

    Raises:
        Unusable: it cannot be reached, or refuses the token.
    """
    call = _call_rest if target.rest_url else _call_tcp
    what = f"{'REST API' if target.rest_url else 'TCP'} of {target.name}"
    try:
        pong = call(target, "PING")
        info = call(target, "INFO")
    except (NoConnection, OSError) as error:
        raise Unusable(f"{what}: no connection: {_explain(target, error)}") from None
    if isinstance(pong, ErrorReply):
        raise Unusable(f"{what}: PING returned {pong!r}. {_advise(pong)}")
    fields = parse(info) if isinstance(info, str) else {}
    return Server(
        fields.get("upstash_version", "unknown"),
        fields.get("redis_version", "unknown"),
        fields.get("maxmemory_policy", "unknown"),
        fields.get("keys", 0),
    )


def check_write(target: Target) -> None:
    """Store a key for a millisecond. Billed: one command.

    Raises:
        Unusable: the database rejects it.
    """
    call = _call_rest if target.rest_url else _call_tcp
    reply = call(target, "SET", f"{target.prefix}preflight", "1", "PX", "1")
    if reply != "OK":
        raise Unusable(f"{target.name}: a key cannot be stored: {reply!r}. {_advise(reply)}")


def _call_rest(target: Target, *words: str) -> Any:
    client = RestClient(target.rest_url, target.token, CommandCounter(_COMMANDS), _TIMEOUT)
    try:
        response = client.post_json("/", list(words))
    finally:
        client.close()
    try:
        reply = read_entry(response.json)
    except (ValueError, AssertionError):
        kind = response.headers.get("content-type", "no content type")
        raise Unusable(
            f"REST API of {target.name}: HTTP {response.status} with {kind} instead of JSON. "
            "Check that UPSTASH_REDIS_REST_URL is the REST URL of the console."
        ) from None
    if response.status == 401:
        raise Unusable(
            f"REST API of {target.name}: the token is not accepted: {reply!r}. "
            "Copy UPSTASH_REDIS_REST_TOKEN again from the console."
        )
    return reply


def _call_tcp(target: Target, *words: str) -> Any:
    with TcpConnection(target.redis_url, CommandCounter(_COMMANDS), _TIMEOUT) as connection:
        reply = connection.authenticate()
        if isinstance(reply, ErrorReply):
            raise Unusable(
                f"TCP of {target.name}: the password is not accepted: {reply!r}. "
                "Copy UPSTASH_REDIS_URL again from the console."
            )
        return to_text(connection.call(*words))


def _explain(target: Target, error: Exception) -> str:
    parts = urlsplit(target.rest_url or target.redis_url)
    host, variable = parts.hostname or "", "UPSTASH_REDIS_REST_URL"
    if not target.rest_url:
        variable = "UPSTASH_REDIS_URL"
    if parts.scheme not in {"http", "https", "redis", "rediss"} or not host:
        return f"{variable} is not a URL of a database. Copy it again from the console."
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return (
            f"the host name does not exist. Copy {variable} again from the console; a database "
            "that was deleted or archived loses its name."
        )
    if isinstance(error, ssl.SSLError) or "SSL" in str(error):
        return f"TLS fails ({error}). Check {variable} and the certificates of this system."
    return f"{error}. Check {variable}, and that a firewall or proxy allows this connection."


def _advise(reply: object) -> str:
    text = reply.text if isinstance(reply, ErrorReply) else ""
    if text.startswith("NOPERM"):
        return "Use the standard token, not the read-only one."
    if "capacity" in text or text.startswith("OOM"):
        return "The database is full: delete keys, or use another database."
    if "limit exceeded" in text:
        return "The quota is used up: use another database, or wait for the next period."
    return "Try again later, or use another database."
