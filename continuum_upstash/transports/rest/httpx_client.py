"""Requests by way of httpx, which knows proxies and platforms that our own wire does not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final

import httpx

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import ConnectionFailed, RequestTooLarge
from continuum_upstash.plans.command_table import is_retryable
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports import network_errors
from continuum_upstash.transports.rest.http11 import MAX_ANSWER_BYTES, Answer, Endpoint
from continuum_upstash.transports.rest.requests import Request

_KEEP_SECONDS: Final = 55.0


class Proxied:
    """Sends requests through an `httpx.Client`.

    The deadline is checked whenever a part of the body arrives; each wait by itself is bounded.
    """

    def __init__(self, config: Config, endpoint: Endpoint) -> None:
        self._config = config
        self._endpoint = endpoint
        self._client = httpx.Client(**_settings(config, endpoint))

    def exchange(self, request: Request, sync_token: bytes | None, batch: Batch) -> Answer:
        seconds = batch.effective_timeout(self._config.connect_timeout + self._config.read_timeout)
        deadline = monotonic() + seconds
        timeout = httpx.USE_CLIENT_DEFAULT if batch.deadline_s is None else batch.deadline_s
        try:
            return self._exchange(request, sync_token, timeout, deadline)
        except ConnectionFailed as error:
            if not _may_repeat(error, batch):
                raise
        return self._exchange(request, sync_token, timeout, deadline)

    def _exchange(
        self, request: Request, sync_token: bytes | None, timeout: Any, deadline: float
    ) -> Answer:
        with (
            _our_errors(self._config),
            self._client.stream(
                "POST", **_request(self._endpoint, request, sync_token), timeout=timeout
            ) as response,
        ):
            parts = _Parts(self._config.label)
            for part in response.iter_raw():
                parts.add(part)
                if monotonic() > deadline:
                    raise TimeoutError
            return parts.answer(response)

    def close(self) -> None:
        self._client.close()


class AsyncProxied:
    """The twin over an `httpx.AsyncClient`, with a deadline for the whole exchange."""

    def __init__(self, config: Config, endpoint: Endpoint) -> None:
        self._config = config
        self._endpoint = endpoint
        self._client = httpx.AsyncClient(**_settings(config, endpoint))

    async def exchange(self, request: Request, sync_token: bytes | None, batch: Batch) -> Answer:
        with _our_errors(self._config):
            async with asyncio.timeout(self._config.connect_timeout + self._config.read_timeout):
                try:
                    return await self._exchange(request, sync_token)
                except ConnectionFailed as error:
                    if not _may_repeat(error, batch):
                        raise
                return await self._exchange(request, sync_token)

    async def _exchange(self, request: Request, sync_token: bytes | None) -> Answer:
        sent = _request(self._endpoint, request, sync_token)
        with _our_errors(self._config):
            async with self._client.stream("POST", **sent) as response:
                parts = _Parts(self._config.label)
                async for part in response.aiter_raw():
                    parts.add(part)
                return parts.answer(response)

    async def aclose(self) -> None:
        await self._client.aclose()


def _may_repeat(error: ConnectionFailed, batch: Batch) -> bool:
    """Return whether it may have been a kept connection that the proxy was just closing.

    httpx does not tell; a proxy that cannot be connected to is not asked twice.
    """
    return not error.unsent and is_retryable(batch)


def _settings(config: Config, endpoint: Endpoint) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "headers": {"Accept-Encoding": "identity"},
        "timeout": httpx.Timeout(config.read_timeout, connect=config.connect_timeout),
        "limits": httpx.Limits(
            max_connections=config.pool_size,
            max_keepalive_connections=config.pool_size,
            keepalive_expiry=_KEEP_SECONDS,
        ),
    }
    if endpoint.secure:
        from continuum_upstash.transports.sockets import tls_context  # noqa: PLC0415 may lack ssl

        settings["verify"] = tls_context(config.ca_file)
    return settings


def _request(endpoint: Endpoint, request: Request, sync_token: bytes | None) -> dict[str, Any]:
    headers = endpoint.headers(request.form)
    if sync_token is not None:
        headers.append(("Upstash-Sync-Token", sync_token.decode("latin-1")))
    return {"url": endpoint.url + request.target, "headers": headers, "content": request.body}


class _Parts:
    def __init__(self, label: str) -> None:
        self._label = label
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, part: bytes) -> None:
        self._parts.append(part)
        self._size += len(part)
        if self._size > MAX_ANSWER_BYTES:
            raise RequestTooLarge(
                f"{self._label}: a reply exceeds {MAX_ANSWER_BYTES >> 20} MB. Ask for less at once."
            )

    def answer(self, response: httpx.Response) -> Answer:
        headers = {name.lower(): value for name, value in response.headers.raw}
        return Answer(response.status_code, headers, b"".join(self._parts), reusable=True)


@contextmanager
def _our_errors(config: Config) -> Iterator[None]:
    try:
        yield
    except httpx.PoolTimeout as error:
        raise network_errors.all_busy(
            config.label, config.pool_size, config.read_timeout
        ) from error
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
        raise ConnectionFailed(
            f"{config.label}: cannot connect by way of httpx ({type(error).__name__}). "
            "Check the proxy that HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names, and NO_PROXY.",
            unsent=True,
        ) from error
    except (httpx.TimeoutException, TimeoutError) as error:
        raise network_errors.too_late(config.label, config.read_timeout) from error
    except httpx.TransportError as error:
        raise ConnectionFailed(
            f"{config.label}: the connection broke before the reply ({type(error).__name__})."
        ) from error
