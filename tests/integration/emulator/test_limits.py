from collections.abc import Iterator

import httpx
import pytest

from continuum_upstash.emulator.process import running
from tests.integration.emulator.conftest import Rest

LIMIT = 100_000
CAPACITY = 3_000_000


@pytest.fixture(scope="module")
def small():
    with running(f"--max-request-size={LIMIT}", f"--max-data-size={CAPACITY}") as emulator:
        yield emulator


@pytest.fixture
def rest(small) -> Iterator[Rest]:
    small.reset()
    headers = {"Authorization": f"Bearer {small.token}"}
    with httpx.Client(base_url=small.rest_url, headers=headers) as client:
        yield Rest(client)


def too_large(actual: int) -> dict[str, str]:
    sizes = f"Limit: {LIMIT} bytes, Actual: {actual} bytes."
    page = "https://upstash.com/docs/redis/troubleshooting/max_request_size_exceeded"
    return {"error": f"ERR max request size exceeded. {sizes} See {page} for details"}


def test_arguments_that_are_too_large_are_a_413(rest):
    answer = rest.post("/", ["SET", "k", "x" * LIMIT])
    assert (answer.status_code, answer.json()) == (413, too_large(LIMIT + 4))
    assert rest.send("EXISTS", "k") == 0


def test_a_reply_that_is_too_large_is_an_error_under_200(rest):
    rest.pipeline(*(["RPUSH", "l", "x" * 60_000] for _ in range(2)))
    answer = rest.http.get("/lrange/l/0/-1")
    assert (answer.status_code, answer.json()) == (200, too_large(120_000))


def test_the_limit_is_each_commands_and_not_the_pipelines(rest):
    rest.pipeline(*(["SET", f"k{number}", "x" * 60_000] for number in range(4)))
    answers = rest.post(
        "/pipeline", [["GET", "k0"], ["MGET", "k0", "k1"], ["SET", "k", "x" * LIMIT], ["GET", "k3"]]
    )
    assert answers.status_code == 200
    first, mget, oversized, last = answers.json()
    assert first == last == {"result": "x" * 60_000}
    assert (mget, oversized) == (too_large(120_000), too_large(LIMIT + 4))


def test_a_command_that_is_too_large_discards_its_transaction(rest):
    answer = rest.post("/multi-exec", [["SET", "a", 1], ["SET", "k", "x" * LIMIT]])
    assert answer.json() == too_large(LIMIT + 4)
    assert rest.send("EXISTS", "a") == 0


@pytest.mark.parametrize("command", [["GET"], ["MSET", "a", "v"], ["HSET"]])
def test_a_key_has_a_limit_of_its_own(rest, command):
    key = "k" * 32_769
    error = "ERR max key size exceeded. Limit: 32768 bytes, Actual: 32769 bytes"
    assert rest.send(*command, key, *(["f", "v"] if command[0] == "HSET" else [])) == error


def fill(rest: Rest) -> str:
    """Write until the database is full; the error that says so."""
    for number in range(CAPACITY // 90_000 + 2):
        answer = rest.post("/", ["SET", f"k{number}", "x" * 90_000])
        if answer.status_code != 200:
            assert answer.status_code == 400
            return answer.json()["error"]
    raise AssertionError("the database never got full")


def test_a_full_database_refuses_writes_and_goes_on_reading_and_deleting(rest):
    error = fill(rest)
    assert error.startswith(f"ERR DB capacity quota exceeded. Threshold: {CAPACITY} bytes, Usage: ")
    assert error.endswith("/redis/troubleshooting/db_capacity_quota_exceeded for details")
    assert rest.send("GET", "k0") == "x" * 90_000
    script = "return redis.call('SET', KEYS[1], ARGV[1])"
    assert rest.send("EVAL", script, 1, "a", "x" * 90_000).startswith(
        "ERR DB capacity quota exceeded."
    )
    assert rest.send("DEL", *(f"k{number}" for number in range(10))) == 10
    assert rest.send("SET", "k", "v") == "OK"


def test_a_full_database_with_eviction_makes_room():
    with running(f"--max-data-size={CAPACITY}", "--eviction") as emulator:
        headers = {"Authorization": f"Bearer {emulator.token}"}
        with httpx.Client(base_url=emulator.rest_url, headers=headers) as client:
            rest = Rest(client)
            for number in range(60):
                assert rest.send("SET", f"k{number}", "x" * 90_000) == "OK"
            assert rest.send("DBSIZE") < 60
            assert "maxmemory_policy:optimistic-volatile" in rest.send("INFO")
