"""Many large jobs are sent in several requests: the service refuses one of more than 10 MB."""

from __future__ import annotations

from continuum_upstash.federation.queue.members import DeadLetter
from continuum_upstash.federation.queue.plans import JobOptions
from tests.unit.federation.queue_plans import NOW, make_member, make_plans
from tests.unit.plan_runner import run_plan

MAX_REQUEST = 5 * 1024 * 1024  # half of what the service accepts: JSON escapes quotes
TEXT = "語" * 21_000  # 63,000 bytes


def make_large(count):
    return [make_member(id=f"{n:024x}", payload=f'"{TEXT}"') for n in range(count)]


def assert_requests_are_small(batches):
    for command, *_ in batches:
        assert sum(len(part.encode()) for part in command if type(part) is str) < MAX_REQUEST


def test_an_enqueue_is_divided_by_bytes_not_by_characters():
    plan = make_plans().enqueue([TEXT] * 160, JobOptions(), "")
    ids, batches = run_plan(plan, [1], [1], [1, 0])
    assert_requests_are_small(batches)
    assert (len(ids), [len(batch) for batch in batches]) == (160, [1, 1, 2])


def test_acknowledgements_of_large_jobs_are_divided():
    removed, batches = run_plan(make_plans().acknowledge(make_large(100)), [66], [34])
    assert_requests_are_small(batches)
    assert removed == 100


def test_extensions_of_large_jobs_are_divided():
    members = make_large(100)
    (end, held), batches = run_plan(make_plans().extend(members, 5), [66], [33], [[None] * 34])
    assert_requests_are_small(batches)
    assert (end, held) == (NOW + 5000, [True] * 66 + [False] * 34)


def test_releases_of_large_jobs_are_divided_and_wake_workers_once():
    released, batches = run_plan(make_plans().release(make_large(50)), [33], [17, 0])
    assert_requests_are_small(batches)
    assert released == 50


def test_dead_letters_that_are_large_are_requeued_and_discarded_in_parts():
    letters = [member.make_dead_letter("wrong") for member in make_large(100)]
    requeued, batches = run_plan(make_plans().requeue(letters, 60), [33], [33], [33], [1, 0])
    assert_requests_are_small(batches)
    assert requeued == 100
    discarded, batches = run_plan(make_plans().discard(letters), [66], [34])
    assert_requests_are_small(batches)
    assert discarded == 100


def test_a_reason_is_cut_so_that_dead_letters_can_be_read():
    letter = DeadLetter.parse(make_member().make_dead_letter("x" * 10_000_000))
    assert letter.reason == "x" * 1000
