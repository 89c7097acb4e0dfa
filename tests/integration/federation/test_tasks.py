"""Django's Tasks framework on the emulator: each transport, sync and async."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from datetime import timedelta
from itertools import count

import pytest
from django.core.exceptions import SuspiciousOperation
from django.db import transaction
from django.test import override_settings
from django.utils import timezone

from continuum_upstash.errors import CapacityExceeded, Unavailable
from continuum_upstash.federation.errors import (
    ImproperlyConfiguredFederation,
    PayloadRejected,
)
from continuum_upstash.federation.queue.members import Member
from continuum_upstash.federation.tasks.documents import TaskCrashed
from continuum_upstash.federation.tasks.framework import (
    InvalidTask,
    TaskResultDoesNotExist,
    TaskResultStatus,
    task_backends,
    task_finished,
    task_started,
)
from continuum_upstash.federation.tasks.runs import Call, RunState
from continuum_upstash.plans.effects import call
from tests.integration.federation import site_tasks
from tests.waiting import wait_until

BACKEND = "continuum_upstash.federation.tasks.UpstashTasks"
_numbers = count()


class AnyTasks:
    """Calls the sync or async methods of tasks, results and the backend by the sync name."""

    def __init__(self, runner):
        self._runner = runner

    def _call(self, owner, name, *args, **kwargs):
        if self._runner is None:
            return getattr(owner, name)(*args, **kwargs)

        async def call():
            return await getattr(owner, f"a{name}")(*args, **kwargs)

        return self._runner.run(call())

    @property
    def backend(self):
        return task_backends["default"]

    def enqueue(self, task, *args, **kwargs):
        return self._call(task, "enqueue", *args, **kwargs)

    def refresh(self, result):
        self._call(result, "refresh")
        return result

    def get_result(self, result_id):
        return self._call(self.backend, "get_result", result_id)

    def reserve(self, queue="default", n=1, **options):
        return self._call(self.backend.get_queue(queue), "reserve", n, **options)

    def run_job(self, job, worker_id="worker"):
        """Run the task of a job, and acknowledge it, as a worker does."""
        state = self._call(self.backend, "run_job", job, worker_id)
        if state is not RunState.RETRY:
            self._call(job, "ack")
        return state

    def work(self, queue="default"):
        """Run the tasks that are ready; return what came of each."""
        states = []
        while jobs := self.reserve(queue):
            states += [self.run_job(job) for job in jobs]
        return states


@pytest.fixture
def configure(federation):
    """Return a function that changes TASKS; until the test ends."""
    overrides = []

    def change(options=None, **params):
        entry = {"BACKEND": BACKEND, "OPTIONS": options or {}, **params}
        override = override_settings(TASKS={"default": entry})
        override.enable()
        overrides.append(override)

    change()
    yield change
    for override in reversed(overrides):
        override.disable()


@pytest.fixture
def tasks(configure, api, request):
    site_tasks.calls.clear()
    site_tasks.release.clear()
    return AnyTasks(request.getfixturevalue("runner") if api == "async" else None)


def test_a_task_runs_once_and_its_result_is_read_elsewhere(tasks):
    for task in (site_tasks.add, site_tasks.add_async):
        result = tasks.enqueue(task, 1, b=2)
        assert result.status == TaskResultStatus.READY
        assert tasks.get_result(result.id) == result
        assert tasks.work() == [RunState.FINISHED]
        tasks.refresh(result)
        assert (result.status, result.return_value) == (TaskResultStatus.SUCCESSFUL, 3)
        assert result.enqueued_at <= result.started_at <= result.finished_at
        assert result.last_attempted_at == result.started_at
        assert (result.attempts, result.worker_ids) == (1, ["worker"])
        assert task.get_result(result.id).task.func is task.func
    assert site_tasks.calls == [(1, 2), (1, 2)]
    assert tasks.work() == []


def test_the_bill_of_a_task(tasks, emulator, transport):
    tasks.enqueue(site_tasks.add, 0)
    tasks.work()  # reads the clock, and loads the script
    with emulator.count() as enqueued:
        tasks.enqueue(site_tasks.add, 1)
    with emulator.count() as reserved:
        (job,) = tasks.reserve()
    with emulator.count() as ran:
        tasks.run_job(job)
    # Only over REST is the server known to have SET IFEQ; elsewhere a script replaces it twice.
    assert (enqueued.billed, ran.billed) == (3, 4 if transport == "rest" else 8)
    assert reserved.billed in {3, 4}  # with a look for delayed jobs once a second


def test_priorities_queues_and_run_after(configure, tasks, emulator):
    configure(QUEUES=["default", "other"])
    tasks.enqueue(site_tasks.add.using(priority=-5), 1)
    tasks.enqueue(site_tasks.add.using(priority=5), 2)
    tasks.enqueue(site_tasks.add.using(queue_name="other"), 3)
    later = timezone.now() + timedelta(hours=1)
    delayed = tasks.enqueue(site_tasks.add.using(run_after=later), 4)
    tasks.enqueue(site_tasks.add.using(run_after=timezone.now() - timedelta(hours=1)), 5)
    tasks.work()
    assert [a for a, _ in site_tasks.calls] == [2, 5, 1]
    assert tasks.get_result(delayed.id).task.run_after == later
    tasks.work("other")
    assert site_tasks.calls[3:] == [(3, 0)]
    with pytest.raises(InvalidTask, match="unknown"):
        site_tasks.add.using(queue_name="unknown")


def test_a_task_that_fails_is_failed_with_its_traceback(tasks):
    for kind in (ValueError, SystemExit):
        result = tasks.enqueue(site_tasks.raise_error, kind.__name__)
        assert tasks.work() == [RunState.FINISHED]
        tasks.refresh(result)
        assert result.status == TaskResultStatus.FAILED
        assert result.errors[0].exception_class is kind
        assert result.errors[0].traceback.endswith(f"{kind.__name__}: wrong\n")
        with pytest.raises(ValueError, match="Task failed"):
            _ = result.return_value


def test_a_task_is_retried_with_back_off(configure, tasks):
    configure({"MAX_ATTEMPTS": 2, "BACKOFF": 0.01})
    result = tasks.enqueue(site_tasks.read_attempt)
    states = []
    wait_until(lambda: states.extend(tasks.work()) or RunState.FINISHED in states)
    assert states == [RunState.RETRY, RunState.FINISHED]
    tasks.refresh(result)
    assert result.return_value == [result.id, 2]
    assert (len(result.errors), result.attempts) == (1, 2)


def test_a_task_that_waits_for_its_retry_is_ready(configure, tasks):
    configure({"MAX_ATTEMPTS": 2, "BACKOFF": 60})
    result = tasks.enqueue(site_tasks.raise_error)
    assert tasks.work() == [RunState.RETRY]
    assert tasks.refresh(result).status == TaskResultStatus.READY
    assert 25 < tasks.backend.get_queue("default").next_due() <= 60


def test_a_task_has_a_policy_of_its_own(tasks):
    own = tasks.backend.task_class(
        **{name: getattr(site_tasks.raise_error, name) for name in ("func", "priority", "backend")},
        queue_name="default",
        run_after=None,
        takes_context=False,
        max_attempts=30,
        backoff=lambda error, result: 100.0 + result.attempts,
    )
    original, site_tasks.raise_error = site_tasks.raise_error, own
    try:
        result = tasks.enqueue(own)
        assert tasks.work() == [RunState.RETRY]
        assert tasks.refresh(result).status == TaskResultStatus.READY
        queue = tasks.backend.get_queue("default")
        assert 100 < queue.next_due() <= 101
        (text, _score) = queue.run(call("ZRANGE", queue.plans.keys.jobs, 0, 0, "WITHSCORES"))
        # The queue delivers a task more often than the policy and crashes can require.
        assert Member.parse(text.decode()).max_attempts > 30
    finally:
        site_tasks.raise_error = original


def crash(tasks):
    """Start the next task, and end its lease without its end, as a killed worker does."""
    (job,) = tasks.reserve(visibility=30)
    store = tasks.backend.store
    stored = store.database.run(store.read(job.payload["task"]))
    document = stored.document
    if document.worker_ids:
        document = document.count_crash()
    store.database.run(store.replace(stored, document.start("killed")))
    job.retry(0)


def test_a_task_whose_worker_was_killed_runs_again(tasks):
    result = tasks.enqueue(site_tasks.add, 1)
    crash(tasks)
    assert tasks.refresh(result).status == TaskResultStatus.RUNNING
    assert tasks.work() == [RunState.FINISHED]
    tasks.refresh(result)
    assert (result.return_value, result.worker_ids) == (1, ["killed", "worker"])


def test_a_task_that_kills_its_workers_fails(configure, tasks):
    configure({"MAX_CRASHES": 1})
    result = tasks.enqueue(site_tasks.add, 1)
    crash(tasks)
    crash(tasks)
    assert tasks.work() == [RunState.FINISHED]
    tasks.refresh(result)
    assert result.status == TaskResultStatus.FAILED
    assert result.errors[0].exception_class is TaskCrashed
    assert site_tasks.calls == []


def test_a_worker_that_was_paused_does_not_replace_the_result_of_another(tasks, caplog):
    result = tasks.enqueue(site_tasks.add, 1)
    (slow,) = tasks.reserve(visibility=30)
    plan = tasks.backend._make_run(SlowCaller(tasks, slow), "slow").run(result.id)
    assert tasks.backend.store.database.run(plan).state == RunState.LOST
    tasks.refresh(result)
    assert (result.return_value, result.worker_ids) == (1, ["slow", "fast"])
    assert "taken over by another worker" in caplog.text
    assert not slow.ack()


class SlowCaller:
    """Calls the function after another worker has run the task."""

    def __init__(self, tasks, job):
        self._tasks, self._job = tasks, job

    def call(self, result):
        self._job.retry(0)
        (job,) = self._tasks.reserve()
        self._tasks.run_job(job, "fast")
        return Call("late")


def test_a_finished_task_whose_job_comes_again_does_not_run_again(tasks):
    result = tasks.enqueue(site_tasks.add, 1)
    (job,) = tasks.reserve()
    job.retry(0)  # the acknowledgement is lost
    assert tasks.work() == [RunState.FINISHED]
    queue = tasks.backend.get_queue("default")
    queue.enqueue({"task": result.id})
    assert tasks.work() == [RunState.FINISHED]
    assert site_tasks.calls == [(1, 0)]


@pytest.mark.parametrize("api", ["async"])
def test_a_cancelled_run_is_no_crash(tasks, runner):
    result = tasks.enqueue(site_tasks.wait_for_release)
    (job,) = tasks.reserve()

    async def cancel():
        run = asyncio.create_task(tasks.backend.arun_job(job, "cancelled"))
        await asyncio.to_thread(wait_until, lambda: site_tasks.calls)
        run.cancel()
        site_tasks.release.set()
        await asyncio.wait([run])
        assert run.cancelled()

    runner.run(cancel())
    stored = tasks.backend.store
    document = stored.database.run(stored.read(result.id)).document
    assert (document.status, document.worker_ids) == ("READY", [])


def test_signals_and_log_lines_are_djangos(tasks, caplog):
    seen = []

    def receive(signal, sender, task_result, **_):
        seen.append((sender, task_result.status))

    task_started.connect(receive, weak=False)
    task_finished.connect(receive, weak=False)
    try:
        names = ("django.tasks", "django_tasks")  # 6.0 and 5.2
        with caplog.at_level("DEBUG", names[0]), caplog.at_level("DEBUG", names[1]):
            tasks.enqueue(site_tasks.add, 1)
            tasks.enqueue(site_tasks.raise_error)
            tasks.work()
    finally:
        task_started.disconnect(receive)
        task_finished.disconnect(receive)
    backend = type(tasks.backend)
    expected = ["RUNNING", "SUCCESSFUL", "RUNNING", "FAILED"]
    assert seen == [(backend, TaskResultStatus(status)) for status in expected]
    lines = [each for each in caplog.records if each.name in names]
    states = [each.message.rpartition("=")[2] for each in lines]
    assert states == ["default", "default", *expected]
    assert lines[-1].levelno == logging.ERROR
    assert lines[-1].exc_info[0] is ValueError


def test_a_receiver_that_fails_does_not_lose_the_task(tasks):
    def fail(**_):
        raise RuntimeError("receiver")

    task_finished.connect(fail, weak=False)
    try:
        result = tasks.enqueue(site_tasks.add, 1)
        assert tasks.work() == [RunState.FINISHED]
    finally:
        task_finished.disconnect(fail)
    assert tasks.refresh(result).status == TaskResultStatus.SUCCESSFUL


def test_a_result_expires_and_a_waiting_task_does_not(configure, tasks, emulator):
    configure({"RESULT_TTL": 100})
    result = tasks.enqueue(site_tasks.add, 1)
    run = tasks.backend.store.database.run
    key = f"continuum:task:{result.id}"
    assert run(read(("TTL", key))) == -1
    tasks.work()
    assert 90 < run(read(("TTL", key))) <= 100


def read(command):
    return (yield from call(*command))


@pytest.mark.parametrize("result_id", ["123", "x" * 32, "../../x", "", 5, None, "a*", "a\r\nb"])
def test_an_unknown_result_does_not_exist(tasks, result_id):
    with pytest.raises(TaskResultDoesNotExist):
        tasks.get_result(result_id)


def write_document(tasks, result, **changes):
    """Replace the stored task, as code of this site can."""
    store = tasks.backend.store
    stored = store.database.run(store.read(result.id))
    document = stored.document
    for name, value in changes.items():
        setattr(document, name, value)
    assert store.database.run(store.replace(stored, document))


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("tests.integration.federation.site_tasks.not_a_task", SuspiciousOperation),
        ("tests.integration.federation.site_tasks.missing", ImportError),
        ("missing.module", ModuleNotFoundError),
        ("subprocess.check_output", SuspiciousOperation),
    ],
)
def test_a_task_that_does_not_exist_any_more_fails(tasks, path, error):
    result = tasks.enqueue(site_tasks.add, 1)
    write_document(tasks, result, path=path)
    with pytest.raises(error):
        tasks.get_result(result.id)
    assert tasks.work() == [RunState.FINISHED]
    store = tasks.backend.store
    document = store.database.run(store.read(result.id)).document
    assert document.status == "FAILED"
    assert error.__name__ in document.errors[0][0] + document.errors[0][1]
    assert site_tasks.calls == []


def test_a_task_that_the_site_did_not_sign_is_not_run(tasks, caplog):
    result = tasks.enqueue(site_tasks.add, 1)
    run = tasks.backend.store.database.run
    key = f"continuum:task:{result.id}"
    stored = run(read(("GET", key)))
    other = tasks.enqueue(site_tasks.add, 2)
    for forged in (
        stored.replace(b"site_tasks.add", b"site_tasks.not_a_task"),
        stored.partition(b".")[2],
        b"x" * 43 + b"." + stored.partition(b".")[2],
        b"\xff" * 100,
        b"",
        run(read(("GET", f"continuum:task:{other.id}"))),
    ):
        run(read(("SET", key, forged)))
        with pytest.raises(TaskResultDoesNotExist):
            tasks.get_result(result.id)
    assert tasks.work() == [RunState.MISSING, RunState.FINISHED]
    assert site_tasks.calls == [(2, 0)]
    assert "not signed" in caplog.text
    with override_settings(SECRET_KEY="new", SECRET_KEY_FALLBACKS=["only-for-tests"]):
        assert tasks.get_result(other.id).return_value == 2
    with override_settings(SECRET_KEY="new"), pytest.raises(TaskResultDoesNotExist):
        tasks.get_result(other.id)


def make_deep(levels):
    value = []
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("argument", "error"),
    [
        ("x" * 10_000_000, PayloadRejected),
        (make_deep(100_000), PayloadRejected),
        (b"\xff\x00", ValueError),
        (timezone.now(), TypeError),
        (object(), TypeError),
        ({1, 2}, TypeError),
    ],
    ids=["large", "deep", "binary", "datetime", "object", "set"],
)
def test_arguments_that_cannot_be_stored_are_refused_before_anything_is_sent(
    tasks, emulator, argument, error
):
    with emulator.count() as spent, pytest.raises(error):
        tasks.enqueue(site_tasks.add, argument)
    assert spent.billed == 0


@pytest.mark.parametrize("argument", ["é\ud800\x00\r\n", 10**300, 1.5, {"a": [None, True]}, "~x"])
def test_arguments_arrive_unchanged(tasks, argument):
    result = tasks.enqueue(site_tasks.add, [argument], b=[argument])
    tasks.work()
    assert tasks.refresh(result).return_value == [argument, argument]


@pytest.mark.parametrize("kind", ["object", "large", "deep", "bytes"])
def test_a_return_value_that_cannot_be_stored_fails_the_task(tasks, kind):
    result = tasks.enqueue(site_tasks.return_value, kind)
    assert tasks.work() == [RunState.FINISHED]
    assert tasks.refresh(result).status == TaskResultStatus.FAILED
    assert result.errors


def test_errors_of_the_database_reach_the_caller(tasks, emulator, transport):
    side = "rest" if transport == "rest" else "tcp"
    with emulator.fault("capacity", side=side), pytest.raises(CapacityExceeded):
        tasks.enqueue(site_tasks.add, 1)
    with emulator.fault("reset", side=side), pytest.raises(Unavailable):
        tasks.enqueue(site_tasks.add, 1)
    assert site_tasks.calls == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("api", ["sync"])
def test_a_task_is_sent_when_the_transaction_commits(configure, tasks):
    configure({"ENQUEUE_ON_COMMIT": True})
    with transaction.atomic():
        result = site_tasks.add.enqueue(1)
        with pytest.raises(TaskResultDoesNotExist):
            tasks.get_result(result.id)
        with pytest.raises(PayloadRejected):
            site_tasks.add.enqueue("x" * 2_000_000)
    assert tasks.work() == [RunState.FINISHED]
    with transaction.atomic():
        site_tasks.add.enqueue(2)
        transaction.set_rollback(True)
    assert tasks.work() == []
    configure()
    with transaction.atomic():
        site_tasks.add.enqueue(3)
        assert tasks.work() == [RunState.FINISHED]


@pytest.mark.parametrize("api", ["sync"])
def test_two_workers_run_a_task_once(tasks):
    for _ in range(20):
        site_tasks.add.enqueue(1)
    threads = [threading.Thread(target=tasks.work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(site_tasks.calls) == 20


@pytest.mark.parametrize("api", ["sync"])
@pytest.mark.parametrize("transport", ["rest"])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"RESULT_TLL": 5}, "unknown option 'RESULT_TLL'. Did you mean RESULT_TTL"),
        ({"RESULT_TTL": "5"}, "RESULT_TTL must be a int"),
        ({"MAX_ATTEMPTS": 0}, "MAX_ATTEMPTS must be 1 to 100"),
        ({"MAX_BYTES": 3 * 1024 * 1024 + 1}, "MAX_BYTES must be at most 3,145,728"),
        ({"BACKOFF": -1}, "BACKOFF must be greater than 0"),
        ({"PUSH": {"URL": "example.com"}}, "public URL"),
        ({"PUSH": {"URL": "https://a.b/", "TOKNE": "t"}}, "Did you mean TOKEN"),
        ({"PUSH": {"URL": "https://a.b/"}}, "set QSTASH_TOKEN"),
        ({"PUSH": "https://a.b/"}, "must be a dict"),
    ],
)
def test_wrong_options_are_errors_with_a_fix(configure, tasks, options, message):
    configure(options)
    with pytest.raises(ImproperlyConfiguredFederation, match=message):
        _ = task_backends["default"]


@pytest.mark.parametrize("api", ["sync"])
@pytest.mark.parametrize("transport", ["rest"])
def test_a_cache_that_cannot_hold_tasks_is_an_error(configure, tasks):
    configure({"USING": "missing"})
    with pytest.raises(ImproperlyConfiguredFederation, match="'missing' is not in CACHES"):
        tasks.enqueue(site_tasks.add, 1)


def test_json_of_a_document_is_readable(tasks):
    result = tasks.enqueue(site_tasks.add, 1, b=2)
    stored = tasks.backend.store.database.run(read(("GET", f"continuum:task:{result.id}")))
    document = json.loads(stored.partition(b".")[2])
    assert document["path"] == "tests.integration.federation.site_tasks.add"
    assert (document["args"], document["kwargs"]) == ([1], {"b": 2})
