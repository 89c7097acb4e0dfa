"""The HTTP clients over httpx, for proxies and platforms that our own sockets do not support."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ConfigurationError, ConnectionFailed
from continuum_upstash.plans.command_table import is_retryable
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports import network_errors
from continuum_upstash.transports.base import Deadline
from continuum_upstash.transports.rest.http11 import (
    MAX_IDLE_SECONDS,
    HttpResponse,
    RequestEncoder,
    check_response_size,
)
from continuum_upstash.transports.rest.httpx_deadline import ThreadDeadline, install_deadline
from continuum_upstash.transports.rest.requests import Request
from continuum_upstash.transports.tracebacks import HiddenLibraryFrames


class HttpxClient:
    """Sends requests through an `httpx.Client`."""

    def __init__(self, config: Config, encoder: RequestEncoder) -> None:
        self._config = config
        self._encoder = encoder
        self._client = httpx.Client(**_make_client_settings(config, encoder))
        self._deadline = ThreadDeadline()
        install_deadline(self._client, self._deadline)

    def exchange(self, request: Request, sync_token: bytes | None, batch: Batch) -> HttpResponse:
        deadline = _make_deadline(self._config, batch.deadline_s)
        try:
            return self._exchange(request, sync_token, batch, deadline)
        except ConnectionFailed as error:
            if not _can_retry(error, batch):
                raise
        return self._exchange(request, sync_token, batch, deadline)

    def _exchange(
        self, request: Request, sync_token: bytes | None, batch: Batch, deadline: Deadline
    ) -> HttpResponse:
        arguments = _make_request_arguments(self._encoder, request, sync_token)
        with (
            _translate_errors(self._config, deadline),
            HiddenLibraryFrames(),
            self._deadline.apply(deadline),
        ):
            if batch.deadline_s is not None:
                arguments["timeout"] = deadline.get_remaining()
            with self._client.stream("POST", **arguments) as response:
                body = _Body(self._config.label)
                for part in response.iter_raw():
                    body.add(part)
                return body.complete(response)

    def close(self) -> None:
        self._client.close()


class AsyncHttpxClient:
    """The async counterpart of HttpxClient, with one deadline for the whole exchange."""

    def __init__(self, config: Config, encoder: RequestEncoder) -> None:
        self._config = config
        self._encoder = encoder
        self._client = httpx.AsyncClient(**_make_client_settings(config, encoder))

    async def exchange(
        self, request: Request, sync_token: bytes | None, batch: Batch
    ) -> HttpResponse:
        deadline = _make_deadline(self._config)
        with _translate_errors(self._config, deadline):
            async with asyncio.timeout(deadline.get_remaining()):
                try:
                    return await self._exchange(request, sync_token, deadline)
                except ConnectionFailed as error:
                    if not _can_retry(error, batch):
                        raise
                return await self._exchange(request, sync_token, deadline)

    async def _exchange(
        self, request: Request, sync_token: bytes | None, deadline: Deadline
    ) -> HttpResponse:
        arguments = _make_request_arguments(self._encoder, request, sync_token)
        with _translate_errors(self._config, deadline), HiddenLibraryFrames():
            async with self._client.stream("POST", **arguments) as response:
                body = _Body(self._config.label)
                async for part in response.aiter_raw():
                    body.add(part)
                return body.complete(response)

    async def aclose(self) -> None:
        await self._client.aclose()


class _Authorization(httpx.Auth):
    """Adds the token to a request; in the arguments of a call, a traceback would show it."""

    def __init__(self, encoder: RequestEncoder) -> None:
        self._encoder = encoder

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = self._encoder.authorization
        yield request


def _make_deadline(config: Config, own: float | None = None) -> Deadline:
    deadline = Deadline(config.read_timeout, own)
    deadline.extend(config.connect_timeout)  # httpx opens its connections within the exchange
    return deadline


def _can_retry(error: ConnectionFailed, batch: Batch) -> bool:
    """Return whether the error may come from a kept connection that the proxy has just closed.

    httpx does not say. A proxy that cannot be connected to is not tried again.
    """
    return not error.unsent and is_retryable(batch)


def _make_client_settings(config: Config, encoder: RequestEncoder) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "auth": _Authorization(encoder),
        "timeout": httpx.Timeout(config.read_timeout, connect=config.connect_timeout),
        "limits": httpx.Limits(
            max_connections=config.pool_size,
            max_keepalive_connections=config.pool_size,
            keepalive_expiry=MAX_IDLE_SECONDS,
        ),
    }
    proxy = config.proxy
    is_tls_proxy = proxy is not None and proxy.url.startswith("https:")
    context = None
    if encoder.secure or is_tls_proxy:
        from continuum_upstash.transports.sockets import get_https_context  # noqa: PLC0415 may lack ssl

        settings["verify"] = context = get_https_context(config.ca_file)
    try:
        httpx.URL(encoder.url)
        if proxy is not None:
            settings["proxy"] = httpx.Proxy(
                proxy.url, auth=proxy.auth, ssl_context=context if is_tls_proxy else None
            )
    except (httpx.InvalidURL, ValueError):
        names = "the REST URL" if proxy is None else f"the REST URL or the proxy in {proxy.source}"
        raise ConfigurationError(
            f"{config.label}: httpx cannot use the host of {names}. Correct it."
        ) from None
    return settings


def _make_request_arguments(
    encoder: RequestEncoder, request: Request, sync_token: bytes | None
) -> dict[str, Any]:
    # `_Authorization` fills in the first one: where a header is set later, httpx appends it.
    headers = [("Authorization", ""), *encoder.headers(request.kind)]
    if sync_token is not None:
        headers.append(("Upstash-Sync-Token", sync_token.decode("latin-1")))
    return {"url": encoder.url + request.target, "headers": headers, "content": request.body}


class _Body:
    """Collects the parts of a response's body, up to MAX_RESPONSE_BYTES."""

    def __init__(self, label: str) -> None:
        self._label = label
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, part: bytes) -> None:
        self._parts.append(part)
        self._size += len(part)
        check_response_size(self._size, self._label)

    def complete(self, response: httpx.Response) -> HttpResponse:
        headers = {name.lower(): value for name, value in response.headers.raw}
        return HttpResponse(response.status_code, headers, b"".join(self._parts), reusable=True)


@contextmanager
def _translate_errors(config: Config, deadline: Deadline) -> Iterator[None]:
    try:
        yield
    except httpx.PoolTimeout as error:
        raise network_errors.pool_exhausted(
            config.label, config.pool_size, config.read_timeout
        ) from error
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
        proxy = config.proxy
        hint = "" if proxy is None else f" Check the proxy in {proxy.source}, and NO_PROXY."
        raise ConnectionFailed(
            f"{config.label}: cannot connect through httpx ({_describe(error)}).{hint}", unsent=True
        ) from error
    except (httpx.TimeoutException, TimeoutError) as error:
        raise deadline.timeout_error(config.label) from error
    except httpx.TransportError as error:
        raise ConnectionFailed(
            f"{config.label}: the connection broke before the reply ({type(error).__name__})."
        ) from error


def _describe(error: httpx.TransportError) -> str:
    name = type(error).__name__
    is_rejected = isinstance(error, httpx.ProxyError) and "407" in str(error)
    return f"{name}: the proxy rejects the user name or the password" if is_rejected else name
