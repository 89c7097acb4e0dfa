"""`manage.py federation_worker` as a process: signals, limits, log lines and probes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from continuum_upstash.federation import Queue
from continuum_upstash.management.worker_endpoint import WorkerEndpoint, respond
from continuum_upstash.transports import registry
from tests.integration.cache_entries import make_entry
from tests.integration.federation import job_handlers
from tests.waiting import wait_until

HANDLER = "--handler=tests.integration.federation.job_handlers.record"


@pytest.fixture
def transport():
    return "rest"


@pytest.fixture
def queue(federation, request):
    return Queue(request.node.name.partition("[")[0][-60:])


@pytest.fixture
def start(emulator, tmp_path):
    """Start worker processes; they are killed after the test."""
    processes = []
    log = tmp_path / "log"

    def start(*arguments):
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "tests.integration.federation.worker_settings",
            "WORKER_CACHE": json.dumps(make_entry(emulator)),
            "WORKER_LOG": str(log),
        }
        command = [sys.executable, "-m", "django", "federation_worker", *arguments]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        return process, lambda: log.read_text().splitlines() if log.exists() else []

    yield start
    for process in processes:
        process.kill()
        process.communicate()


def test_sigterm_lets_running_jobs_end_and_gives_back_the_rest(queue, start, tmp_path):
    queue.enqueue_many([{"number": number, "seconds": 0.3} for number in range(3)])
    health = tmp_path / "health.json"
    process, read_log = start(queue.name, f"--health-file={health}")
    wait_until(lambda: len(read_log()) == 1)
    assert json.loads(health.read_text())["state"] == "running"
    process.send_signal(signal.SIGTERM)
    _, text = process.communicate(timeout=20)
    assert process.returncode == 0
    events = [json.loads(line) for line in text.splitlines()]
    assert [each["event"] for each in events] == ["started", "stopping", "stopped"]
    assert events[-1]["jobs"]["done"] == 1
    assert queue.size() == (2, 0, 0, False)


def test_a_second_signal_ends_the_process_at_once(queue, start):
    queue.enqueue({"number": 0, "seconds": 60})
    process, read_log = start(queue.name)
    wait_until(lambda: len(read_log()) == 1)
    process.send_signal(signal.SIGINT)
    wait_until(lambda: '"stopping"' in process.stderr.readline())
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=5)
    assert process.returncode == 130


def run_command(*arguments):
    stderr = StringIO()
    call_command("federation_worker", *arguments, stderr=stderr)
    return [json.loads(line) for line in stderr.getvalue().splitlines()]


def test_once(queue):
    job_handlers.done.clear()
    queue.enqueue_many(range(3))
    events = run_command(queue.name, HANDLER, "--once", "--health-address=:0")
    assert job_handlers.done == [0, 1, 2]
    assert [each["event"] for each in events] == ["started", "stopped"]
    assert events[-1]["jobs"] == {"done": 3}


def test_the_alias_of_the_setting_is_the_default(emulator, settings):
    settings.CACHES = {"jobs": make_entry(emulator)}
    settings.CONTINUUM_FEDERATION = {"ALIAS": "jobs"}
    Queue("of_the_setting", using="jobs").enqueue("job")
    job_handlers.done.clear()
    run_command("of_the_setting", HANDLER, "--once")
    assert job_handlers.done == ["job"]
    registry.reset()


def test_a_failed_job_is_a_line_with_its_traceback(queue):
    queue.enqueue("luck")
    handler = "--handler=tests.integration.federation.job_handlers.fail_always"
    events = run_command(queue.name, handler, "--once")
    (failed,) = [each for each in events if each["event"] == "job_failed"]
    assert (failed["queue"], failed["attempts"], failed["level"]) == (queue.name, 1, "error")
    assert "ValueError: no luck" in failed["traceback"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([], "has no handler"),
        ([HANDLER, "--using=missing"], "is not in CACHES"),
        ([HANDLER, "--concurrency=1001"], "at most 1000"),
        ([HANDLER, "--max-batch=101"], "at most 100"),
        ([HANDLER, "--health-address=nowhere"], "--health-address nowhere"),
        ([HANDLER, "--health-address=127.0.0.1:99999"], "--health-address 127.0.0.1:99999"),
    ],
    ids=str,
)
def test_an_invalid_configuration_ends_with_2(queue, arguments, reason):
    with pytest.raises(CommandError, match=reason) as error:
        run_command(queue.name, *arguments, "--once")
    assert error.value.returncode == 2


@pytest.mark.parametrize(
    ("path", "state", "seconds", "status"),
    [
        ("/live/", "outage", 1, 200),
        ("/live/", "running", 100, 503),
        ("/ready/", "running", 1, 200),
        ("/ready/", "outage", 1, 503),
        ("/ready/?x", "stopping", 1, 503),
        ("/other", "running", 1, 404),
    ],
)
def test_probes(path, state, seconds, status):
    values = {"state": state, "reason": "host:1", "seconds_since_loop": seconds}
    found, kind, body = respond(path, lambda: values)
    assert (found, kind) == (status, "application/json")
    assert b"host" not in body


def test_the_endpoint_serves_metrics(federation):
    endpoint = WorkerEndpoint("127.0.0.1:0", dict)
    url = f"http://127.0.0.1:{endpoint.port}/metrics/"
    try:
        with urllib.request.urlopen(url) as response:
            assert "continuum_cache_requests_total" in response.read().decode()
    finally:
        endpoint.close()
