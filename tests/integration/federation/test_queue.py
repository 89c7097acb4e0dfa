"""Queues over REST and TCP, sync and async: what is delivered, in which order, at which price."""

from __future__ import annotations

import pytest

from continuum_upstash import observe
from continuum_upstash.errors import CapacityExceeded, Unavailable
from continuum_upstash.federation import Queue
from continuum_upstash.federation.errors import ImproperlyConfiguredFederation, PayloadRejected
from continuum_upstash.plans.billing import count_billed_in_batch
from continuum_upstash.plans.effects import Batch
from tests.integration.cache_entries import BACKEND, make_entry
from tests.waiting import wait_until


def reserve_payloads(queue, n=10):
    return [job.payload for job in queue.reserve(n)]


def test_the_price_of_a_job(queue, emulator):
    """The pinned price: 6 commands singly, 6 for a batch of 10 jobs, so 0.6 each."""
    queue.reserve()  # reads the time, and sends the text of the script
    with emulator.count() as single:
        queue.enqueue({"to": "a"})
        (job,) = queue.reserve()
        job.ack()
    assert single.billed == 6
    with emulator.count() as batch:
        queue.enqueue_many(range(10))
        jobs = queue.reserve(10)
        assert queue.ack_many(jobs) == 10
    assert batch.billed == 6
    with emulator.count() as idle:
        queue.next_due()
    assert idle.billed == 1
    with emulator.count() as empty:
        queue.reserve()
    assert empty.billed == 2


def test_the_statistics_know_the_price(queue, emulator):

    billed = []

    def observer(record):
        if isinstance(record, observe.CommandDetails):
            billed.append(count_billed_in_batch(record))

    queue.reserve()
    observe.subscribe(observer)
    try:
        with emulator.count() as usage:
            queue.enqueue(1, unique="name")
            queue.enqueue(1, unique="name")
            queue.enqueue(2, delay=0.001)
            jobs = queue.reserve(2)
            jobs[0].ack()
            queue.enqueue(3, unique="other")
            (job,) = queue.reserve()
            job.fail("reason")
            job.fail("reason")
            queue.requeue(queue.dead())
            (job,) = queue.reserve()
            job.release()
            queue.pause()
            queue.reserve()
    finally:
        observe.unsubscribe(observer)
    assert sum(billed) == usage.billed


def test_jobs_are_in_the_order_of_priority_and_then_of_the_enqueues(queue):
    queue.enqueue_many(["a1", "a2"])
    queue.enqueue("high", priority=100)
    queue.enqueue("low", priority=-100)
    queue.enqueue("a3")
    assert reserve_payloads(queue, 2) == ["high", "a1"]
    assert reserve_payloads(queue) == ["a2", "a3", "low"]


def test_a_delayed_job_is_due_at_its_time_and_keeps_its_priority(queue):
    queue.enqueue("now")
    queue.enqueue("later", delay=0.3, priority=5)
    jobs = queue.reserve(2)
    assert [job.payload for job in jobs] == ["now"]
    assert 0 < jobs.next_due <= 0.3
    queue.enqueue("other")
    wait_until(lambda: queue.size().ready == 2)
    assert reserve_payloads(queue, 2) == ["later", "other"]


def test_a_lost_lease_is_another_attempt_and_a_late_ack_changes_nothing(queue):
    queue.enqueue("job")
    (first,) = queue.reserve(visibility=0.05)
    wait_until(lambda: queue.size().ready)
    (second,) = queue.reserve()
    assert (second.payload, second.attempts) == ("job", 2)
    assert first.ack() is False
    assert first.extend() is False
    assert first.retry() is False
    assert first.fail("late") is False
    assert first.release() is False
    assert second.extend(10) is True
    assert second.ack() is True
    assert queue.size() == (0, 0, 0, False)


def test_a_reserve_does_not_change_when_a_delayed_job_is_due(queue):
    queue.enqueue("later", delay=60)
    for _ in range(2):
        jobs = queue.reserve(5)
        assert jobs == []
        assert 50 < jobs.next_due <= 60


def test_due_jobs_behind_others_are_found_and_keep_their_place(queue):
    """Every second a reserve looks for them; here the second is over."""
    queue.enqueue("first")
    queue.reserve(visibility=0.01)
    queue.enqueue("delayed", delay=0.01, priority=1)
    queue.enqueue_many(["second", "third"])
    wait_until(lambda: queue.size().ready == 4)
    queue.queue.plans._state.next_checks[queue.name] = 0
    assert reserve_payloads(queue, 1) == ["delayed"]
    assert queue.size() == (3, 1, 0, False)
    assert reserve_payloads(queue, 3) == ["first", "second", "third"]


def test_an_ended_lease_that_no_worker_has_taken_can_still_be_acknowledged(queue):
    queue.enqueue("job")
    (job,) = queue.reserve(visibility=0.01)
    wait_until(lambda: queue.size().ready)
    assert job.ack() is True
    assert queue.size().ready == 0


def test_a_retry_is_in_front_of_later_jobs(queue):
    queue.enqueue_many(["first", "second"])
    (job,) = queue.reserve()
    assert job.retry(0)
    assert reserve_payloads(queue) == ["first", "second"]


def test_release_gives_a_job_back_without_counting_the_attempt(queue):
    queue.enqueue("job")
    (job,) = queue.reserve()
    assert job.release()
    (job,) = queue.reserve()
    assert job.attempts == 1


def test_unique_jobs(queue):
    first = queue.enqueue(1, unique="report")
    second = queue.enqueue(2, unique="report")
    assert second == (first.id, False)
    assert queue.enqueue(3, unique="other").is_new
    jobs = queue.reserve(10)
    assert [job.payload for job in jobs] == [1, 3]
    assert not queue.enqueue(4, unique="report").is_new  # it is running
    assert jobs[0].ack()
    assert queue.enqueue(5, unique="report").is_new
    jobs[1].fail("reason")
    assert queue.enqueue(6, unique="other").is_new


def test_a_unique_name_is_free_after_the_lifetime(queue):
    queue.enqueue(1, unique="name", lifetime=0.001)
    wait_until(lambda: queue.enqueue(2, unique="name").is_new)
    assert queue.size().ready == 2


def test_a_failed_job_is_a_dead_letter_with_its_reason(queue):
    queue.enqueue({"to": "a"}, priority=3)
    (job,) = queue.reserve()
    assert job.fail('no "such"\naddress')
    (dead,) = queue.dead()
    assert (dead.id, dead.payload, dead.attempts, dead.priority) == (job.id, {"to": "a"}, 1, 3)
    assert dead.reason == 'no "such"\naddress'
    assert queue.requeue([dead]) == 1
    assert queue.requeue([dead]) == 0
    (job,) = queue.reserve()
    assert (job.id, job.attempts) == (dead.id, 1)
    job.fail("again")
    assert queue.discard(queue.dead()) == 1
    assert queue.size() == (0, 0, 0, False)


def test_a_job_without_attempts_left_is_a_dead_letter(queue):
    queue.enqueue("lost", max_attempts=1, unique="name")
    queue.enqueue("retried", max_attempts=1)
    lost, retried = queue.reserve(2, visibility=0.05)
    assert lost.is_last_attempt
    assert retried.retry(reason="no more")
    wait_until(lambda: queue.size().ready)
    jobs = queue.reserve()
    assert (jobs, jobs.dead) == ([], 1)
    assert queue.enqueue("again", unique="name").is_new
    reasons = {job.payload: job.reason for job in queue.dead()}
    assert reasons["retried"] == "no more"
    assert reasons["lost"].startswith("lost: the worker of the last attempt")


def test_an_expired_job_is_a_dead_letter_and_told(queue, caplog):
    queue.enqueue("old", lifetime=0.001)
    queue.enqueue("new")
    jobs = []
    wait_until(lambda: jobs.append(queue.reserve(2)) or jobs[-1].dead)
    assert [job.payload for job in jobs[0]] == ["new"]
    (dead,) = queue.dead()
    assert (dead.payload, dead.reason.partition(":")[0]) == ("old", "expired")
    assert "has new dead letters" in caplog.text


def test_what_is_no_job_is_a_dead_letter(queue, emulator, transport):
    database = Queue("x").database.database
    key = f"fed:queue:{{{queue.name}}}"
    names = ["no job", "zz 0 0 0 0 - - -\n", "1 0 9999999 1 1 - - -\nx", "0 1e3 0 1 0 - - -\n1"]

    database.send(Batch([("ZADD", key, *(part for name in names for part in (-1000, name)))]))
    queue.enqueue("job")
    assert reserve_payloads(queue) == ["job"]
    dead = queue.dead()
    assert len(dead) == len(names)
    assert all(each.reason.startswith("malformed") for each in dead)
    assert queue.requeue(dead) == 0
    assert queue.discard(dead) == len(names)


def test_pause_and_resume(queue):
    queue.enqueue("job")
    queue.pause()
    jobs = queue.reserve()
    assert (jobs, jobs.is_paused, queue.next_due()) == ([], True, None)
    assert queue.size() == (1, 0, 0, True)
    queue.resume()
    assert reserve_payloads(queue) == ["job"]


def test_size_and_oldest(queue):
    assert (queue.oldest(), queue.size()) == (None, (0, 0, 0, False))
    queue.enqueue("first", priority=-1)
    wait_until(lambda: queue.oldest() > 0.01)
    queue.enqueue("second", priority=1)
    queue.enqueue("third", delay=60)
    assert queue.oldest() > 0.01
    assert queue.size() == (2, 1, 0, False)


def test_a_full_database_raises_an_error_and_stores_nothing(queue, emulator):
    queue.enqueue("job")
    with emulator.fault("capacity", side="both"), pytest.raises(CapacityExceeded):
        queue.enqueue("job")
    assert queue.size() == (1, 0, 0, False)


def test_an_outage_raises_an_error(queue, emulator):
    queue.enqueue("job")
    with emulator.fault("refuse", side="both"):
        for _ in range(5):
            with pytest.raises(Unavailable):
                queue.enqueue("job")
        with pytest.raises(Unavailable):
            queue.reserve()


def test_a_payload_that_is_too_large_is_rejected_before_it_is_sent(queue, emulator):
    queue.size()
    with emulator.count() as usage:
        with pytest.raises(PayloadRejected):
            queue.enqueue("x" * 10_000_000)
        with pytest.raises(PayloadRejected):
            queue.enqueue_many([1, "x" * 10_000_000])
    assert usage.billed == 0


def test_a_hundred_jobs_of_the_largest_size_are_reserved_at_once(queue):
    queue.enqueue_many(["x" * 65_000] * 100)
    assert len(queue.reserve(100)) == 100


@pytest.mark.parametrize(
    "arguments",
    [
        {"priority": 101},
        {"priority": 1.5},
        {"max_attempts": 0},
        {"delay": -1},
        {"delay": float("nan")},
        {"lifetime": 0},
    ],
    ids=str,
)
def test_invalid_arguments(arguments):
    with pytest.raises(ValueError, match="must be"):
        Queue("mail").enqueue(1, **arguments)


@pytest.mark.parametrize("name", ["", "a b", "a}", "é", "x" * 65, "a:b"])
def test_invalid_names(name):
    with pytest.raises(ValueError, match="Invalid queue name"):
        Queue(name)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (None, "is not in CACHES"),
        ({"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}, "is a LocMemCache"),
        (make_entry(None, "local"), "has no database"),
    ],
    ids=["missing", "locmem", "local"],
)
def test_an_alias_that_cannot_have_queues(settings, entry, reason):
    default = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    settings.CACHES = {**default, **({"federation": entry} if entry else {})}
    with pytest.raises(ImproperlyConfiguredFederation, match=reason):
        Queue("mail").enqueue(1)


def test_an_alias_that_evicts_is_refused_and_nothing_is_stored(settings, valkey):
    settings.CACHES = {"federation": {"BACKEND": BACKEND, "LOCATION": valkey.url}}
    valkey.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    with pytest.raises(ImproperlyConfiguredFederation, match="evicts keys"):
        Queue("mail").enqueue(1)
    assert valkey.call("DBSIZE") == 0
    valkey.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
    assert Queue("mail").enqueue(1).is_new
