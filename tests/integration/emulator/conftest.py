"""Clients of the emulator that do not use the package."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import redis


class RestClient:
    """Sends each form of request by one call."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return self.http.post(path, json=body, headers=_format_headers(headers))

    def send(self, *command: Any, **headers: str) -> Any:
        """Send one command in the body; return its result or its error."""
        return _read_result(self.post("/", list(command), **headers).json())

    def pipeline(self, *commands: list[Any], **headers: str) -> list[Any]:
        response = self.post("/pipeline", list(commands), **headers)
        assert response.status_code == 200
        return [_read_result(item) for item in response.json()]


def _format_headers(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _read_result(item: dict[str, Any]) -> Any:
    assert len(item) == 1
    return item.get("result", item.get("error"))


@pytest.fixture(scope="session")
def http(upstash_emulator) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {upstash_emulator.token}"}
    # The URLs are http://…; without verify=False, a context for TLS would be made in 30 ms.
    with httpx.Client(base_url=upstash_emulator.rest_url, headers=headers, verify=False) as client:
        yield client


@pytest.fixture
def rest(emulator, http) -> RestClient:
    return RestClient(http)


@pytest.fixture
def tcp(emulator) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(emulator.redis_url, socket_timeout=5) as client:
        yield client
