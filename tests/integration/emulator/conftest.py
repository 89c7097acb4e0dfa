"""Plain HTTP clients for the emulator: nothing of ours between the test and the wire."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import redis


class Rest:
    """Says each request form in one call."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http

    def post(self, path: str, body: Any, **headers: str) -> httpx.Response:
        return self.http.post(path, json=body, headers=_header_names(headers))

    def send(self, *command: Any, **headers: str) -> Any:
        """One command in the body; its result, or its error."""
        return _outcome(self.post("/", list(command), **headers).json())

    def pipeline(self, *commands: list[Any], **headers: str) -> list[Any]:
        answer = self.post("/pipeline", list(commands), **headers)
        assert answer.status_code == 200
        return [_outcome(item) for item in answer.json()]


def _header_names(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _outcome(item: dict[str, Any]) -> Any:
    assert len(item) == 1
    return item.get("result", item.get("error"))


@pytest.fixture(scope="session")
def http(upstash_emulator) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {upstash_emulator.token}"}
    with httpx.Client(base_url=upstash_emulator.rest_url, headers=headers) as client:
        yield client


@pytest.fixture
def emulator(upstash_emulator):
    upstash_emulator.reset()
    return upstash_emulator


@pytest.fixture
def rest(emulator, http) -> Rest:
    return Rest(http)


@pytest.fixture
def tcp(emulator) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(emulator.redis_url, socket_timeout=5) as client:
        yield client
