"""`manage.py federation_worker --tasks`, in this process and as a process that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from continuum_upstash.federation.tasks.framework import TaskResultStatus, task_started
from continuum_upstash.federation.tasks.runs import RunState
from continuum_upstash.federation.tasks.store import TaskStore
from tests.integration.cache_entries import make_entry
from tests.integration.federation import site_tasks
from tests.waiting import wait_until

BACKEND = "continuum_upstash.federation.tasks.UpstashTasks"
PUSH = {
    "URL": "https://a.example/",
    "TOKEN": "t",
    "CURRENT_SIGNING_KEY": "c",
    "NEXT_SIGNING_KEY": "n",
}


@pytest.fixture
def tasks(federation):
    site_tasks.calls.clear()
    entries = {
        "default": {"BACKEND": BACKEND, "QUEUES": ["default", "mail"]},
        "any": {"BACKEND": BACKEND, "QUEUES": []},
        "push": {"BACKEND": BACKEND, "OPTIONS": {"PUSH": PUSH}},
        "other": {"BACKEND": f"{type(site_tasks.add).__module__.partition('.base')[0]}"
                  ".backends.dummy.DummyBackend"},
    }  # fmt: skip
    with override_settings(TASKS=entries):
        yield


def work(*arguments):
    call_command("federation_worker", *arguments, "--once", stderr=StringIO())


def test_a_worker_runs_the_tasks_of_all_queues(tasks):
    results = [site_tasks.add.enqueue(1), site_tasks.add_async.using(queue_name="mail").enqueue(2)]
    failed = site_tasks.raise_error.enqueue("SystemExit")
    work("--tasks", "default")
    for number, result in enumerate(results, 1):
        assert result.refresh() or result.return_value == number
    assert failed.refresh() or failed.status == TaskResultStatus.FAILED
    assert results[0].worker_ids == results[1].worker_ids


def test_a_worker_runs_the_tasks_of_some_queues(tasks):
    first = site_tasks.add.enqueue(1)
    second = site_tasks.add.using(queue_name="mail").enqueue(2)
    work("mail", "--tasks=default")
    assert [each.refresh() or each.status for each in (first, second)] == ["READY", "SUCCESSFUL"]
    any_queue = site_tasks.add.using(backend="any", queue_name="free").enqueue(3)
    work("free", "--tasks=any")
    assert any_queue.refresh() or any_queue.return_value == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "missing"], "missing"),
        (["--tasks", "other"], "is a DummyBackend"),
        (["--tasks", "push"], "QStash delivers its tasks"),
        (["--tasks", "any"], "Name the queues to run"),
        (["--tasks", "default", "mial"], "Did you mean mail"),
        ([], "Name the queues to run, or an entry of TASKS"),
    ],
)
@pytest.mark.parametrize("transport", ["rest"])
def test_wrong_arguments_are_errors_with_a_fix(tasks, arguments, message):
    with pytest.raises(CommandError, match=message):
        work(*arguments)


@pytest.mark.parametrize("transport", ["rest"])
def test_a_task_whose_result_is_stored_late_because_of_an_outage(tasks, emulator):
    result = site_tasks.add.enqueue(1)
    backend = site_tasks.add.get_backend()
    (job,) = backend.get_queue("default").reserve()
    outage = []

    def fail(*_, **__):
        outage.append(emulator.fault("reset", times=1))
        outage[0].__enter__()

    task_started.connect(fail, weak=False)
    try:
        backend.run_job(job, "worker")
    finally:
        task_started.disconnect(fail)
        outage[0].__exit__(None, None, None)
    assert result.refresh() or result.return_value == 1


@pytest.mark.parametrize("transport", ["rest"])
def test_a_task_that_another_worker_changes_meanwhile_keeps_its_job(tasks, monkeypatch):
    """The other worker has lost the lease of the job, so it cannot repeat the task itself."""
    site_tasks.add.enqueue(1)
    backend = site_tasks.add.get_backend()
    queue, replace = backend.get_queue("default"), TaskStore.replace

    def replace_late(store, old, new):
        monkeypatch.setattr(TaskStore, "replace", replace)
        other = old.document.wait_for_retry(ValueError("of the other worker"), time.time())
        yield from replace(store, old, other)
        return (yield from replace(store, old, new))

    monkeypatch.setattr(TaskStore, "replace", replace_late)
    assert list(backend.drain(["default"], time.monotonic() + 9)) == [RunState.LOST]
    assert queue.size().waiting == 1


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_a_task_whose_worker_is_killed_is_run_by_the_next_worker(
    tasks, emulator, transport, tmp_path
):
    log = tmp_path / "log"
    result = site_tasks.append_line.enqueue(str(log), 30)
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.integration.federation.worker_settings",
        "WORKER_CACHE": json.dumps(make_entry(emulator, transport)),
    }
    command = [sys.executable, "-m", "django", "federation_worker", "--tasks=default"]
    process = subprocess.Popen([*command, "--visibility=1s"], env=environment, stderr=-1)
    try:
        wait_until(log.exists)
        assert result.refresh() or result.status == TaskResultStatus.RUNNING
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    backend = site_tasks.add.get_backend()
    store = backend.store
    stored = store.database.run(store.read(result.id))
    stored.document.args[1] = 0
    store.database.run(store.replace(stored, stored.document))

    def is_run():
        work("--tasks", "default")
        return result.refresh() or result.is_finished

    wait_until(is_run)
    assert (result.status, result.attempts) == (TaskResultStatus.SUCCESSFUL, 2)
    assert log.read_text().splitlines() == ["started", "started", "ended"]
