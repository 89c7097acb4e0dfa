"""The exact commands of a queue's plans, which are its bill."""

from __future__ import annotations

import pytest

from continuum_upstash.errors import ReplyError, Unavailable
from continuum_upstash.federation.queue.members import Member
from continuum_upstash.federation.queue.plans import JobOptions, compute_backoff
from continuum_upstash.federation.queue.scripts import ACKNOWLEDGE_UNIQUE, FAIL, REPLACE, RESERVE
from continuum_upstash.protocol import ScriptHash
from tests.unit.federation.queue_plans import NOW, make_member, make_plans
from tests.unit.plan_runner import run_plan

JOBS = "fed:queue:{mail}"
WAKE = ("PUBLISH", f"{JOBS}:wake", "1")
KEYS = (JOBS, f"{JOBS}:dead", f"{JOBS}:unique")


def test_enqueue_is_one_command_and_a_message():
    (job_id,), ((zadd, wake),) = run_plan(
        make_plans().enqueue([{"to": "a"}], JobOptions(priority=3), "x=1"), [1, 0]
    )
    assert zadd[:3] == ("ZADD", JOBS, -1003)
    member = Member.parse(zadd[3])
    assert (member.id, member.priority, member.attempts, member.max_attempts) == (job_id, 3, 0, 5)
    assert (member.tokens, member.payload) == ("x=1", '{"to":"a"}')
    assert member.expires == NOW + 86_400_000
    assert int(job_id[:12], 16) == NOW
    assert wake == WAKE


def test_enqueue_without_a_message_is_one_command():
    _, (batch,) = run_plan(make_plans(wake=False).enqueue([1], JobOptions(), ""), [1])
    assert len(batch) == 1


def test_a_delayed_job_is_due_at_its_time_and_expires_from_then():
    options = JobOptions(delay=90, lifetime=10)
    _, ((zadd, _),) = run_plan(make_plans().enqueue([1], options, ""), [1, 0])
    assert zadd[2] == NOW + 90_000
    assert Member.parse(zadd[3]).expires == NOW + 100_000


def test_many_jobs_are_split_and_wake_workers_once():
    ids, batches = run_plan(make_plans().enqueue(range(1001), JobOptions(), ""), [1], [1], [1, 0])
    assert [len(batch) for batch in batches] == [1, 1, 2]
    assert [len(batch[0]) for batch in batches] == [2 + 1000, 2 + 1000, 2 + 2]
    assert ids == sorted(ids)
    assert len(set(ids)) == 1001


def test_many_large_jobs_are_split_by_size():
    payloads = ["x" * 60_000] * 80
    _, batches = run_plan(make_plans().enqueue(payloads, JobOptions(), ""), [1], [1, 0])
    assert len(batches[0][0]) < 2 + 2 * 80


def test_no_jobs_send_nothing():
    assert run_plan(make_plans().enqueue([], JobOptions(), "")) == ([], [])


def test_the_keys_contain_the_prefix():
    plans = make_plans(prefix="shop")
    assert plans.keys == (
        "fed:queue:{shop:mail}",
        "fed:queue:{shop:mail}:dead",
        "fed:queue:{shop:mail}:unique",
        "fed:queue:{shop:mail}:wake",
    )


def test_reserve_is_one_script_by_its_hash():
    member = make_member(payload='{"a":[1]}')
    reply = [0, NOW + 1500, 0, 2, member.text.encode()]
    found, ((command,),) = run_plan(make_plans().reserve(10, 30, "token"), [reply])
    assert command == ("EVALSHA", ScriptHash(RESERVE), 3, *KEYS, NOW, NOW + 30_000, "token", 10, 0)
    assert found.jobs == [(member, {"a": [1]})]
    assert (found.next_due, found.lease_end, found.is_paused) == (1.5, NOW + 30_000, False)


def test_reserve_sends_the_script_that_the_server_does_not_know():
    error = ReplyError("NOSCRIPT No matching script. Please use EVAL.")
    found, (_, (command,)) = run_plan(
        make_plans().reserve(1, 30, "token"), [error], [[0, -1, 0, 1]]
    )
    assert command[:2] == ("EVAL", RESERVE)
    assert (found.jobs, found.next_due) == ([], None)


def test_reserve_reads_the_time_of_the_database_once():
    plans = make_plans(synced=False)
    _, batches = run_plan(plans.reserve(1, 30, "a"), [[b"1800000000", b"0"]], [[0, -1, 0, 1]])
    assert batches[0] == [("TIME",)]
    assert abs(batches[1][0][6] - NOW) < 1000
    _, batches = run_plan(plans.reserve(1, 30, "b"), [[0, -1, 0, 1]])
    assert len(batches) == 1


@pytest.mark.parametrize(
    "reply", [b"OK", 1, None, [], [0, 1, 2], [b"0", 1, 2, 3], [0, -1, 0, 1, b"a", b"b"]]
)
def test_an_unexpected_reply_is_an_outage(reply):
    with pytest.raises(Unavailable, match="unexpected reply"):
        run_plan(make_plans().reserve(1, 30, "token"), [reply])


@pytest.mark.parametrize("data", [b"\xff", b"", b"x\n", 7, [b"x"]])
def test_members_that_are_no_jobs_are_skipped(data):
    found, _ = run_plan(make_plans().reserve(1, 30, "token"), [[0, 0, 0, 2, data]])
    assert found.jobs == []


def test_an_undecodable_payload_is_a_dead_letter():
    member = make_member(payload="~dGFn~" + "QUFB")
    letter = make_member(payload="~" + "A" * 22 + "==~QUFB")
    reply = [0, 0, 0, 2, member.text.encode(), letter.text.encode()]
    found, (_, (fail,)) = run_plan(make_plans().reserve(2, 30, "token"), [reply], [1])
    assert fail[:2] == ("EVALSHA", ScriptHash(FAIL))
    assert "undecodable payload" in fail[8]
    assert [payload for _, payload in found.jobs] == ["~dGFn~QUFB"]  # just text


def test_ack_is_one_command_for_any_number_of_jobs():
    members = [make_member(id=f"{n:024x}") for n in range(3)]
    removed, (((*command,),),) = run_plan(make_plans().acknowledge(members), [2])
    assert command == ["ZREM", JOBS, *(member.text for member in members)]
    assert removed == 2


def test_ack_of_a_unique_job_releases_the_name():
    member = make_member(unique="a" * 32)
    removed, ((command,),) = run_plan(make_plans().acknowledge([member]), [1])
    assert command[1:] == (
        *(ScriptHash(ACKNOWLEDGE_UNIQUE), 2, JOBS, f"{JOBS}:unique"),
        *(member.text, "a" * 32, member.id),
    )
    assert removed == 1


def test_retry_keeps_the_place_within_the_priority():
    member = make_member(priority=-7)
    held, ((zadd, wake),) = run_plan(make_plans().retry(member, 0), [1, 0])
    assert zadd == ("ZADD", JOBS, "XX", "CH", -993, member.text)
    assert (held, wake) == (True, WAKE)
    held, ((zadd,),) = run_plan(make_plans().retry(member, 2), [0])
    assert zadd[4] == NOW + 2000
    assert not held


def test_extend_is_one_command_unless_a_lease_is_lost():
    members = [make_member(id=f"{n:024x}") for n in range(2)]
    (end, held), (((*zadd,),),) = run_plan(make_plans().extend(members, 5), [2])
    pairs = [part for member in members for part in (NOW + 5000, member.text)]
    assert zadd == ["ZADD", JOBS, "XX", "CH", *pairs]
    assert (end, held) == (NOW + 5000, [True, True])
    (_, held), (_, (scores,)) = run_plan(make_plans().extend(members, 5), [1], [[None, b"1"]])
    assert scores[0] == "ZMSCORE"
    assert held == [False, True]


def test_release_does_not_count_the_attempt():
    member = make_member(attempts=3)
    _, ((command, wake),) = run_plan(make_plans().release([member]), [1, 0])
    assert command[1:5] == (ScriptHash(REPLACE), 2, JOBS, JOBS)
    assert command[5:7] == (member.text, -1000)
    assert Member.parse(command[7]) == member._replace(attempts=2, lease="-")
    assert wake == WAKE


def test_a_look_at_the_queue_is_one_command():
    plans = make_plans()
    due, (((*command,),),) = run_plan(plans.read_next_due(), [[b"member", b"%d" % (NOW + 500)]])
    assert command == ["ZRANGE", JOBS, 0, 0, "WITHSCORES"]
    assert due == 0.5
    assert run_plan(plans.read_next_due(), [[b"member", b"-1000"]])[0] == 0
    assert run_plan(plans.read_next_due(), [[]])[0] is None
    assert run_plan(plans.read_next_due(), [[b"!paused", b"-1e15"]])[0] is None


def test_backoff_grows_with_jitter_and_ends_at_an_hour():
    for attempts, longest in ((1, 5), (2, 10), (5, 80), (100, 3600)):
        values = [compute_backoff(attempts) for _ in range(50)]
        assert all(longest / 2 <= value <= longest for value in values)
        assert len(set(values)) > 1
