"""HTTP responses as replies or errors."""

from __future__ import annotations

import json
import zlib
from base64 import b64encode
from contextlib import suppress
from email.utils import formatdate
from time import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum_upstash.codec.text import SignedBase64
from continuum_upstash.errors import (
    AuthenticationFailed,
    ContinuumError,
    NotPermitted,
    QuotaExceeded,
    ReplyError,
    RequestTooLarge,
    ServerNotReady,
    Unavailable,
)
from continuum_upstash.plans.effects import Batch
from continuum_upstash.transports.rest import http11
from continuum_upstash.transports.rest.dialect import RestDialect
from continuum_upstash.transports.rest.http11 import HttpResponse
from continuum_upstash.transports.rest.requests import encode_request
from continuum_upstash.transports.rest.responses import decode_replies

LABEL = "cache 'x' (rest, db.example)"
GET = ("GET", "k")
OK = b"+OK\r\n"


def decode(body: bytes, *commands, status: int = 200, atomic: bool = False, **headers: str):
    batch = Batch(commands or [GET], atomic=atomic)
    named = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    response = HttpResponse(status, named, body, reusable=True)
    request = encode_request(batch, SignedBase64(), RestDialect())
    return decode_replies(response, request, batch.commands, LABEL, RestDialect())


def decode_many(*entries, commands=None):
    return decode(json.dumps(entries).encode(), *(commands or [GET] * len(entries)))


@pytest.mark.parametrize(
    ("body", "reply"),
    [
        (b"+OK\r\n", b"OK"),
        (b"$3\r\n\x80\r\n\r\n", b"\x80\r\n"),
        (b"$-1\r\n", None),
        (b"*-1\r\n", None),
        (b"$0\r\n\r\n", b""),
        (b":9223372036854775807\r\n", 2**63 - 1),
        (b"*3\r\n$1\r\na\r\n:1\r\n*1\r\n$-1\r\n", [b"a", 1, [None]]),
    ],
)
def test_a_resp2_reply_is_decoded(body, reply):
    assert decode(body) == [reply]


def test_errors_are_in_their_place_at_every_depth():
    ((first, (second,)),) = decode(b"*2\r\n-ERR a\r\n*1\r\n-WRONGTYPE b\r\n", ("EVAL", "x", 0))
    assert (type(first), first.code) == (ReplyError, "ERR")
    assert (type(second), second.code) == (ReplyError, "WRONGTYPE")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"-ERR syntax error\r\n", 400),
        (b'{"error":"ERR syntax error"}', 400),
        (b'{"error":"ERR syntax error"}', 200),
        (b' \n{"error":"ERR syntax error"}', 200),
    ],
)
def test_a_single_commands_error_is_its_reply_whatever_the_status(body, status):
    (error,) = decode(body, status=status)
    assert type(error) is ReplyError
    assert str(error) == "ERR syntax error"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("ERR max requests limit exceeded. Limit: 1, Usage: 1.", QuotaExceeded),
        ("ERR max request size exceeded. Limit: 1 bytes, Actual: 2 bytes", RequestTooLarge),
        ("NOPERM this user has no permissions to run the 'set' command", NotPermitted),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 413, 429])
def test_the_rejection_of_one_command_is_its_reply(text, kind, status):
    (error,) = decode(json.dumps({"error": text}).encode(), status=status)
    assert type(error) is kind


@pytest.mark.parametrize(
    "body",
    [
        b'{"error":"WRONGPASS invalid or missing auth token."}',
        b"-WRONGPASS invalid or missing auth token.\r\n",
        b'{"error":"some new json_arguments"}',
        b"<html>401</html>",
        b"",
    ],
)
@pytest.mark.parametrize("commands", [[GET], [GET, GET]])
def test_a_rejected_token_fails_the_batch(body, commands):
    with pytest.raises(AuthenticationFailed):
        decode(body, *commands, status=401)


@pytest.mark.parametrize("atomic", [False, True])
def test_a_batch_that_is_rejected_as_a_whole_fails_as_a_whole(atomic):
    body = b'{"error":"ERR Command is not available: \'NOPE\'."}'
    with pytest.raises(ReplyError, match="NOPE"):
        decode(body, GET, GET, status=400, atomic=atomic)


def test_base64_is_decoded_at_every_depth_and_nowhere_else():
    word = b64encode(b"\xff").decode()
    got = decode_many(
        {"result": "OK"},
        {"result": "T0s="},
        {"result": None},
        {"result": 7},
        {"result": [word, None, 3, ["OK", word], []]},
        {"result": ""},
        {"error": "ERR no"},
    )
    assert got[:6] == [b"OK", b"OK", None, 7, [b"\xff", None, 3, [b"OK", b"\xff"], []], b""]
    assert str(got[6]) == "ERR no"


@pytest.mark.parametrize("result", [2**60 + 1, str(2**60 + 1)])
def test_a_counter_beyond_53_bits_is_exact_as_number_and_as_text(result):
    entries = [{"result": result}, {"result": b64encode(b"9007199254740993").decode()}]
    assert decode_many(*entries, commands=[("INCRBY", "n", 1), GET]) == [
        2**60 + 1,
        b"9007199254740993",
    ]


def test_a_json_float_keeps_its_text():
    assert decode(b'[{"result":1.50},{"result":1e400}]', GET, GET) == [b"1.50", b"1e400"]


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b'[{"result":1}]',
        b'[{"result":1},{"result":1},{"result":1}]',
        b'[{"result":1},{}]',
        b"[1,2]",
        b'[{"result":1},{"result":{"a":1}}]',
        b'[{"result":1},{"error":5}]',
        b'[{"result":1}',
        b"[" * 100_000,
        b'[{"result":1},{"result":' + b"[" * 100_000 + b"]" * 100_000 + b"}]",
        b'{"result":"OK"}',
        b"\xff\xfe",
    ],
)
def test_a_malformed_pipeline_response_is_unavailable(body):
    with pytest.raises(Unavailable):
        decode(body, GET, GET)


@pytest.mark.parametrize(
    "body",
    [
        b"$5\r\nabc\r\n",
        b"$3\r\nabc",
        b":12x\r\n",
        b"+OK\r\n+OK\r\n",
        b"+OK\r\nx",
        b"*1\r\n",
        b"[1]",
        b"{}",
        b"{",
        b"",
        b"hello",
    ],
)
def test_a_malformed_reply_is_unavailable(body):
    with pytest.raises(Unavailable):
        decode(body)


@pytest.mark.parametrize(
    ("result", "reply"),
    [
        ('"not base64"', b"not base64"),
        ('"YQ"', b"YQ"),
        ('"é"', "é".encode()),
        ('["OK","YQ==",["QUEUED!"]]', [b"OK", b"a", [b"QUEUED!"]]),
    ],
)
def test_a_text_that_is_not_base64_is_that_entry_alone(result, reply):
    body = f'[{{"result":"YQ=="}},{{"result":{result}}}]'.encode()
    assert decode(body, GET, GET) == [b"a", reply]


@pytest.mark.parametrize("text", ["ERR nested", "WRONGTYPE Operation against a key"])
def test_a_nested_error_is_an_error_in_its_place(text):
    first, (nested,) = decode(f'[{{"result":"YQ=="}},{{"result":["{text}"]}}]'.encode(), GET, GET)
    assert first == b"a"
    assert isinstance(nested, ReplyError)
    assert str(nested) == text


@pytest.mark.parametrize(
    ("body", "reply"),
    [
        (b'{"result":"abc"}', b"abc"),
        (b'{"result":7}', 7),
        (b'{"result":null}', None),
        (b'{"result":["a",[1]]}', [b"a", [1]]),
    ],
)
def test_a_server_that_ignores_the_format_header_is_understood(body, reply):
    assert decode(body) == [reply]


def test_a_binary_value_that_was_returned_as_text_is_unavailable():
    with pytest.raises(Unavailable, match="requested as base64 from now on"):
        decode('{"result":"a\ufffd"}'.encode())


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
@pytest.mark.parametrize("commands", [[GET], [GET, GET]])
@pytest.mark.parametrize("body", [b"<html>secret page</html>", b'{"error":"try later"}', b""])
def test_a_server_error_is_unavailable_and_its_page_is_not_shown(status, commands, body):
    with pytest.raises(Unavailable, match=rf"db\.example\): HTTP {status}") as caught:
        decode(body, *commands, status=status, retry_after="30")
    assert "30 s" in str(caught.value)
    assert caught.value.retry_after == 30
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "status", [402, 403, 404, 405, 406, 408, 409, 410, 414, 418, 421, 425, 431, 451]
)
@pytest.mark.parametrize("commands", [[GET], [GET, GET]])
@pytest.mark.parametrize(
    "body",
    [
        b'{"error":"Forbidden"}',
        b'{"error":"ERR not allowed here"}',
        b'{"error":{"code":"404","message":"NOT_FOUND"}}',
        b'{"message":"Forbidden"}',
        b"<html>",
        b"",
    ],
)
def test_a_gateways_error_is_unavailable_in_json_as_in_html(status, commands, body):
    with pytest.raises(Unavailable, match=rf"HTTP {status} with"):
        decode(body, *commands, status=status)


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(
    "error", ['"Bad Request"', '"try later"', '""', "null", "5", '{"message":"x"}', '["x"]']
)
def test_an_error_without_the_code_of_redis_does_not_come_from_a_command(error, status):
    with pytest.raises(Unavailable, match=rf"HTTP {status} with"):
        decode(b'{"error":%b}' % error.encode(), status=status)


@pytest.mark.parametrize("status", [200, 400, 403, 429, 500, 503])
@pytest.mark.parametrize(
    "text", ["DB connection refused", "LOADING Redis is loading", "ERR max number of clients"]
)
def test_an_outage_is_recognized_whatever_the_status(text, status):
    body = json.dumps({"error": text}).encode()
    (error,) = decode(body, status=status, retry_after=" 7 ")
    assert type(error) is ServerNotReady
    assert error.retry_after == 7
    with pytest.raises(ServerNotReady) as caught:
        decode(body, GET, GET, status=status, retry_after=" 7 ")
    assert caught.value.retry_after == 7


def test_a_pipeline_of_outages_is_one_failure():
    entry = {"error": "DB connection refused"}
    with pytest.raises(ServerNotReady, match="refused"):
        decode_many(entry, entry)
    first, second = decode_many(entry, {"result": None})
    assert (type(first), second) == (ServerNotReady, None)


DATE = "Sun, 06 Nov 1994 08:49:{} GMT"


@pytest.mark.parametrize("status", [403, 429, 503])
@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 120\t", 120),
        ("1.5", 1.5),
        ("999999999999", 999999999999),
        (DATE.format(37), 30),
        (f" {DATE.format(37)} ", 30),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 30),
        ("Sun Nov  6 08:49:37 1994", 30),
        (DATE.format("01"), 0),
        ("", None),
        ("-1", None),
        ("soon", None),
        ("Sun, 99 Nov 1994 08:49:37 GMT", None),
        ("\N{SUPERSCRIPT TWO}", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(text, seconds, status):
    with pytest.raises(Unavailable) as caught:
        decode(b"", status=status, retry_after=text, date=DATE.format("07"))
    assert caught.value.retry_after == seconds
    assert ("Retry-After" in str(caught.value)) is (seconds is not None)


def test_a_retry_after_date_is_compared_with_the_own_clock_where_the_response_has_none():
    with pytest.raises(Unavailable) as caught:
        decode(b"", status=503, retry_after=formatdate(time() + 90, usegmt=True))
    assert 85 < caught.value.retry_after <= 90


def test_a_refusal_has_the_time_of_the_response_too():
    body = b'{"error":"ERR max requests limit exceeded"}'
    with pytest.raises(QuotaExceeded) as caught:
        decode(body, GET, GET, status=429, retry_after="900")
    assert caught.value.retry_after == 900


def deflate(data: bytes, window_bits: int) -> bytes:
    encoder = zlib.compressobj(wbits=window_bits)
    return encoder.compress(data) + encoder.flush()


@pytest.mark.parametrize(
    ("encoding", "window_bits"),
    [("gzip", 31), ("X-GZip", 31), (" gzip ", 31), ("deflate", 15), ("deflate", -15)],
)
def test_a_compressed_response_is_decompressed(encoding, window_bits):
    body = deflate(b"$5\r\nvalue\r\n", window_bits)
    assert decode(body, content_encoding=encoding) == [b"value"]


@pytest.mark.parametrize(("encoding", "body"), [("identity", OK), ("", OK), ("IDENTITY", OK)])
def test_an_uncompressed_response_may_say_so(encoding, body):
    assert decode(body, content_encoding=encoding) == [b"OK"]


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "x" * 1000])
def test_an_encoding_that_is_not_supported_is_named(encoding):
    with pytest.raises(Unavailable, match=f"Content-Encoding '{encoding[:40]}'") as caught:
        decode(b"\x1b", content_encoding=encoding)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize("body", [OK, b"", deflate(OK, 31)[:-9], deflate(OK, 31) + b"x"])
def test_a_body_that_is_not_encoded_as_it_says_is_unavailable(encoding, body):
    with pytest.raises(Unavailable, match="Content-Encoding is"):
        decode(body, content_encoding=encoding)


def test_a_body_that_grows_beyond_the_limit_is_too_large(monkeypatch):
    monkeypatch.setattr(http11, "MAX_RESPONSE_BYTES", 1_000)
    with pytest.raises(RequestTooLarge):
        decode(deflate(b"$2000\r\n%b\r\n" % (b"x" * 2000), 31), content_encoding="gzip")


def test_a_redirect_is_an_error_that_names_the_other_host():
    with pytest.raises(Unavailable, match=r"HTTP 301 redirects to other\.example"):
        decode(b"", status=301, location="https://user:secret@other.example/path?token=secret")


@pytest.mark.parametrize("location", ["", "/login", "http://[", "http://a:b", "https://u:p/w@h"])
def test_a_redirect_without_a_valid_host_is_an_error_without_it(location):
    with pytest.raises(Unavailable, match="HTTP 302 redirects to another address"):
        decode(b"", status=302, location=location)


def test_a_length_of_more_digits_than_an_int_may_have_is_a_malformed_response():
    with pytest.raises(Unavailable, match="malformed response"):
        decode(b"$" + b"1" * 5000)


def test_the_error_describes_the_response_of_a_foreign_server():
    with pytest.raises(Unavailable, match="HTTP 200 with text/html instead of a reply"):
        decode(b"<html>", content_type="text/html")


def test_a_413_response_is_request_too_large():
    with pytest.raises(RequestTooLarge):
        decode(b"<html>413</html>", status=413)


@given(
    body=st.binary(max_size=60)
    | st.sampled_from([b"+", b"$", b"*", b":", b"["]).flatmap(
        lambda first: st.binary(max_size=20).map(lambda rest: first + rest)
    ),
    status=st.integers(200, 599),
    many=st.booleans(),
)
def test_no_response_raises_another_error_than_ours(body, status, many):
    with suppress(ContinuumError):
        decode(body, *([GET, GET] if many else [GET]), status=status)
