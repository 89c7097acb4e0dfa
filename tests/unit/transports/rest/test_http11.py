"""HTTP/1.1 as bytes, without sockets."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum_upstash.config.resolve import Config
from continuum_upstash.config.secrets import Secret
from continuum_upstash.errors import ConfigurationError, ConnectionFailed, RequestTooLarge
from continuum_upstash.transports.rest import http11
from continuum_upstash.transports.rest.http11 import HttpResponse, RequestEncoder, ResponseParser
from continuum_upstash.transports.rest.requests import Request

SIZED = b"HTTP/1.1 200 OK\r\nContent-Type: text/x\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = (
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: CHUNKED\r\ncontent-TYPE: text/x\r\n\r\n"
    b"2\r\nhe\r\n3;ext=1\r\nllo\r\n0\r\nTrailer: t\r\n\r\n"
)
AFTER_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + SIZED
LAST = SIZED.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
OLD = SIZED.replace(b"HTTP/1.1", b"HTTP/1.0")
OLD_KEPT = OLD.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n")


def feed(*parts: bytes) -> list[HttpResponse | None]:
    reader = ResponseParser("cache 'x'")
    return [reader.feed(part) for part in parts]


@pytest.mark.parametrize(
    ("stream", "reusable"),
    [
        (SIZED, True),
        (CHUNKED, True),
        (AFTER_HINTS, True),
        (LAST, False),
        (OLD, False),
        (OLD_KEPT, True),
    ],
)
def test_a_response_is_parsed_in_any_two_pieces(stream, reusable):
    for cut in range(1, len(stream)):
        first, last = feed(stream[:cut], stream[cut:])
        assert first is None
        assert last is not None
        assert (last.status, last.body, last.reusable) == (200, b"hello", reusable)
        assert last.headers[b"content-type"] == b"text/x"


@pytest.mark.parametrize("stream", [SIZED, CHUNKED, AFTER_HINTS])
def test_a_response_is_parsed_byte_by_byte(stream):
    *nothing, last = feed(*[bytes([byte]) for byte in stream])
    assert set(nothing) == {None}
    assert last is not None
    assert last.body == b"hello"


@given(bodies=st.lists(st.binary(max_size=50), min_size=1, max_size=5), chunked=st.booleans())
def test_responses_follow_each_other_on_one_connection(bodies, chunked):
    reader = ResponseParser("cache 'x'")
    for number, body in enumerate(bodies):
        if chunked:
            parts = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
            stream = b"Transfer-Encoding: chunked\r\n\r\n%b0\r\n\r\n" % parts
        else:
            stream = b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        response = reader.feed(b"HTTP/1.1 200 OK\r\nN: %d\r\n%b" % (number, stream))
        assert response is not None
        assert (response.body, response.headers[b"n"], response.reusable) == (
            body,
            b"%d" % number,
            True,
        )


def test_a_response_without_body_is_complete():
    (response,) = feed(b"HTTP/1.1 204 No Content\r\n\r\n")
    assert response == HttpResponse(204, {}, b"", reusable=True)


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
def test_a_response_without_a_length_ends_with_the_connection(version):
    reader = ResponseParser("cache 'x'")
    assert reader.feed(b"HTTP/%b 200 OK\r\nContent-Type: t\r\n\r\nhel" % version) is None
    assert reader.feed(b"lo") is None
    response = reader.feed_eof()
    assert response is not None
    assert (response.body, response.reusable) == (b"hello", False)


@pytest.mark.parametrize("stream", [b"", SIZED[:10], SIZED[:-1], CHUNKED[:-3]])
def test_the_end_of_the_connection_completes_nothing_else(stream):
    reader = ResponseParser("cache 'x'")
    reader.feed(stream)
    assert reader.feed_eof() is None


@pytest.mark.parametrize("surplus", [b"X", SIZED, b"HTTP/1.1 200", b"\x00"])
@pytest.mark.parametrize("stream", [SIZED, CHUNKED, LAST])
def test_extra_bytes_leave_the_response_unchanged_and_the_connection_not_reusable(stream, surplus):
    (response,) = feed(stream + surplus)
    assert response is not None
    assert (response.body, response.reusable) == (b"hello", False)


@pytest.mark.parametrize(
    "stream",
    [
        b"garbage",
        b"<html>502</html>",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\x00c\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nzz",
    ],
)
def test_the_error_says_that_a_response_is_not_http(stream):
    with pytest.raises(ConnectionFailed, match=r"cache 'x': the response is not HTTP/1\.1"):
        feed(stream)


@given(st.binary(max_size=200))
def test_no_bytes_raise_another_error_than_ours(stream):
    with suppress(ConnectionFailed):
        feed(stream, stream)


def test_headers_that_are_too_large_are_an_error():
    header = b"X: " + b"y" * 1000 + b"\r\n"
    with pytest.raises(ConnectionFailed, match="headers exceed 64 KB"):
        feed(b"HTTP/1.1 200 OK\r\n", *[header] * 100)


@pytest.mark.parametrize("framing", [b"Content-Length: 100000", b"Transfer-Encoding: chunked"])
def test_a_response_that_is_too_large_is_an_error(framing, monkeypatch):
    monkeypatch.setattr(http11, "MAX_RESPONSE_BYTES", 1000)
    chunk = b"64\r\n" + b"x" * 100 + b"\r\n"
    with pytest.raises(RequestTooLarge):
        feed(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n", *[chunk] * 11)


def make_encoder(url: str = "https://db.example", token="secret", **settings) -> RequestEncoder:
    return RequestEncoder(Config(mode="rest", rest_url=url, token=Secret(token), **settings))


@pytest.mark.parametrize(
    ("url", "host", "port", "secure", "header"),
    [
        ("https://db.upstash.io", "db.upstash.io", 443, True, b"db.upstash.io"),
        ("http://localhost:8079", "localhost", 8079, False, b"localhost:8079"),
        ("http://[::1]:8079", "::1", 8079, False, b"[::1]:8079"),
        ("https://bücher.example", "bücher.example", 443, True, b"xn--bcher-kva.example"),
        ("https://u:p@db.example", "db.example", 443, True, b"db.example"),
    ],
)
def test_the_url_determines_where_to_connect(url, host, port, secure, header):
    found = make_encoder(url)
    assert (found.host, found.port, found.secure) == (host, port, secure)
    assert b"\r\nHost: %b\r\n" % header in found.encode(Request("command", "/", b"[]"), None)


def test_a_request_is_encoded_as_one_piece():
    head, _, body = (
        make_encoder().encode(Request("command", "/", b"[1]"), b"5f").partition(b"\r\n\r\n")
    )
    line, *headers = head.decode().split("\r\n")
    assert line == "POST / HTTP/1.1"
    assert body == b"[1]"
    assert {"Authorization: Bearer secret", "Content-Length: 3"} < set(headers)
    assert "Upstash-Sync-Token: 5f" in headers


@pytest.mark.parametrize(
    ("form", "has", "lacks"),
    [
        ("command", b"Upstash-Response-Format: resp2", b"Upstash-Encoding"),
        ("value", b"Upstash-Response-Format: resp2", b"application/json"),
        ("batch", b"Upstash-Encoding: base64", b"Upstash-Response-Format"),
    ],
)
def test_each_kind_requests_the_reply_format_that_is_decoded(form, has, lacks):
    rendered = make_encoder().encode(Request(form, "/x", b""), None)
    assert has in rendered
    assert lacks not in rendered
    assert b"Upstash-Sync-Token" not in rendered


def test_the_path_of_the_url_precedes_every_target():
    rendered = make_encoder("https://proxy.example/redis").encode(
        Request("batch", "/pipeline", b""), None
    )
    assert rendered.startswith(b"POST /redis/pipeline HTTP/1.1\r\n")


def test_a_token_that_may_change_is_set_before_a_request():
    found = make_encoder(token=lambda: "unused")
    request = Request("command", "/", b"")
    assert [found.use_token(token) for token in ("first", "first", "second")] == [True, False, True]
    assert b"Bearer second\r\n" in found.encode(request, None)


def test_the_dot_of_an_absolute_host_name_is_for_the_resolver_only():
    found = make_encoder("https://db.example.:444")
    assert (found.host, found.server_name) == ("db.example.", "db.example")
    assert found.url == "https://db.example:444"
    assert b"\r\nHost: db.example:444\r\n" in found.encode(Request("command", "/", b""), None)


@pytest.mark.parametrize("url", ["https://db.example:port", "https://" + "x" * 70, "https://a..b"])
def test_an_invalid_host_is_a_configuration_error(url):
    with pytest.raises(ConfigurationError, match="no valid host"):
        make_encoder(url)


def test_telemetry_is_sent_only_when_enabled(monkeypatch):
    monkeypatch.setenv("VERCEL", "1")
    request = Request("command", "/", b"")
    assert b"Telemetry" not in make_encoder().encode(request, None)
    rendered = make_encoder(telemetry=True).encode(request, None)
    assert b"Upstash-Telemetry-Sdk: continuum-upstash@v" in rendered
    assert b"Upstash-Telemetry-Runtime: python@v3" in rendered
    assert b"Upstash-Telemetry-Platform: vercel" in rendered


def test_another_http_client_gets_all_headers_except_those_it_adds_itself():
    encoder = make_encoder()
    headers = dict(encoder.headers("batch"))
    assert headers["Upstash-Encoding"] == "base64"
    assert not {"Host", "Content-Length", "Authorization"} & headers.keys()
    assert encoder.authorization == "Bearer secret"
