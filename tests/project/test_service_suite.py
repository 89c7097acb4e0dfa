"""The service suite (tests/service) itself: its catalogue, its page, and its runner."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import redis

from tests.service.catalogue import GROUPS, list_assumptions, load_modules
from tests.service.runner import MAX_COMMANDS
from tests.service.target import Target, find_database
from tests.service.write_page import PAGE, render_page

ASSUMPTIONS = [each for module in load_modules() for each in list_assumptions(module)]
TOKEN = "AX8sASQg/token+that=must-never-be-printed"
PASSWORD = "password-that-must-never-be-printed"


# ---- the catalogue


def test_the_page_lists_every_assumption():
    assert PAGE.read_text() == render_page(), "run python -m tests.service.write_page"


def test_ids_are_unique_and_have_a_known_group():
    counts = Counter(each.id for each in ASSUMPTIONS)
    assert {name for name, count in counts.items() if count > 1} == set()
    assert {name.partition("-")[0] for name in counts} == set(GROUPS)


def test_each_test_of_the_suite_is_an_assumption():
    tests = [name for module in load_modules() for name in vars(module) if name.startswith("test_")]
    assert len(tests) == len(ASSUMPTIONS)


def test_an_assumption_says_what_it_is_and_what_it_affects():
    for each in ASSUMPTIONS:
        assert each.statement.endswith("."), each.id
        assert each.affects.endswith("."), each.id
        assert "|" not in each.statement + each.source + each.affects, each.id


# ---- the runner


def run_suite(*arguments, timeout=120, **variables):
    kept = {name: value for name, value in os.environ.items() if "UPSTASH" not in name}
    return subprocess.run(
        [sys.executable, "-m", "tests.service", *arguments],
        cwd=PAGE.parents[2],
        env=kept | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def credentials(emulator):
    return {
        "UPSTASH_REDIS_REST_URL": emulator.rest_url,
        "UPSTASH_REDIS_REST_TOKEN": emulator.token,
    }


def list_suite_keys(emulator):
    with redis.Redis.from_url(emulator.redis_url) as client:  # faults of REST do not affect it
        return client.keys("continuum-suite:*")


def test_a_run_reports_what_holds_and_leaves_nothing(emulator, tmp_path):
    path = tmp_path / "report.json"
    with emulator.count() as usage:
        run = run_suite("--yes", "--only=SYNC,PKG-001", f"--json={path}", **credentials(emulator))
    report = json.loads(path.read_text())
    assert run.returncode == 0, run.stdout + run.stderr
    assert "SYNC-001  documented  passed" in run.stdout
    assert f"At most {report['commands_announced']:,} commands are billed." in run.stdout
    assert usage.billed <= report["commands_counted"] <= report["commands_announced"]
    assert report["keys_left"] == 0
    assert list_suite_keys(emulator) == []
    assert emulator.token not in run.stdout + run.stderr + path.read_text()
    assert {result["outcome"] for result in report["results"]} == {"passed"}


def test_nothing_is_billed_without_consent(emulator):
    with emulator.count() as usage:
        run = run_suite(**credentials(emulator))
    assert run.returncode == 2
    assert usage.billed == 0
    announced = int(run.stdout.partition("At most ")[2].partition(" ")[0].replace(",", ""))
    assert 500 < announced <= MAX_COMMANDS
    assert "--yes" in run.stderr


def test_an_interrupted_run_leaves_nothing(emulator):
    environ = {name: value for name, value in os.environ.items() if "UPSTASH" not in name}
    with emulator.fault("latency", seconds=1.0):
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.service", "--yes", "--only=CMD"],
            cwd=PAGE.parents[2],
            env=environ | credentials(emulator),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 60
        while not list_suite_keys(emulator) and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "Interrupted" in errors
    assert list_suite_keys(emulator) == []


@contextmanager
def serve(respond):
    """Run an HTTP server; `respond` returns the status and the body for a command."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, content = respond(body, self.headers["Authorization"])
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("X-Echo", self.headers["Authorization"] or "")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def echo_token(body, authorization):
    """Let the suite begin, and repeat the token in every other response."""
    if body == b'["PING"]':
        return 200, b'{"result":"PONG"}'
    if body == b'["INFO"]':
        return 200, b'{"result":"upstash_version:1.0"}'
    if b"preflight" in body:
        return 200, b'{"result":"OK"}'
    return 400, json.dumps({"error": f"ERR no {authorization} and {PASSWORD}"}).encode()


def test_no_output_contains_a_secret(tmp_path):
    path = tmp_path / "report.json"
    with serve(echo_token) as url:
        run = run_suite(
            "--yes",
            "--only=FORM-00,PKG-001",
            f"--json={path}",
            UPSTASH_REDIS_REST_URL=url,
            UPSTASH_REDIS_REST_TOKEN=TOKEN,
            UPSTASH_REDIS_URL=f"redis://default:{PASSWORD}@127.0.0.1:1",
        )
    everything = run.stdout + run.stderr + path.read_text()
    assert run.returncode == 1
    assert TOKEN not in everything
    assert PASSWORD not in everything
    assert "ERR no Bearer <secret> and <secret>" in run.stdout


def test_a_failure_says_what_was_expected_what_came_and_what_it_affects():
    with serve(echo_token) as url:
        run = run_suite(
            "--yes", "--only=FORM-001", UPSTASH_REDIS_REST_URL=url, UPSTASH_REDIS_REST_TOKEN=TOKEN
        )
    assert (
        "FORM-001 FAILED. POST / runs the command whose words are the JSON array in the body.\n"
        "  the service returned error 'ERR no Bearer <secret>" in run.stdout
    )
    assert (
        "expected 'OK'\n  evidence: documented: redis/features/restapi\n  affects:  " in run.stdout
    )


def test_a_real_database_is_not_named():
    target = Target("upstash", "p:", "https://eu1-merry-cat-1.upstash.io", "secret-token")
    assert target.name == "<database>.upstash.io"
    text = "https://eu1-merry-cat-1.upstash.io/?_token=secret-token"
    assert target.redact(text) == "https://<database>.upstash.io/?_token=<secret>"
    assert "secret-token" not in repr(target)


@pytest.mark.slow
def test_what_we_promise_holds_for_the_server_with_the_fewest_commands():
    # make test-all runs the suite on every profile.
    run = run_suite("--profile=srh", "--only=PKG")
    assert run.returncode == 0, run.stdout + run.stderr


# ---- a database that cannot be examined


@contextmanager
def hold_connections():
    """Accept connections, and never respond."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def refuse(body, authorization):
    text = b'{"error":"WRONGPASS invalid or missing auth token"}'
    return 401, text


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://127.0.0.1:1", "no connection: ConnectionRefusedError"),
        ("https://no-such-database.invalid", "the host name does not exist"),
        ("not a url", "UPSTASH_REDIS_REST_URL is not a URL of a database"),
        (hold_connections, "no connection: TimeoutError"),
        (lambda: serve(refuse), "the token is not accepted"),
        (lambda: serve(lambda *_: (200, b"<html>")), "instead of JSON"),
    ],
    ids=["refused", "no-host", "no-url", "silent", "token", "html"],
)
def test_a_database_that_cannot_be_used_ends_the_suite_in_seconds(url, message):
    started = time.monotonic()
    if callable(url):
        with url() as server:
            run = run_suite(UPSTASH_REDIS_REST_URL=server, UPSTASH_REDIS_REST_TOKEN=TOKEN)
    else:
        run = run_suite(UPSTASH_REDIS_REST_URL=url, UPSTASH_REDIS_REST_TOKEN=TOKEN)
    assert run.returncode == 2
    assert message in run.stderr
    assert run.stderr.count("\n") == 1
    assert TOKEN not in run.stdout + run.stderr
    assert time.monotonic() - started < 30  # 5 s of time-out, and the start of Python


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "No database is configured"),
        ({"UPSTASH_REDIS_REST_URL": "https://x.upstash.io"}, "UPSTASH_REDIS_REST_TOKEN is not set"),
        ({"UPSTASH_REDIS_REST_TOKEN": TOKEN}, "UPSTASH_REDIS_REST_URL is not set"),
    ],
    ids=["none", "no-token", "no-url"],
)
def test_missing_credentials_are_named(variables, message):
    run = run_suite(**variables)
    assert (run.returncode, run.stderr.count("\n")) == (2, 1)
    assert message in run.stderr


def test_tcp_is_derived_from_the_token():
    environ = {
        "UPSTASH_REDIS_REST_URL": ' "https://x.upstash.io/" ',
        "UPSTASH_REDIS_REST_TOKEN": f"'{TOKEN}'\n",
    }
    target = find_database(environ, "prefix:", "", large=False)
    assert target.rest_url == "https://x.upstash.io"
    assert target.redis_url == (
        "rediss://default:AX8sASQg%2Ftoken%2Bthat%3Dmust-never-be-printed@x.upstash.io:6379"
    )
