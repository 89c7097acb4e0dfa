import pytest


def read_token(response) -> int:
    return int(response.headers["Upstash-Sync-Token"], 32)


@pytest.mark.parametrize("path", ["/pipeline", "/multi-exec", "/"])
@pytest.mark.parametrize(
    ("command", "is_write"),
    [
        (["SET", "k", "v"], True),
        (["EVAL", "return redis.call('INCR', KEYS[1])", 1, "n"], True),
        (["GET", "k"], False),
        (["SCRIPT", "LOAD", "return 1"], False),
        (["PING"], False),
    ],
)
def test_only_writes_increase_the_sync_read_token(rest, path, command, is_write):
    before = read_token(rest.post("/", ["PING"]))
    response = rest.post(path, command if path == "/" else [["PING"], command])
    assert (read_token(response) > before) is is_write


@pytest.mark.parametrize("sent", ["", "nonsense", "vvvvvvvvvvvv", "-1"])
def test_any_sync_token_is_accepted(rest, sent):
    response = rest.http.get("/ping", headers={"upstash-sync-token": sent})
    assert response.json() == {"result": "PONG"}


@pytest.mark.parametrize("path", ["/incr", "/nope", "/"])
def test_an_error_response_has_a_sync_read_token(rest, path):
    response = rest.http.get(path)
    assert response.status_code == 400
    assert read_token(response) > 0
