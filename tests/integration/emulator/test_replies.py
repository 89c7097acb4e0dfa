from base64 import b64encode

import pytest

ALL_BYTES = bytes(range(256))
BASE64 = {"Upstash-Encoding": "base64"}
RESP2 = {"Upstash-Response-Format": "resp2"}


@pytest.mark.parametrize(
    ("command", "result"),
    [
        (["SET", "k", "v"], "OK"),
        (["PING"], "PONG"),
        (["GET", "none"], None),
        (["LPOP", "none", 2], None),
        (["INCR", "n"], 1),
        (["SET", "big", str(2**63 - 2)], "OK"),
        (["INCRBYFLOAT", "f", "1.5"], "1.5"),
        (["ZADD", "z", 1.5, "m"], 1),
        (["HGETALL", "none"], []),
    ],
)
def test_results_have_json_types(rest, command, result):
    assert rest.send(*command) == result


def test_maps_and_scores_are_flat_arrays_of_strings(rest):
    rest.pipeline(["HSET", "h", "a", 1, "b", 2], ["ZADD", "z", 1.5, "m"])
    assert rest.pipeline(["HGETALL", "h"], ["ZRANGE", "z", 0, -1, "WITHSCORES"]) == [
        ["a", "1", "b", "2"],
        ["m", "1.5"],
    ]


def test_integers_above_2_to_the_53_are_exact(rest):
    rest.send("SET", "n", 2**63 - 2)
    assert rest.http.get("/incr/n").content == b'{"result":9223372036854775807}'


def test_bytes_that_are_not_utf8_become_replacement_characters_without_base64(rest):
    rest.http.post("/set/k", content=b"a\xffb")
    assert rest.send("GET", "k") == "a\ufffdb"


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        (b"\xe2\x82", "\ufffd" * 2),  # a character that lacks its last byte
        (b"\xf0\x9f\x92x", "\ufffd" * 3 + "x"),
        (b"\xed\xa0\x80", "\ufffd" * 3),  # a surrogate
        (b"\xc0\xaf", "\ufffd" * 2),
        ("é€".encode(), "é€"),
    ],
)
def test_each_invalid_byte_becomes_a_replacement_character(rest, stored, text):
    rest.http.post("/set/k", content=stored)
    assert rest.send("GET", "k") == text


@pytest.mark.parametrize(
    ("command", "result"),
    [
        (["SET", "k", "v"], "OK"),
        (["PING"], "UE9ORw=="),
        (["ECHO", "OK"], "T0s="),
        (["INCR", "n"], 1),
        (["GET", "none"], None),
        (["MGET", "none"], [None]),
        (
            ["EVAL", "return {'a', {'OK', redis.status_reply('OK')}, 1}", 0],
            ["YQ==", ["T0s=", "OK"], 1],
        ),
    ],
)
def test_base64_encodes_every_string_except_the_status_ok(rest, command, result):
    assert rest.send(*command, Upstash_Encoding="base64") == result


@pytest.mark.parametrize("path", ["/", "/pipeline"])
def test_base64_does_not_encode_errors(rest, path):
    command = ["HGET", "k"]
    response = rest.post(
        path, command if path == "/" else [command], Upstash_Encoding="base64"
    ).json()
    error = response if path == "/" else response[0]
    assert error == {"error": "ERR wrong number of arguments for 'hget' command"}


@pytest.mark.parametrize(
    ("path", "reply"),
    [
        ("/set/k/v", b"+OK\r\n"),
        ("/ping", b"+PONG\r\n"),
        ("/echo/OK", b"$2\r\nOK\r\n"),
        ("/incr/n", b":1\r\n"),
        ("/get/none", b"$-1\r\n"),
        ("/lpop/none/2", b"*-1\r\n"),
        ("/mget/none", b"*1\r\n$-1\r\n"),
        ("/lrange/none/0/1", b"*0\r\n"),
    ],
)
def test_resp2_replies_keep_their_types(rest, path, reply):
    response = rest.http.get(path, headers=RESP2)
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert (response.status_code, response.content) == (200, reply)


def test_resp2_pipelines_are_concatenated_replies(rest):
    commands = [["SET", "k", "v"], ["HGET", "k"], ["GET", "k"]]
    response = rest.http.post("/pipeline", json=commands, headers=RESP2)
    assert response.content == (
        b"+OK\r\n-ERR wrong number of arguments for 'hget' command\r\n$1\r\nv\r\n"
    )


def test_a_single_error_in_resp2_returns_400(rest):
    response = rest.http.get("/hget/k", headers=RESP2)
    assert response.status_code == 400
    assert response.content == b"-ERR wrong number of arguments for 'hget' command\r\n"


def test_transactions_return_json_in_every_format(rest):
    response = rest.http.post("/multi-exec", json=[["PING"]], headers=RESP2)
    assert response.json() == [{"result": "PONG"}]


@pytest.mark.parametrize(
    "headers",
    [RESP2 | BASE64, {"Upstash-Response-Format": "resp3"}, {"Upstash-Encoding": "base32"}],
)
def test_unknown_formats_are_rejected_in_json(rest, headers):
    response = rest.http.get("/ping", headers=headers)
    assert response.status_code == 400
    assert list(response.json()) == ["error"]


@pytest.mark.parametrize(
    "path", ["/set/k", "/setex/k/100", "/hset/k/field", "/rpush/k", "/setnx/k"]
)
def test_any_bytes_in_a_body_are_read_back_unchanged(rest, path):
    rest.http.post(path, content=ALL_BYTES)
    read = {"/hset/k/field": "/hget/k/field", "/rpush/k": "/lindex/k/0"}.get(path, "/get/k")
    assert rest.http.get(read, headers=BASE64).json() == {"result": b64encode(ALL_BYTES).decode()}
    assert rest.http.get(read, headers=RESP2).content == b"$256\r\n" + ALL_BYTES + b"\r\n"


def test_a_large_value_is_read_back_unchanged(rest):
    value = ALL_BYTES * 20_000  # 5 MB: many reads of a socket
    rest.http.post("/set/k", content=value)
    assert rest.http.get("/get/k", headers=RESP2).content == b"$%d\r\n%b\r\n" % (len(value), value)
