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
def test_json_types(rest, command, result):
    assert rest.send(*command) == result


def test_maps_and_scores_are_flat_arrays_of_strings(rest):
    rest.pipeline(["HSET", "h", "a", 1, "b", 2], ["ZADD", "z", 1.5, "m"])
    assert rest.pipeline(["HGETALL", "h"], ["ZRANGE", "z", 0, -1, "WITHSCORES"]) == [
        ["a", "1", "b", "2"],
        ["m", "1.5"],
    ]


def test_integers_beyond_2_to_the_53_are_exact_numbers(rest):
    rest.send("SET", "n", 2**63 - 2)
    assert rest.http.get("/incr/n").content == b'{"result":9223372036854775807}'


def test_bytes_that_are_not_utf8_become_replacement_characters_without_base64(rest):
    rest.http.post("/set/k", content=b"a\xffb")
    assert rest.send("GET", "k") == "a\ufffdb"


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
            ["YQ==", ["T0s="] * 2, 1],
        ),
    ],
)
def test_base64_encodes_every_string_but_the_status_ok(rest, command, result):
    assert rest.send(*command, Upstash_Encoding="base64") == result


@pytest.mark.parametrize("path", ["/", "/pipeline"])
def test_base64_leaves_errors_alone(rest, path):
    command = ["HGET", "k"]
    answer = rest.post(
        path, command if path == "/" else [command], Upstash_Encoding="base64"
    ).json()
    error = answer if path == "/" else answer[0]
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
def test_resp2_keeps_the_types_of_the_wire(rest, path, reply):
    answer = rest.http.get(path, headers=RESP2)
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert (answer.status_code, answer.content) == (200, reply)


def test_resp2_pipelines_are_replies_one_after_the_other(rest):
    commands = [["SET", "k", "v"], ["HGET", "k"], ["GET", "k"]]
    answer = rest.http.post("/pipeline", json=commands, headers=RESP2)
    assert answer.content == (
        b"+OK\r\n-ERR wrong number of arguments for 'hget' command\r\n$1\r\nv\r\n"
    )


def test_a_lone_error_in_resp2_is_a_400(rest):
    answer = rest.http.get("/hget/k", headers=RESP2)
    assert answer.status_code == 400
    assert answer.content == b"-ERR wrong number of arguments for 'hget' command\r\n"


def test_transactions_answer_in_json_whatever_the_format(rest):
    answer = rest.http.post("/multi-exec", json=[["PING"]], headers=RESP2)
    assert answer.json() == [{"result": "PONG"}]


@pytest.mark.parametrize(
    "headers",
    [RESP2 | BASE64, {"Upstash-Response-Format": "resp3"}, {"Upstash-Encoding": "base32"}],
)
def test_formats_that_do_not_exist_are_refused_in_json(rest, headers):
    answer = rest.http.get("/ping", headers=headers)
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]


@pytest.mark.parametrize(
    "path", ["/set/k", "/setex/k/100", "/hset/k/field", "/rpush/k", "/setnx/k"]
)
def test_any_bytes_travel_in_a_body_and_come_back_whole(rest, path):
    rest.http.post(path, content=ALL_BYTES)
    read = {"/hset/k/field": "/hget/k/field", "/rpush/k": "/lindex/k/0"}.get(path, "/get/k")
    assert rest.http.get(read, headers=BASE64).json() == {"result": b64encode(ALL_BYTES).decode()}
    assert rest.http.get(read, headers=RESP2).content == b"$256\r\n" + ALL_BYTES + b"\r\n"


def test_a_large_value_travels_whole(rest):
    value = ALL_BYTES * 20_000  # 5 MB: many reads of a socket
    rest.http.post("/set/k", content=value)
    assert rest.http.get("/get/k", headers=RESP2).content == b"$%d\r\n%b\r\n" % (len(value), value)
