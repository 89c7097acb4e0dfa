import pytest


@pytest.mark.parametrize("path", ["/set/k/v", "/SET/k/v", "/set/k/v/EX/100", "/set/k/v?EX=100"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_a_command_can_be_in_the_path(rest, method, path):
    assert rest.http.request(method, path).json() == {"result": "OK"}
    assert rest.send("GET", "k") == "v"


def test_head_runs_the_command_and_returns_no_body(rest):
    response = rest.http.head("/set/k/v")
    assert (response.status_code, response.content) == (200, b"")
    assert rest.send("GET", "k") == "v"


def test_the_body_follows_the_path_and_the_query_follows_the_body(rest):
    rest.http.post("/set/k?EX=100", content=b"body")
    assert rest.send("GET", "k") == "body"
    assert 0 < rest.send("TTL", "k") <= 100


def test_path_segments_are_percent_decoded_to_bytes(rest):
    rest.http.get("/set/a%3Ab%20c/%ff%00")
    assert rest.send("GET", "a:b c", Upstash_Encoding="base64") == "/wA="


def test_a_plus_is_unchanged_in_the_path_and_a_space_in_the_query(rest):
    rest.http.get("/set/k/1+1")
    rest.http.get("/setrange/k?3=+2")
    assert rest.send("GET", "k") == "1+1 2"


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", None])
def test_the_content_type_does_not_matter(rest, content_type):
    headers = {"Content-Type": content_type} if content_type else {}
    response = rest.http.post("/", content=b'["ECHO","x"]', headers=headers)
    assert response.json() == {"result": "x"}


@pytest.mark.parametrize(
    ("json_text", "stored"),
    [
        ("12345678901234567890", "12345678901234567890"),
        ("1795407596", "1795407596"),
        ("1.50", "1.50"),
        ("1e3", "1e3"),
        ("true", "true"),
        ("false", "false"),
        ('"\\ud83d"', "\ufffd"),
        ('"\\ud83d\\ude00"', "😀"),
        ('"a\\u0000b"', "a\0b"),
    ],
)
def test_json_arguments_keep_their_text(rest, json_text, stored):
    assert rest.http.post("/", content=f'["ECHO",{json_text}]').json() == {"result": stored}


def test_bytes_that_are_not_utf8_become_replacement_characters_in_a_json_body(rest):
    assert rest.http.post("/", content=b'["ECHO","\xff"]').json() == {"result": "\ufffd"}


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("/", "", "EOF"),
        ("/", "{}", "expected JSON array"),
        ("/", '"GET"', "expected JSON array"),
        ("/", "[]", "ERR empty command"),
        ("/", '["GET",null]', "ERR null args are not supported"),
        ("/", '["GET",["a"]]', 'ERR unsupported arg type: "[": json.Delim'),
        ("/", '["GET",{"a":1}]', 'ERR unsupported arg type: "{": json.Delim'),
        ("/pipeline", "", "EOF"),
        ("/pipeline", "[]", "ERR empty command"),
        ("/pipeline", '["GET","k"]', "expected JSON array"),
        ("/pipeline", '[["GET","k"],[]]', "ERR empty command"),
        ("/multi-exec", '[["GET",null]]', "ERR null args are not supported"),
    ],
)
def test_an_invalid_body_is_rejected_with_the_error_text_of_the_service(rest, path, body, error):
    response = rest.http.post(path, content=body)
    assert (response.status_code, response.json()) == (400, {"error": error})


@pytest.mark.parametrize("body", ["x", '["GET"', "[NaN]", "[" * 100_000])
def test_invalid_json_is_rejected_with_an_error_object(rest, body):
    response = rest.http.post("/", content=body)
    assert response.status_code == 400
    assert list(response.json()) == ["error"]


@pytest.mark.parametrize("method", ["DELETE", "PATCH"])
def test_other_methods_return_an_empty_405(rest, method):
    response = rest.http.request(method, "/get/k")
    assert (response.status_code, response.content) == (405, b"")


def test_a_preflight_response_repeats_the_origin(rest):
    response = rest.http.options("/", headers={"Origin": "https://example.org"})
    assert response.status_code == 200
    assert response.headers["Access-Control-Allow-Origin"] == "https://example.org"


def test_connections_are_kept_alive(emulator, rest):
    rest.send("PING")
    with emulator.count() as spent:
        for _ in range(3):
            rest.send("PING")
    assert (spent.requests, spent.connections) == (3, 0)
