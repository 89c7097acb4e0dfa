"""Profiles: the emulator simulates other databases, which lack some features."""

from itertools import count

import httpx
import pytest
import redis

from continuum_upstash.emulator.process import running
from continuum_upstash.emulator.profiles import PROFILES
from tests.waiting import wait_until


@pytest.fixture(scope="module", params=list(PROFILES))
def profile(request):
    with running(f"--profile={request.param}") as emulator:
        yield request.param, emulator


def start(name):
    with running(f"--profile={name}") as emulator:
        yield emulator


@pytest.fixture(scope="module")
def old():
    yield from start("upstash-2025")


@pytest.fixture(scope="module")
def srh():
    yield from start("srh")


def send(emulator, *command, **headers):
    headers["Authorization"] = f"Bearer {emulator.token}"
    response = httpx.post(emulator.rest_url, json=list(command), headers=headers, verify=False)
    return next(iter(response.json().values()))


def test_each_profile_serves_tcp_with_the_token(profile):
    _, emulator = profile
    assert emulator.redis_url.startswith("redis://default:")
    with redis.Redis.from_url(emulator.redis_url) as client:
        assert client.set("k", "v", ex=60)
        assert client.get("k") == b"v"
        assert client.eval("return KEYS[1]", 1, "k") == b"k"


def test_upstash_2025_lacks_later_commands(old):
    send(old, "SET", "k", "v")
    for command in (["DELEX", "k"], ["DIGEST", "k"], ["HGETEX", "h", "FIELDS", 1, "f"],
                    ["FCALL", "f", 0]):  # fmt: skip
        assert send(old, *command).startswith(f"ERR Command is not available: '{command[0]}'")
    for condition in ("IFEQ", "ifne", "IFDEQ", "IFDNE"):
        assert send(old, "SET", "k", "w", condition, "v") == "ERR syntax error"
    assert send(old, "GET", "k") == "v"
    assert "redis_version:6.2.6" in send(old, "INFO")
    with redis.Redis.from_url(old.redis_url) as client:
        assert client.info()["redis_version"] == "6.2.6"
        with pytest.raises(redis.ResponseError, match="not available: 'DELEX'"):
            client.execute_command("DELEX", "k")


def test_fly_has_no_rest_api():
    with running("--profile=fly") as emulator:
        assert emulator.rest_url == ""
        with redis.Redis.from_url(emulator.redis_url) as client:
            assert "upstash_version" in client.info()


def test_srh_serves_only_posted_commands(srh):
    headers = {"Authorization": f"Bearer {srh.token}"}
    for method, path in [
        ("POST", "/set/k"),
        ("GET", "/get/k"),
        ("GET", "/"),
        ("POST", "/subscribe/c"),
    ]:
        response = httpx.request(method, srh.rest_url + path, headers=headers, verify=False)
        assert (response.status_code, response.text) == (404, "Endpoint not found")
    assert send(srh, "SET", "k", "v") == "OK"
    assert send(srh, "GET", "k", **{"Upstash-Encoding": "base64"}) == "dg=="
    batch = httpx.post(f"{srh.rest_url}/pipeline", json=[["GET", "k"]], headers=headers)
    assert batch.json() == [{"result": "v"}]
    assert "Upstash-Sync-Token" not in batch.headers


def test_srh_ignores_the_header_for_resp2(srh):
    assert send(srh, "PING", **{"Upstash-Response-Format": "resp2"}) == "PONG"


def test_srh_has_the_commands_and_errors_of_the_server_behind(srh):
    assert "upstash_version" not in send(srh, "INFO")
    assert send(srh, "DELEX", "k").startswith("ERR unknown command")
    assert send(srh, "CONFIG", "GET", "maxmemory-policy") == ["maxmemory-policy", "noeviction"]
    script = "#!lua flags=allow-key-locking\nreturn 1"
    assert "Unexpected flag" in send(srh, "EVAL", script, 0)


@pytest.mark.parametrize(("option", "error"), [((), None), (("--refuse-getex-when-full",), "ERR")])
def test_getex_on_a_full_database(option, error):
    with running("--max-data-size=2000000", *option) as emulator:
        send(emulator, "SET", "k", "v")
        with emulator.fault("capacity"):
            assert send(emulator, "GETEX", "k", "EX", 60).startswith(error or "v")
        numbers = count()

        def is_getex_as_expected():
            for size in (100_000, 10_000, 1000, 100):
                while send(emulator, "SET", f"k{size}-{next(numbers)}", "x" * size) == "OK":
                    pass
            return send(emulator, "GETEX", "k", "EX", 60).startswith(error or "v")

        wait_until(is_getex_as_expected)  # the server frees some buffers only later
        assert send(emulator, "GET", "k") == "v"
        send(emulator, "DEL", *(f"k100000-{number}" for number in range(20)))
        assert send(emulator, "GETEX", "k", "EX", 60) == "v"


def test_an_unknown_profile_is_an_error(capfd):
    with pytest.raises(RuntimeError), running("--profile=plain"):
        pass
    assert "upstash-2025" in capfd.readouterr().err
