"""HTTP: access, status codes and headers of the REST API."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPSConnection
from urllib.parse import urlsplit

import pytest

from tests.service.catalogue import EVERYWHERE, UPSTASH, assume
from tests.service.expectations import error, matching
from tests.service.rest_client import TIMEOUT, RestClient, read_entry

WRONG_TOKEN = "AbcdEFGHijklMNOPqrstUVWXyz0123456789"


@assume(
    "HTTP-001",
    documented="redis/features/restapi",
    affects="Every command over REST: AuthenticationFailed.",
    commands=0,
)
def test_the_token_is_a_bearer_token(rest):
    """`Authorization: Bearer TOKEN` authenticates a request."""
    response = rest.post_json("/", ["PING"])
    assert (response.status, read_entry(response.json)) == (200, "PONG")


@assume(
    "HTTP-002",
    documented="redis/troubleshooting/http_unauthorized",
    affects="A wrong token is reported as an outage, and retried, instead of AuthenticationFailed.",
    commands=0,
    profiles=UPSTASH,
)
def test_a_wrong_token_returns_401_and_wrongpass(rest):
    """A wrong token returns HTTP 401 and a JSON error that begins with WRONGPASS."""
    response = rest.send("POST", "/", b'["PING"]', commands=0, token=WRONG_TOKEN)
    assert response.status == 401
    assert response.json["error"] == matching("WRONGPASS")


@assume(
    "HTTP-003",
    documented="redis/features/restapi",
    affects="A missing token is reported as an outage instead of AuthenticationFailed.",
    commands=0,
    profiles=UPSTASH,
)
def test_a_missing_token_returns_401(rest):
    """A request without a token returns HTTP 401 and a JSON error."""
    response = rest.send("POST", "/", b'["PING"]', commands=0, token="")
    assert (response.status, list(response.json)) == (401, ["error"])


@assume(
    "HTTP-004",
    documented="redis/sdks/ts/advanced",
    affects="Each command opens a connection: about three round trips instead of one.",
    commands=0,
)
def test_connections_are_kept(rest):
    """A connection serves more than one request."""
    rest.call("PING")
    kept = rest._connection
    rest.call("PING")
    assert kept is not None
    assert rest._connection is kept


@assume(
    "HTTP-005",
    documented="redis/features/restapi",
    affects="Nothing if the body is JSON: the client reads the body, not the content type.",
    commands=0,
)
def test_json_has_the_content_type_of_json(rest):
    """A JSON response has the content type application/json."""
    response = rest.post_json("/", ["PING"])
    assert response.headers["content-type"] == matching("application/json")


@assume(
    "HTTP-006",
    unproven="no page or SDK mentions compression",
    affects="Responses cannot be read: Unavailable.",
    commands=0,
)
def test_a_response_is_not_compressed_without_accept_encoding(rest):
    """A response to a request without Accept-Encoding is not compressed."""
    response = rest.post_json("/", ["PING"])
    assert response.headers.get("content-encoding", "identity") == "identity"


@assume(
    "HTTP-007",
    unproven="no page or SDK mentions it",
    affects="Responses cannot be read: Unavailable.",
    commands=0,
)
def test_a_response_is_not_compressed_with_accept_encoding_identity(rest):
    """A response to `Accept-Encoding: identity` is not compressed."""
    response = rest.post_json("/", ["PING"], Accept_Encoding="identity")
    assert response.headers.get("content-encoding", "identity") == "identity"


@assume(
    "HTTP-008",
    unproven="RFC 9112 allows a response that ends with its connection",
    affects="Responses end only when the connection does: each command opens a connection.",
    commands=0,
)
def test_the_length_of_a_response_is_known(rest):
    """A response has a Content-Length or is chunked."""
    headers = rest.post_json("/", ["PING"]).headers
    assert "content-length" in headers or headers.get("transfer-encoding") == "chunked"


@assume(
    "HTTP-009",
    seen_in="upstash/redis-py upstash_redis/http.py",
    affects="OPTIONS TELEMETRY: requests are refused.",
    commands=0,
)
def test_telemetry_headers_are_accepted(rest):
    """The headers Upstash-Telemetry-Sdk, -Runtime and -Platform are accepted."""
    response = rest.post_json(
        "/",
        ["PING"],
        Upstash_Telemetry_Sdk="continuum-upstash@v0.0.0",
        Upstash_Telemetry_Runtime="python@v3.13.0",
        Upstash_Telemetry_Platform="unknown",
    )
    assert read_entry(response.json) == "PONG"


@assume(
    "HTTP-010",
    documented="redis/features/restapi",
    affects="Only the emulator: an application that sends the token in the query fails there.",
    commands=0,
    profiles=UPSTASH,
)
def test_the_token_may_be_in_the_query(rest, target):
    """`?_token=TOKEN` authenticates a request without an Authorization header."""
    response = rest.send("POST", f"/?_token={target.token}", b'["PING"]', commands=0, token="")
    assert read_entry(response.json) == "PONG"


@assume(
    "HTTP-011",
    documented="redis/features/restapi",
    affects="Only the emulator: it accepts other methods than the service.",
    commands=0,
    profiles=UPSTASH,
)
def test_other_methods_return_405(rest):
    """A method other than HEAD, GET, POST and PUT returns HTTP 405."""
    assert rest.send("DELETE", "/", commands=0).status == 405


@assume(
    "HTTP-012",
    documented="redis/features/restapi",
    affects="Only the emulator: it refuses a value that the service accepts.",
    commands=1,
    profiles=UPSTASH,
)
def test_an_unknown_response_format_returns_400(rest, key):
    """A value of Upstash-Response-Format other than json and resp2 returns HTTP 400."""
    assert rest.post_json("/", ["GET", key], Upstash_Response_Format="resp9").status == 400


@assume(
    "HTTP-013",
    documented="redis/features/restapi",
    affects="Only the emulator: it refuses a combination that the service accepts.",
    commands=1,
    profiles=UPSTASH,
)
def test_resp2_with_base64_returns_400(rest, key):
    """Upstash-Response-Format: resp2 with Upstash-Encoding: base64 returns HTTP 400."""
    response = rest.post_json(
        "/", ["GET", key], Upstash_Response_Format="resp2", Upstash_Encoding="base64"
    )
    assert response.status == 400


@assume(
    "HTTP-014",
    documented="redis/features/security",
    affects="https:// URLs fail: Unavailable, unless CA_FILE is set.",
    commands=0,
)
def test_the_certificate_is_valid(rest, target):
    """The certificate of the REST API is issued by an authority that the system trusts."""
    if not target.rest_url.startswith("https:"):
        pytest.skip("this URL is not https://")
    assert rest.call("PING") == "PONG"


@assume(
    "HTTP-015",
    seen_in="upstash/ratelimit-js issue 18, upstash/redis-js issue 1357",
    affects="A read-only token is not recognized: writes raise ReplyError instead of NotPermitted.",
    commands=1,
    profiles=EVERYWHERE - {"srh"},
)
def test_a_read_only_token_may_not_write(rest, key, target):
    """A write with the read-only token is an error that begins with NOPERM."""
    if not target.read_only_token:
        pytest.skip("set UPSTASH_REDIS_REST_READ_ONLY_TOKEN")
    body = f'["SET","{key}","x","PX","60000"]'.encode()
    response = rest.send("POST", "/", body, token=target.read_only_token)
    assert read_entry(response.json) == error("NOPERM")


@assume(
    "HTTP-016",
    documented="redis/features/restapi",
    affects="cache_doctor cannot recognize a read-only token.",
    commands=1,
    profiles=EVERYWHERE - {"srh"},
)
def test_a_read_only_token_may_not_scan(rest, target):
    """SCAN with the read-only token is an error that begins with NOPERM."""
    if not target.read_only_token:
        pytest.skip("set UPSTASH_REDIS_REST_READ_ONLY_TOKEN")
    response = rest.send("POST", "/", b'["SCAN","0"]', token=target.read_only_token)
    assert read_entry(response.json) == error("NOPERM")


@assume(
    "HTTP-017",
    unproven="limits of connections were removed from the plans; none is published for HTTP",
    affects="Connections are refused under load: lower POOL_SIZE, whose default is 10.",
    commands=0,
)
def test_ten_connections_at_once(rest, target):
    """Ten connections from one address are served at the same time."""
    clients = [RestClient(target.rest_url, target.token, rest.counter) for _ in range(10)]
    try:
        with ThreadPoolExecutor(10) as threads:
            replies = list(threads.map(lambda client: client.call("PING"), clients))
        assert replies == ["PONG"] * 10
        assert [client.call("PING") for client in clients] == ["PONG"] * 10
    finally:
        for client in clients:
            client.close()


@assume(
    "HTTP-018",
    documented="redis/features/restapi",
    affects="Channels, live pages and waiting workers receive nothing over REST.",
    commands=2,
    profiles=UPSTASH,
)
def test_subscriptions_are_server_sent_events(rest, target, make_key):
    """POST /subscribe/channel returns events: `data: subscribe,channel,1`, then each message."""
    channel = make_key.prefix.replace(":", "-")
    rest.counter.add(1)
    with open_stream(target, f"/subscribe/{channel}") as stream:
        assert read_event(stream) == f"data: subscribe,{channel},1"
        assert rest.call("PUBLISH", channel, "hello") == 1
        assert read_event(stream) == f"data: message,{channel},hello"


@contextmanager
def open_stream(target, path):
    parts = urlsplit(target.rest_url)
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(parts.netloc, timeout=TIMEOUT)
    headers = {"Authorization": f"Bearer {target.token}", "Accept": "text/event-stream"}
    connection.request("POST", parts.path.rstrip("/") + path, headers=headers)
    with closing(connection), connection.getresponse() as response:
        yield response


def read_event(stream):
    lines = (stream.readline().decode().strip() for _ in range(10))
    return next(filter(None, lines), "nothing")
