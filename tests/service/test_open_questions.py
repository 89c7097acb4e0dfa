"""OPEN: questions that no public source answers.

Nothing in this package depends on the answers. The suite observes and reports them, since they
decide what may become simpler or cheaper.
"""

from __future__ import annotations

import ssl
from socket import create_connection
from urllib.parse import quote, urlsplit

import pytest

from tests.service.catalogue import UPSTASH, assume
from tests.service.expectations import ErrorReply
from tests.service.rest_client import RestClient, read_entry


def observe_raw_write(rest: RestClient, path: str, key: str) -> str:
    """Send a body to a path; describe the response and the key that it wrote."""
    response = rest.send("POST", path, b"\xff")
    found = rest.call("EXISTS", key)
    return f"HTTP {response.status} {response.body[:120]!r}; the key exists: {found == 1}"


@assume(
    "OPEN-001",
    unproven="koala73/worldmonitor PR 2545 contradicts redis/features/restapi",
    affects="Nothing: the package encodes colons.",
    commands=2,
    profiles=UPSTASH,
)
def test_a_raw_colon_in_a_path(rest, key, record_property):
    """Whether a raw colon in a path names the same key as JSON."""
    record_property("observed", observe_raw_write(rest, f"/SET/{key}?PX=60000", key))


@assume(
    "OPEN-002",
    unproven="servers differ on `%2F`",
    affects="Nothing: a value with bytes under such a key is sent in JSON.",
    commands=2,
    profiles=UPSTASH,
)
def test_an_encoded_slash_in_a_path(rest, make_key, record_property):
    """Whether `%2F` in a path is part of the key."""
    key = make_key("a/b")
    path = f"/SET/{quote(key, safe='')}?PX=60000"
    record_property("observed", observe_raw_write(rest, path, key))


@assume(
    "OPEN-003",
    unproven="the documentation shows options with values only",
    affects="Nothing: the package sends no flag in a query.",
    commands=4,
    profiles=UPSTASH,
)
@pytest.mark.parametrize("query", ["?PX=60000&NX=GET", "?PX=60000&NX"])
def test_flags_in_a_query(rest, key, record_property, query):
    """Whether a query may carry flags, as a pair (`NX=GET`) or without a value (`NX`)."""
    path = f"/SET/{quote(key, safe='')}{query}"
    record_property("observed", observe_raw_write(rest, path, key))


@assume(
    "OPEN-004",
    unproven="the page of COMMAND describes no arguments",
    affects="Nothing: cache_doctor accepts every reply.",
    commands=0,
    profiles=UPSTASH,
)
def test_command_info(rest, record_property):
    """What COMMAND INFO returns."""
    record_property("observed", repr(rest.call("COMMAND", "INFO", "GET", "NOSUCHCOMMAND"))[:200])


@assume(
    "OPEN-005",
    unproven="redis-js 1.40.0 mentions such errors, but not their form",
    affects="Nothing: an entry that is no base64 is read as text or an error.",
    commands=2,
    profiles=UPSTASH,
)
def test_a_nested_error_under_base64(rest, key, record_property):
    """The form of an error inside an array under base64."""
    script = "return {'a', redis.pcall('INCR'), 'b'}"
    response = rest.post_json("/pipeline", [["EVAL", script, "0"]], Upstash_Encoding="base64")
    record_property("observed", response.body[:200].decode())


@assume(
    "OPEN-006",
    unproven="no page shows several replies under resp2",
    affects="Nothing: the package asks for base64. If it holds, resp2 would cost less CPU.",
    commands=2,
    profiles=UPSTASH,
)
def test_resp2_of_a_pipeline(rest, key, record_property):
    """The layout of a pipeline's response under resp2."""
    commands = [["SET", key, "v", "PX", "60000"], ["GET", key]]
    response = rest.post_json("/pipeline", commands, Upstash_Response_Format="resp2")
    record_property("observed", f"HTTP {response.status} {response.body[:120]!r}")


@assume(
    "OPEN-007",
    unproven="no page mentions HTTP/2",
    affects="Nothing: the package speaks HTTP/1.1.",
    commands=0,
    profiles=UPSTASH,
)
def test_http2(target, counter, record_property):
    """Whether the REST API offers HTTP/2."""
    parts = urlsplit(target.rest_url)
    if parts.scheme != "https":
        pytest.skip("this URL is not https://")
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        create_connection((parts.hostname or "", parts.port or 443), timeout=8) as raw,
        context.wrap_socket(raw, server_hostname=parts.hostname) as secure,
    ):
        record_property("observed", f"ALPN {secure.selected_alpn_protocol()}, {secure.version()}")


@assume(
    "OPEN-008",
    unproven="no page mentions an idle timeout of HTTP connections",
    affects="Nothing: a kept connection that proves closed is replaced.",
    commands=0,
    profiles=UPSTASH,
)
def test_headers_of_a_response(rest, record_property):
    """Which headers a response has: Server, Keep-Alive, and others."""
    headers = dict(rest.post_json("/", ["PING"]).headers)
    record_property("observed", "; ".join(f"{name}: {headers[name]}" for name in sorted(headers)))


@assume(
    "OPEN-009",
    unproven="no page mentions compression",
    affects="Nothing: the package asks for none.",
    commands=2,
    profiles=UPSTASH,
)
def test_compression_on_request(rest, key, record_property):
    """Whether a large response is compressed if Accept-Encoding allows it."""
    rest.call("SET", key, "x" * 20_000, "PX", "60000")
    response = rest.post_json("/", ["GET", key], Accept_Encoding="gzip")
    encoding = response.headers.get("content-encoding", "none")
    record_property("observed", f"{encoding}, {len(response.body)} bytes")


@assume(
    "OPEN-010",
    unproven="sources differ: text or exact numbers",
    affects="Nothing: the package reads both.",
    commands=2,
    profiles=UPSTASH,
)
def test_an_integer_beyond_2_53(rest, key, record_property):
    """Whether an integer beyond 2^53 is a JSON number or text."""
    rest.call("SET", key, "9007199254740992", "PX", "60000")
    record_property("observed", rest.post_json("/", ["INCR", key]).body.decode())


@assume(
    "OPEN-011",
    unproven="no limit is published",
    affects="Nothing: the package sends targets of up to 4 KB.",
    commands=2,
    profiles=UPSTASH,
)
@pytest.mark.parametrize("size", [7_500, 15_500])
def test_long_targets(rest, make_key, record_property, size):
    """Whether request targets of 8 KB and 16 KB are accepted."""
    key = make_key("x" * size)
    path = f"/SET/{quote(key, safe='')}?PX=60000"
    record_property("observed", observe_raw_write(rest, path, key))


@assume(
    "OPEN-012",
    unproven="clients avoid empty segments",
    affects="Nothing: the package sends such keys in JSON.",
    commands=1,
    profiles=UPSTASH,
)
def test_an_empty_segment_in_a_path(rest, key, record_property):
    """Whether an empty segment of a path is an empty argument."""
    response = rest.send("POST", f"/ECHO//{quote(key, safe='')}")
    reply = read_entry(response.json)
    kind = "error" if isinstance(reply, ErrorReply) else "result"
    record_property("observed", f"HTTP {response.status}, {kind} {reply!r}"[:200])


@assume(
    "OPEN-013",
    unproven="the page of MSETEX (CMD-028) is newer than the others, and has no changelog entry",
    affects="Nothing. If all databases have it, set_many with a timeout may become one command.",
    commands=1,
    profiles=UPSTASH,
)
def test_msetex(rest, make_key, record_property):
    """What MSETEX returns: 1, or that the command is not available."""
    reply = rest.call("MSETEX", "2", make_key("a"), "1", make_key("b"), "2", "PX", "60000")
    record_property("observed", repr(reply)[:200])
