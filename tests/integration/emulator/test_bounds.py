"""Requests that are too large are refused before they are stored in memory."""

import http.client
import socket
import time
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from continuum_upstash.emulator.process import running

LIMIT = 100_000


@pytest.fixture(scope="module")
def small():
    with running(f"--max-request-size={LIMIT}") as emulator:
        yield emulator


def read_peak_memory(emulator) -> int:
    """Return the largest size of the emulator's memory so far, in bytes."""
    status = Path(f"/proc/{emulator.process.pid}/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def send_until_closed(url: str, start: bytes, piece: bytes, pieces: int) -> bytes:
    """Send pieces until the server closes the connection; return what it has sent."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as connection:
        try:
            connection.sendall(start)
            for _ in range(pieces):
                connection.sendall(piece)
        except OSError:
            pass
        try:
            return connection.recv(4096)
        except OSError:
            return b""


def test_headers_without_an_end(small):
    before = read_peak_memory(small)
    start = b"GET / HTTP/1.1\r\nHost: a\r\n"
    response = send_until_closed(small.rest_url, start, b"X-Long: " + b"x" * 10_000 + b"\r\n", 8)
    assert response.startswith(b"HTTP/1.1 431 ")
    assert b"Content-Type: application/json" in response
    send_until_closed(small.rest_url, start, b"x" * 100_000, 1000)
    assert read_peak_memory(small) - before < 20_000_000


@pytest.mark.parametrize(
    "headers", [{"X-Long": "x" * 70_000}, {f"X-{n}": "x" for n in range(9999)}]
)
def test_headers_that_are_too_large(small, headers):
    headers = headers | {"Authorization": f"Bearer {small.token}"}
    try:
        response = httpx.get(f"{small.rest_url}/ping", headers=headers)
    except httpx.TransportError:  # refused before it was sent completely
        return
    assert response.status_code == 431
    assert response.json()["error"].startswith("ERR the request line and the headers exceed")


@pytest.mark.parametrize("path", ["/", "/set/k", "/pipeline", "/multi-exec"])
def test_a_body_that_is_too_large_is_not_read(small, path):
    before = read_peak_memory(small)
    parts = urlsplit(small.rest_url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=5)
    connection.putrequest("POST", path)
    connection.putheader("Authorization", f"Bearer {small.token}")
    connection.putheader("Content-Length", str(300_000_000))
    connection.endheaders()
    response = connection.getresponse()
    assert response.status == 413
    assert b"ERR max request size exceeded. Limit: 100000 bytes, Actual: 3000000" in response.read()
    connection.close()
    assert read_peak_memory(small) - before < 20_000_000


def test_a_chunked_body_is_read_up_to_the_limit(small):
    before = read_peak_memory(small)
    headers = {"Authorization": f"Bearer {small.token}"}
    pieces = (b"x" * 100_000 for _ in range(1000))
    try:
        response = httpx.post(f"{small.rest_url}/set/k", content=pieces, headers=headers)
    except httpx.TransportError:
        pass
    else:
        assert response.status_code == 413
    assert read_peak_memory(small) - before < 20_000_000


def test_a_tcp_command_that_is_too_large_is_dropped_and_the_connection_stays(small):
    before = read_peak_memory(small)
    parts = urlsplit(small.redis_url)
    with (
        socket.create_connection((parts.hostname, parts.port), timeout=10) as connection,
        connection.makefile("rb") as replies,
    ):
        connection.sendall(b"AUTH %b\r\n" % small.token.encode())
        assert replies.readline() == b"+OK\r\n"
        connection.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$60000000\r\n")
        for _ in range(600):
            connection.sendall(b"x" * 100_000)
        connection.sendall(b"\r\n*2\r\n$6\r\nEXISTS\r\n$1\r\nk\r\n")
        error = b"-ERR max request size exceeded. Limit: 100000 bytes, Actual: 60000004 bytes."
        assert replies.readline().startswith(error)
        assert replies.readline() == b":0\r\n"
    assert read_peak_memory(small) - before < 20_000_000


def test_a_path_beyond_ascii_is_accepted(small):
    parts = urlsplit(small.rest_url)
    with socket.create_connection((parts.hostname, parts.port), timeout=5) as connection:
        path = "/set/ключ/значение?EX=60".encode()
        head = b"Connection: close\r\nAuthorization: Bearer %b\r\n" % small.token.encode()
        connection.sendall(b"GET %b HTTP/1.1\r\n%b\r\n" % (path, head))
        with connection.makefile("rb") as response:
            assert response.read().endswith(b'{"result":"OK"}')
    headers = {"Authorization": f"Bearer {small.token}"}
    assert httpx.get(f"{small.rest_url}/get/ключ", headers=headers).json() == {"result": "значение"}


def test_a_malformed_request_gets_an_error_in_json(small):
    response = send_until_closed(small.rest_url, b"GET /a b c\r\n\r\n", b"", 0)
    assert response.startswith(b"HTTP/1.1 400 ")
    assert b"Content-Type: application/json" in response


def test_throttled_commands_wait_for_their_turn(emulator, rest, tcp):
    with emulator.fault("throttle", side="both", rate=50):
        started = time.monotonic()
        for _ in range(3):
            rest.pipeline(["PING"], ["PING"])
        assert 0.11 < time.monotonic() - started < 2
        started = time.monotonic()
        for _ in range(5):
            tcp.ping()
        assert 0.09 < time.monotonic() - started < 2
