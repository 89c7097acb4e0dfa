"""The exact commands of a task, which are its bill, without a database."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from django.utils import timezone

from continuum_upstash.errors import CapacityExceeded, ConnectionFailed
from continuum_upstash.federation.errors import PayloadRejected
from continuum_upstash.federation.queue.plans import JobOptions
from continuum_upstash.federation.tasks import runs, store
from continuum_upstash.federation.tasks.documents import TaskCrashed, TaskDocument
from continuum_upstash.federation.tasks.framework import task
from continuum_upstash.federation.tasks.options import TaskOptions
from continuum_upstash.federation.tasks.runs import Call, RunOutcome, RunState, TaskRun
from continuum_upstash.plans.conditional import REPLACE, ConditionalCommands
from tests.unit.federation.queue_plans import make_plans
from tests.unit.plan_runner import run_plan

KEY = "continuum:task:shop:a1"
THREE = Call(3)
OK = [b"OK"]


@task
def add(a, b):
    return a + b


class FakeCaller:
    def __init__(self, called):
        self.called, self.finished = called, []

    def call(self, result):
        assert result.args == [1, 2]
        return self.called

    def finish(self, result, error):
        self.finished.append((result.status.value, error))


def make_document(**changes):
    parts = {
        "id": "a1",
        "path": f"{__name__}.add",
        "backend": "default",
        "queue_name": "default",
        "priority": 0,
        "run_after": None,
        "args": [1, 2],
        "kwargs": {},
        "status": "READY",
        "enqueued_at": timezone.now().isoformat(),
    }
    return TaskDocument(**parts | changes)


@pytest.fixture
def make_store(monkeypatch):
    def make(*, supported=True, **options):
        database = SimpleNamespace(
            prefix="shop",
            database=SimpleNamespace(conditional_commands=ConditionalCommands(supported=supported)),
        )
        monkeypatch.setattr(store, "FederationDatabase", lambda *_: database)
        return store.TaskStore("default", TaskOptions(**options))

    return make


@pytest.fixture
def make_run(make_store):
    def make(called=THREE, *, is_leased=True, **options):
        caller = FakeCaller(called)
        tasks = make_store(**options)
        run = TaskRun(tasks, TaskOptions(**options), caller, "worker", is_leased=is_leased)
        return tasks, run, caller

    return make


def test_an_enqueue_is_one_round_trip(make_store):
    tasks = make_store()
    queue = SimpleNamespace(plans=make_plans())
    _, ((stored, job, wake),) = run_plan(
        tasks.enqueue(make_document(), queue, JobOptions(lifetime=None)), [b"OK", 1, 0]
    )
    assert stored[:2] == ("SET", KEY)
    assert len(stored) == 3
    assert job[:2] == ("ZADD", "fed:queue:{mail}")
    assert job[3].endswith('{"task":"a1"}')
    assert wake[0] == "PUBLISH"


def test_an_enqueue_that_is_not_stored_is_an_error(make_store):
    queue = SimpleNamespace(plans=make_plans())
    full = CapacityExceeded("OOM")
    with pytest.raises(CapacityExceeded):
        run_plan(make_store().enqueue(make_document(), queue, JobOptions()), [full, full, 0])


def test_a_run_is_three_commands(make_run):
    tasks, run, caller = make_run(result_ttl=100)
    stored = tasks.encode(make_document())
    outcome, ((read,), (start,), (end,)) = run_plan(run.run("a1"), [stored], OK, OK)
    assert outcome == RunOutcome(RunState.FINISHED)
    assert read == ("GET", KEY)
    assert start[:2] + start[3:] == ("SET", KEY, "IFEQ", stored)
    assert end[:2] + end[3:] == ("SET", KEY, "IFEQ", start[2], "PX", 100_000)
    assert caller.finished == [("SUCCESSFUL", None)]


def test_a_server_without_set_ifeq_gets_a_script(make_run):
    tasks, run, _ = make_run()
    tasks.database.database.conditional_commands.supported = False
    _, (_, (start,), (end,)) = run_plan(run.run("a1"), [tasks.encode(make_document())], OK, OK)
    assert start[:4] == ("EVAL", REPLACE, 1, KEY)
    assert end[-2] == "PX"


@pytest.mark.parametrize("task_id", [None, 5, "", "a/b", "x" * 64, "*"])
def test_an_id_that_cannot_exist_sends_nothing(make_run, task_id):
    _, run, _ = make_run()
    assert run_plan(run.run(task_id)) == (RunOutcome(RunState.MISSING), [])


def test_a_finished_task_is_one_command(make_run):
    tasks, run, caller = make_run()
    stored = tasks.encode(make_document(status="FAILED"))
    outcome, batches = run_plan(run.run("a1"), [stored])
    assert (outcome.state, len(batches), caller.finished) == (RunState.FINISHED, 1, [])


def test_a_task_that_another_worker_has_taken_is_lost(make_run):
    tasks, run, caller = make_run()
    stored = tasks.encode(make_document())
    assert run_plan(run.run("a1"), [stored], [None])[0].state is RunState.LOST
    assert run_plan(run.run("a1"), [stored], OK, [None])[0].state is RunState.LOST
    assert caller.finished == []


def test_an_error_is_retried_or_final_by_policy(make_run):
    error = ValueError("wrong")
    tasks, run, caller = make_run(Call(error=error), max_attempts=2, backoff=8)
    stored = tasks.encode(make_document())
    outcome, batches = run_plan(run.run("a1"), [stored], OK, OK)
    assert outcome.state is RunState.RETRY
    assert 4 <= outcome.delay <= 8
    waiting = batches[2][0][2]
    document = tasks._format.decode(waiting, "a1")
    assert (document.status, len(document.errors)) == ("READY", 1)
    document.not_before = 0
    outcome, _ = run_plan(run.run("a1"), [tasks.encode(document)], OK, OK)
    assert outcome.state is RunState.FINISHED
    assert caller.finished == [("FAILED", error)]


@pytest.mark.parametrize("error", [None, ValueError("wrong" * 1000)])
def test_a_task_as_large_as_permitted_can_start_and_end(make_run, make_store, error):
    """What a run adds to the document is not limited by MAX_BYTES: the end must be stored."""
    document = make_document()
    size = len(make_store().encode(document)) - 44  # the signature
    tasks, run, caller = make_run(Call(3, error), max_bytes=size)
    outcome, batches = run_plan(run.run("a1"), [tasks.encode(document)], OK, OK)
    assert outcome.state is RunState.FINISHED
    assert caller.finished == [("FAILED" if error else "SUCCESSFUL", error)]
    assert tasks._format.decode(batches[2][0][2], "a1").is_finished


def test_the_arguments_and_the_return_value_are_limited_each_by_itself(make_run):
    tasks, run, caller = make_run(Call("x" * 900), max_bytes=1000)
    stored = tasks.encode(make_document(kwargs={"text": "x" * 600}))
    caller.call = lambda _: Call("x" * 900)
    assert run_plan(run.run("a1"), [stored], OK, OK)[0].state is RunState.FINISHED
    assert caller.finished == [("SUCCESSFUL", None)]
    caller.call = lambda _: Call("x" * 1000)
    assert run_plan(run.run("a1"), [stored], OK, OK)[0].state is RunState.FINISHED
    assert (caller.finished[1][0], type(caller.finished[1][1])) == ("FAILED", PayloadRejected)
    with pytest.raises(PayloadRejected, match="limit is 1,000"):
        tasks.encode(make_document(kwargs={"text": "x" * 1000}))


def test_a_task_does_not_start_before_its_time(make_run):
    tasks, run, _ = make_run()
    stored = tasks.encode(make_document(not_before=time.time() + 60))
    outcome, batches = run_plan(run.run("a1"), [stored])
    assert (outcome.state, len(batches)) == (RunState.RETRY, 1)
    assert 58 < outcome.delay < 60


def test_a_running_task_belongs_to_its_worker_until_the_timeout(make_run):
    tasks, run, _ = make_run(is_leased=False, timeout=300)
    stored = tasks.encode(make_document().start("other"))
    outcome, batches = run_plan(run.run("a1"), [stored])
    assert (outcome.state, len(batches)) == (RunState.RETRY, 1)
    assert 298 < outcome.delay < 300


def test_too_many_crashes_fail_the_task_without_a_call(make_run):
    tasks, run, caller = make_run(Call(error=AssertionError("called")), max_crashes=1)
    stored = tasks.encode(make_document(crashes=1).start("killed"))
    outcome, batches = run_plan(run.run("a1"), [stored], OK)
    assert (outcome.state, len(batches)) == (RunState.FINISHED, 2)
    ((status, error),) = caller.finished
    assert (status, type(error)) == ("FAILED", TaskCrashed)


def test_a_result_is_stored_after_an_outage_and_once(make_run, monkeypatch):
    monkeypatch.setattr(runs, "_END_DELAYS", (0.0, 0.0))
    tasks, run, _ = make_run()
    stored, lost = tasks.encode(make_document()), ConnectionFailed("reset")
    outcome, batches = run_plan(run.run("a1"), [stored], OK, lost, lost, OK)
    assert outcome.state is RunState.FINISHED
    assert [batch[0][0] for batch in batches] == ["GET", "SET", "SET", "GET", "SET"]
    # The reply was lost, and the result is there.
    started = run_plan(run.run("a1"), [stored], OK, OK)[1]
    end = started[2][0][2]
    monkeypatch.setattr(TaskDocument, "succeed", lambda *_: tasks._format.decode(end, "a1"))
    outcome, batches = run_plan(run.run("a1"), [stored], OK, lost, [end])
    assert (outcome.state, len(batches)) == (RunState.FINISHED, 4)


def test_a_cancelled_run_is_undone(make_run):
    tasks, run, _ = make_run()
    assert run_plan(run.give_back()) == (None, [])
    document = make_document()
    run._before, run._started = document, store.StoredTask(document, b"running")
    _, ((command,),) = run_plan(run.give_back(), OK)
    assert command == ("SET", KEY, tasks.encode(document), "IFEQ", b"running")
