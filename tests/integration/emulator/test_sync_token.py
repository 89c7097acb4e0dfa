import pytest


def token(answer) -> int:
    return int(answer.headers["Upstash-Sync-Token"], 32)


@pytest.mark.parametrize("path", ["/pipeline", "/multi-exec", "/"])
@pytest.mark.parametrize(
    ("command", "moved"),
    [
        (["SET", "k", "v"], True),
        (["EVAL", "return redis.call('INCR', KEYS[1])", 1, "n"], True),
        (["GET", "k"], False),
        (["SCRIPT", "LOAD", "return 1"], False),
        (["PING"], False),
    ],
)
def test_the_token_moves_with_writes_only(rest, path, command, moved):
    before = token(rest.post("/", ["PING"]))
    answer = rest.post(path, command if path == "/" else [["PING"], command])
    assert (token(answer) > before) is moved


@pytest.mark.parametrize("sent", ["", "nonsense", "vvvvvvvvvvvv", "-1"])
def test_any_token_is_accepted(rest, sent):
    answer = rest.http.get("/ping", headers={"upstash-sync-token": sent})
    assert answer.json() == {"result": "PONG"}


@pytest.mark.parametrize("path", ["/incr", "/nope", "/"])
def test_an_error_carries_the_token_too(rest, path):
    answer = rest.http.get(path)
    assert answer.status_code == 400
    assert token(answer) > 0
