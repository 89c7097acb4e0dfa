from collections.abc import Iterator

import httpx
import pytest

from continuum_upstash.emulator.process import running
from tests.integration.emulator.conftest import RestClient

LIMIT = 100_000
CAPACITY = 3_000_000


@pytest.fixture(scope="module")
def small():
    with running(f"--max-request-size={LIMIT}", f"--max-data-size={CAPACITY}") as emulator:
        yield emulator


@pytest.fixture
def rest(small) -> Iterator[RestClient]:
    small.reset()
    headers = {"Authorization": f"Bearer {small.token}"}
    with httpx.Client(base_url=small.rest_url, headers=headers, verify=False) as client:
        yield RestClient(client)


def size_error(actual: int) -> dict[str, str]:
    sizes = f"Limit: {LIMIT} bytes, Actual: {actual} bytes."
    page = "https://upstash.com/docs/redis/troubleshooting/max_request_size_exceeded"
    return {"error": f"ERR max request size exceeded. {sizes} See {page} for details"}


def test_arguments_that_are_too_large_return_413(rest):
    response = rest.post("/", ["SET", "k", "x" * LIMIT])
    assert (response.status_code, response.json()) == (413, size_error(LIMIT + 4))
    assert rest.send("EXISTS", "k") == 0


def test_a_reply_that_is_too_large_is_an_error_with_status_200(rest):
    rest.pipeline(*(["RPUSH", "l", "x" * 60_000] for _ in range(2)))
    response = rest.http.get("/lrange/l/0/-1")
    assert (response.status_code, response.json()) == (200, size_error(120_000))


def test_the_limit_applies_to_each_command_of_a_pipeline(rest):
    rest.pipeline(*(["SET", f"k{number}", "x" * 60_000] for number in range(4)))
    responses = rest.post(
        "/pipeline", [["GET", "k0"], ["MGET", "k0", "k1"], ["SET", "k", "x" * LIMIT], ["GET", "k3"]]
    )
    assert responses.status_code == 200
    first, mget, oversized, last = responses.json()
    assert first == last == {"result": "x" * 60_000}
    assert (mget, oversized) == (size_error(120_000), size_error(LIMIT + 4))


def test_a_command_that_is_too_large_discards_its_transaction(rest):
    response = rest.post("/multi-exec", [["SET", "a", 1], ["SET", "k", "x" * LIMIT]])
    assert response.json() == size_error(LIMIT + 4)
    assert rest.send("EXISTS", "a") == 0


@pytest.mark.parametrize("command", [["GET"], ["MSET", "a", "v"], ["HSET"]])
def test_a_key_has_its_own_size_limit(rest, command):
    key = "k" * 32_769
    error = "ERR max key size exceeded. Limit: 32768 bytes, Actual: 32769 bytes"
    assert rest.send(*command, key, *(["f", "v"] if command[0] == "HSET" else [])) == error


def fill(rest: RestClient) -> str:
    """Write until the database is full; return its error."""
    for number in range(CAPACITY // 90_000 + 2):
        response = rest.post("/", ["SET", f"k{number}", "x" * 90_000])
        if response.status_code != 200:
            assert response.status_code == 400
            return response.json()["error"]
    raise AssertionError("the database did not become full")


def test_a_full_database_rejects_writes_but_still_reads_and_deletes(rest):
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


def test_a_full_database_with_eviction_evicts_keys():
    with running(f"--max-data-size={CAPACITY}", "--eviction") as emulator:
        headers = {"Authorization": f"Bearer {emulator.token}"}
        with httpx.Client(base_url=emulator.rest_url, headers=headers, verify=False) as client:
            rest = RestClient(client)
            for number in range(60):
                assert rest.send("SET", f"k{number}", "x" * 90_000) == "OK"
            assert rest.send("DBSIZE") < 60
            assert "maxmemory_policy:optimistic-volatile" in rest.send("INFO")
