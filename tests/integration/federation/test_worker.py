"""A worker in this process, over REST and TCP, with functions and coroutine functions."""

from __future__ import annotations

import threading

import pytest
from django.core.cache import caches

from continuum_upstash.federation import Queue
from continuum_upstash.federation.errors import ImproperlyConfiguredFederation
from continuum_upstash.federation.queue.job import Job
from continuum_upstash.federation.worker import executors
from continuum_upstash.federation.worker.handlers import find_handlers
from continuum_upstash.federation.worker.options import WorkerOptions
from continuum_upstash.federation.worker.worker import Worker
from continuum_upstash.observe import JobEnded, subscribe, unsubscribe
from continuum_upstash.transports.rest import sync_token
from tests.integration.federation import job_handlers
from tests.waiting import wait_until

HANDLERS = "tests.integration.federation.job_handlers"


@pytest.fixture(autouse=True)
def handlers():
    job_handlers.done.clear()
    job_handlers.may_end.clear()
    yield
    job_handlers.may_end.set()


@pytest.fixture
def queue(federation, request):
    return Queue(request.node.name.partition("[")[0][-60:])


@pytest.fixture
def ended():
    records = []

    def observer(record):
        if isinstance(record, JobEnded):
            records.append(record)

    subscribe(observer)
    yield records
    unsubscribe(observer)


def make_worker(queue, handler, **options):
    handlers = find_handlers([queue.name], f"{HANDLERS}.{handler}")
    return Worker(WorkerOptions(handlers=handlers, **options))


@pytest.fixture
def start():
    """Start workers in threads; they stop after the test."""
    workers = []

    def start(worker):
        thread = threading.Thread(target=worker.run)
        thread.start()
        workers.append((worker, thread))
        return worker

    yield start
    job_handlers.may_end.set()
    for worker, _ in workers:
        worker.stop()
    for _, thread in workers:
        thread.join(20)
        assert not thread.is_alive()


@pytest.mark.parametrize("handler", ["record", "arecord"])
@pytest.mark.parametrize("concurrency", [1, 3])
def test_once_runs_what_is_ready_in_order(queue, handler, concurrency, ended):
    queue.enqueue_many(range(200))
    queue.enqueue("later", delay=60)
    worker = make_worker(queue, handler, once=True, concurrency=concurrency)
    assert worker.run() == {"done": 200}
    assert sorted(job_handlers.done) == list(range(200))
    if concurrency == 1:
        assert job_handlers.done == list(range(200))
    assert queue.size() == (0, 1, 0, False)
    assert {(each.queue, each.outcome) for each in ended} == {(queue.name, "done")}


@pytest.mark.parametrize("handler", ["record", "arecord"])
def test_a_connection_that_cannot_be_closed_ends_neither_job_nor_worker(
    queue, handler, monkeypatch, caplog
):
    def fail():
        raise RuntimeError("the driver is broken")

    monkeypatch.setattr(executors, "close_old_connections", fail)
    queue.enqueue_many(range(3))
    assert make_worker(queue, handler, once=True).run() == {"done": 3}
    assert "could not be closed: RuntimeError('the driver is broken')" in caplog.text


def test_short_jobs_cost_less_than_one_command_each(queue, emulator):
    queue.enqueue_many(range(500))
    worker = make_worker(queue, "record", once=True)
    with emulator.count() as usage:
        assert worker.run()["done"] == 500
    assert usage.billed < 150


def test_a_message_wakes_an_idle_worker_and_idling_costs_nothing(queue, start, emulator):
    worker = start(make_worker(queue, "record"))
    wait_until(lambda: worker.read_status()["has_messages"])
    queue.enqueue("first")
    wait_until(lambda: job_handlers.done == ["first"])
    wait_until(lambda: worker.outcomes["done"] == 1)
    wait_until(lambda: not worker._lanes[0].is_ready)
    with emulator.count() as idle:
        worker._step()
    assert idle.billed == 0
    queue.enqueue_many(["second", "third"])
    wait_until(lambda: job_handlers.done == ["first", "second", "third"])


def test_a_delayed_job_is_run_when_it_is_due(queue, start):
    worker = start(make_worker(queue, "record"))
    wait_until(lambda: worker.read_status()["has_messages"])
    queue.enqueue("later", delay=0.2)
    wait_until(lambda: job_handlers.done == ["later"], seconds=5)


@pytest.mark.parametrize("handler", ["fail_always", "exit_always"])
def test_a_job_that_fails_is_retried_and_then_a_dead_letter(queue, handler, ended, caplog):
    queue.enqueue("luck", max_attempts=1)
    queue.enqueue("hope", max_attempts=2)
    assert make_worker(queue, handler, once=True).run() == {"dead": 1, "retried": 1}
    (dead,) = queue.dead()
    assert dead.reason in {"ValueError: no luck at all", "SystemExit: luck"}
    assert queue.size().waiting == 1
    assert "failed" in caplog.text


def test_a_handler_may_end_its_job_itself(queue):
    queue.enqueue("job")
    assert make_worker(queue, "fail_at_once", once=True).run() == {"dead": 1}
    assert queue.dead()[0].reason == "never again"


def test_jobs_of_an_earlier_queue_are_run_first(federation):
    queues = [Queue(name) for name in ("first", "second")]
    for queue in reversed(queues):
        queue.enqueue_many([queue.name] * 3)
    handlers = find_handlers(["first", "second"], f"{HANDLERS}.record")
    Worker(WorkerOptions(handlers=handlers, once=True)).run()
    assert job_handlers.done == ["first"] * 3 + ["second"] * 3


def test_stopping_waits_for_what_runs_and_gives_back_the_rest(queue, start):
    queue.enqueue_many(range(5))
    worker = start(make_worker(queue, "wait", concurrency=2))
    wait_until(lambda: len(job_handlers.done) == 2)
    worker.stop()
    job_handlers.may_end.set()
    wait_until(lambda: worker.outcomes["done"] == 2)
    wait_until(lambda: queue.size() == (3, 0, 0, False))
    assert [job.attempts for job in queue.reserve(3)] == [1, 1, 1]


def test_what_does_not_end_within_the_grace_is_given_back(queue, start, caplog):
    queue.enqueue("slow")
    worker = start(make_worker(queue, "wait", grace=0.05))
    wait_until(lambda: job_handlers.done == ["slow"])
    worker.stop()
    wait_until(lambda: worker.outcomes["released"] == 1)
    assert queue.size().ready == 1
    assert "did not end within 0.05 s" in caplog.text


def test_the_heartbeat_extends_the_leases_of_running_jobs(queue, start):
    queue.enqueue("slow")
    worker = start(make_worker(queue, "wait", visibility=0.4))
    wait_until(lambda: job_handlers.done == ["slow"])
    first = next(iter(worker._held.values())).job.lease_end
    wait_until(lambda: next(iter(worker._held.values())).job.lease_end > first + 0.4)
    assert queue.reserve() == []
    job_handlers.may_end.set()
    wait_until(lambda: worker.outcomes["done"] == 1)


def test_a_lost_lease_is_reported(queue, start, caplog):
    queue.enqueue("slow")
    worker = start(make_worker(queue, "wait", visibility=0.4))
    wait_until(lambda: job_handlers.done == ["slow"])
    (held,) = worker._held.values()
    assert held.job.ack()  # as if another worker had it
    held.job.outcome = None
    wait_until(lambda: "its lease ended" in caplog.text)
    job_handlers.may_end.set()
    wait_until(lambda: worker.outcomes["lost"] == 1)


def test_an_outage_is_logged_once_and_survived(queue, start, emulator, caplog):
    caplog.set_level("INFO", "continuum_upstash")
    worker = start(make_worker(queue, "record"))
    wait_until(lambda: worker.read_status()["has_messages"])
    queue.enqueue("before")
    wait_until(lambda: job_handlers.done == ["before"])
    with emulator.fault("refuse", side="both"):
        for lane in worker._lanes:
            lane.wake()
        worker._changed.set()
        wait_until(lambda: worker.read_status()["state"] == "outage")
        wait_until(lambda: worker._backoff > 1)
    queue.database.database.failover.breaker.reset()
    queue.enqueue("after")
    wait_until(lambda: job_handlers.done == ["before", "after"])
    wait_until(lambda: worker.read_status()["state"] == "running")
    assert caplog.text.count("The database is unavailable") == 1
    assert "runs again" in caplog.text


def test_a_defect_does_not_end_the_worker(queue, monkeypatch, caplog):
    errors = [RuntimeError("defect")]
    reserve = Queue.reserve

    def fail_once(*args, **kwargs):
        if errors:
            raise errors.pop()
        return reserve(*args, **kwargs)

    monkeypatch.setattr(Queue, "reserve", fail_once)
    monkeypatch.setattr("random.uniform", lambda *_: 0.01)
    queue.enqueue("job")
    assert make_worker(queue, "record", once=True).run() == {"done": 1}
    assert "Unexpected error of the worker, trying again: RuntimeError: defect" in caplog.text


@pytest.mark.parametrize("transport", ["rest"])
def test_a_defect_at_the_end_does_not_keep_the_other_jobs_leased(queue, start, monkeypatch, caplog):
    def fail(*_):
        raise RuntimeError("defect")

    monkeypatch.setattr(Queue, "ack_many", fail)
    monkeypatch.setattr("continuum_upstash.federation.worker.worker._LAST_FLUSH_SECONDS", 0)
    queue.enqueue_many(["done", "slow"])
    worker = start(make_worker(queue, "record_or_wait", concurrency=2, grace=0.05))
    wait_until(lambda: len(job_handlers.done) == 2 and len(worker._outbox) == 1)
    worker.stop()
    wait_until(lambda: worker.outcomes["released"] == 1)
    assert queue.size().ready == 1
    assert "were not acknowledged: RuntimeError: defect" in caplog.text
    wait_until(lambda: "federation-heartbeat" not in {each.name for each in threading.enumerate()})


def test_the_limits_of_a_run(queue):
    queue.enqueue_many(range(10))
    worker = make_worker(queue, "record", max_jobs=3)
    assert worker.run() == {"done": 3}
    assert make_worker(queue, "record", max_seconds=0).run() == {}
    assert queue.size().ready == 7


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((["mail"],), "Queue 'mail' has no handler"),
        ((["mail"], "missing.module"), "cannot be imported"),
        ((["mail"], f"{HANDLERS}.not_callable"), "is not a function"),
    ],
    ids=["none", "missing", "wrong"],
)
def test_a_queue_without_a_handler(arguments, reason):
    with pytest.raises(ImproperlyConfiguredFederation, match=reason):
        find_handlers(*arguments)


def test_handlers_by_setting(settings):
    settings.CONTINUUM_FEDERATION = {
        "HANDLERS": {"mail": f"{HANDLERS}.record", "*": f"{HANDLERS}.arecord"}
    }
    found = find_handlers(["mail", "other"])
    assert found == {"mail": job_handlers.record, "other": job_handlers.arecord}
    settings.CONTINUUM_FEDERATION = {"HANDLERS": {"mail": 1}}
    with pytest.raises(ImproperlyConfiguredFederation, match="dict of dotted paths"):
        find_handlers(["mail"])


@pytest.mark.parametrize("handler", ["read_value", "aread_value"])
@pytest.mark.parametrize("has_tokens", [True, False], ids=["tokens", "no tokens"])
@pytest.mark.parametrize("transport", ["rest"])
def test_a_job_reads_what_its_producer_has_written(
    queue, emulator, monkeypatch, handler, has_tokens
):
    """A replica lags: with the sync tokens of the job it catches up, without them it is stale."""
    if not has_tokens:
        monkeypatch.setattr(Job, "apply_sync_tokens", lambda _: None)
    with emulator.fault("lag", seconds=30):
        with sync_token.override(sync_token.SyncTokens()):  # the producer is another process
            caches["federation"].set("key", "written before the enqueue")
            queue.enqueue("key")
        make_worker(queue, handler, once=True).run()
    assert job_handlers.done == ["written before the enqueue" if has_tokens else None]
