from __future__ import annotations

import pytest

from continuum_upstash.codec.codec import Codec
from continuum_upstash.codec.envelope import Envelope, pack_envelope
from continuum_upstash.errors import CapacityExceeded, ReplyError
from continuum_upstash.observe import ValueDiscarded, subscribe, unsubscribe
from continuum_upstash.plans import keyvalue
from continuum_upstash.plans.counters import INCR_EXISTING
from continuum_upstash.plans.keyvalue import KeyValuePlans
from continuum_upstash.plans.runner import Runner, run
from continuum_upstash.transports.service_errors import make_reply_error
from tests.unit.plan_runner import codec, run_plan

plans = KeyValuePlans(codec, alias="test")
HELLO = codec.encode("hello")
WRONGTYPE = make_reply_error("WRONGTYPE Operation against a key holding the wrong kind of value")
TOO_LARGE = make_reply_error("ERR max request size exceeded. Limit: 10 bytes, Actual: 11 bytes")


class DiscardedReasons(list):
    """The reasons, and the records that they are from."""

    def __init__(self):
        super().__init__()
        self.records = []


@pytest.fixture
def discarded():
    reasons = DiscardedReasons()

    def observer(record):
        if isinstance(record, ValueDiscarded):
            reasons.append(record.reason)
            reasons.records.append(record)

    subscribe(observer)
    yield reasons
    unsubscribe(observer)


@pytest.mark.parametrize(
    ("plan", "replies", "result", "commands"),
    [
        (lambda: plans.get("k"), [[HELLO]], "hello", [[("GET", "k")]]),
        (lambda: plans.get("k", 5), [[None]], 5, [[("GET", "k")]]),
        (lambda: plans.set("k", "hello", None), [[b"OK"]], True, [[("SET", "k", HELLO)]]),
        (lambda: plans.set("k", 7, 500), [[b"OK"]], True, [[("SET", "k", b"7", "PX", 500)]]),
        (
            lambda: plans.set("k", 7, 500, "NX"),
            [[None]],
            False,
            [[("SET", "k", b"7", "PX", 500, "NX")]],
        ),
        (lambda: plans.set("k", 7, 0), [[1]], True, [[("DEL", "k")]]),
        (lambda: plans.set("k", 7, 0, "NX"), [[1]], False, [[("EXISTS", "k")]]),
        (lambda: plans.set("k", 7, 0, "XX"), [[0]], False, [[("DEL", "k")]]),
        (lambda: plans.incr("k", 2), [[3]], 3, [[("EVAL", INCR_EXISTING, 1, "k", 2)]]),
        (lambda: plans.incr("k", 2), [[None]], None, [[("EVAL", INCR_EXISTING, 1, "k", 2)]]),
        (lambda: plans.rename("a", "b"), [[b"OK"]], True, [[("RENAME", "a", "b")]]),
        (
            lambda: plans.rename("a", "b"),
            [[ReplyError("ERR no such key")]],
            False,
            [[("RENAME", "a", "b")]],
        ),
        (lambda: plans.delete("k"), [[1]], True, [[("DEL", "k")]]),
        (lambda: plans.touch("k", None), [[1]], True, [[("PERSIST", "k")]]),
        (
            lambda: plans.touch("k", None),
            [[0], [1]],
            True,
            [[("PERSIST", "k")], [("EXISTS", "k")]],
        ),
        (lambda: plans.touch("k", 0), [[1]], True, [[("DEL", "k")]]),
        (lambda: plans.touch("k", 250), [[0]], False, [[("PEXPIRE", "k", 250)]]),
        (lambda: plans.get_ttl("k", "TTL"), [[-1]], None, [[("TTL", "k")]]),
        (lambda: plans.get_ttl("k", "TTL"), [[-2]], 0, [[("TTL", "k")]]),
        (lambda: plans.get_many([], []), [], {}, []),
        (
            lambda: plans.get_many(["a", "b"], ["a", "b"]),
            [[[HELLO, None]]],
            {"a": "hello"},
            [[("MGET", "a", "b")]],
        ),
        (lambda: plans.delete_many([]), [], 0, []),
        (lambda: plans.delete_many(["a", "b"]), [[2]], 2, [[("UNLINK", "a", "b")]]),
        (lambda: plans.set_many({}, 100), [], [], []),
        (
            lambda: plans.set_many({"a": 1, "b": 2}, None),
            [[b"OK"]],
            [],
            [[("MSET", "a", b"1", "b", b"2")]],
        ),
        (
            lambda: plans.set_many({"a": 1, "b": 2}, 9),
            [[b"OK", b"OK"]],
            [],
            [[("SET", "a", b"1", "PX", 9), ("SET", "b", b"2", "PX", 9)]],
        ),
        (lambda: plans.set_many({"a": 1}, 0), [[1]], [], [[("UNLINK", "a")]]),
    ],
)
def test_the_commands_and_the_result_of_an_operation(plan, replies, result, commands):
    assert run_plan(plan(), *replies) == (result, commands)


def test_get_or_set_of_an_existing_value_takes_one_command():
    result, sent = run_plan(plans.get_or_set("k", lambda: 1 / 0, None), [HELLO])
    assert (result, sent) == ("hello", [[("GET", "k")]])


def test_get_or_set_of_a_missing_value_takes_two_commands():
    result, sent = run_plan(plans.get_or_set("k", lambda: "hello", 50), [None], [b"OK"])
    assert result == "hello"
    assert sent == [[("GET", "k")], [("SET", "k", HELLO, "PX", 50, "NX")]]


def test_get_or_set_returns_the_value_that_another_client_set_first():
    winners = codec.encode("theirs")
    result, sent = run_plan(plans.get_or_set("k", "mine", None), [None], [None], [winners])
    assert result == "theirs"
    assert [command[0] for (command,) in sent] == ["GET", "SET", "GET"]


def test_get_or_set_returns_a_value_in_an_envelope_that_another_client_set_first(discarded):
    winners = pack_envelope(Envelope(codec.encode("theirs")))
    result, _ = run_plan(plans.get_or_set("k", "mine", None), [None], [None], [winners])
    assert (result, discarded) == ("theirs", [])


def test_get_or_set_with_an_expired_ttl_stores_nothing():
    assert run_plan(plans.get_or_set("k", 5, 0), [None]) == (5, [[("GET", "k")]])


def test_a_value_that_cannot_be_decoded_is_a_miss_and_is_replaced(discarded):
    broken = b"\x01no zstd frame"
    assert run_plan(plans.get("k", "default"), [broken])[0] == "default"
    result, sent = run_plan(plans.get_or_set("k", 5, None), [broken], [b"OK"])
    assert (result, sent[1]) == (5, [("SET", "k", b"5")])
    assert len(discarded) == 2
    assert "zstd" not in "".join(discarded)


class RaisesOnLoad:
    def __setstate__(self, state):
        raise RuntimeError

    def __init__(self):
        self.state = 1


def test_a_pickle_whose_class_raises_on_load_is_a_miss(discarded):
    pickling = Codec(pickle_keys=(b"a key",))
    signed = KeyValuePlans(pickling, alias="test")
    stored = pickling.encode(RaisesOnLoad())
    assert run_plan(signed.get("k", "default"), [stored])[0] == "default"
    assert run_plan(signed.get_many(["a", "b"], ["a", "b"]), [[stored, b"5"]])[0] == {"b": 5}
    result, sent = run_plan(signed.get_or_set("k", 5, None), [stored], [b"OK"])
    assert (result, sent[1]) == (5, [("SET", "k", b"5")])
    assert discarded == [discarded[0]] * 3
    assert "UnpickleError (RuntimeError)" in discarded[0]


def test_get_or_set_returns_a_computed_value_that_can_be_stored_but_not_loaded(discarded):
    pickling = Codec(pickle_keys=(b"a key",))
    signed, value = KeyValuePlans(pickling, alias="test"), RaisesOnLoad()
    plan = signed.get_or_set("k", lambda: value, None)
    result, _ = run_plan(plan, [None], [b"OK"], encode=pickling.encode)
    assert result is value
    assert len(discarded) == 1


def test_a_value_over_the_limit_is_not_sent_and_deletes_the_old_value(discarded):
    small = KeyValuePlans(codec, alias="test", max_value_bytes=10)
    assert run_plan(small.set("k", "x" * 20, None), [1]) == (False, [[("DEL", "k")]])
    assert run_plan(small.set("k", "x" * 20, None, "NX")) == (False, [])
    result, sent = run_plan(small.set_many({"a": 1, "b": "x" * 20}, 5), [1], [b"OK"])
    assert result == ["b"]
    assert sent == [[("UNLINK", "b")], [("SET", "a", b"1", "PX", 5)]]
    assert all("MAX_VALUE_BYTES" in reason for reason in discarded)
    assert len(discarded) == 3


def test_get_many_splits_when_the_reply_exceeds_the_request_limit():
    result, sent = run_plan(
        plans.get_many(["a", "b", "c"], ["a", "b", "c"]),
        [TOO_LARGE],
        [[b"1"]],
        [TOO_LARGE],
        [[b"2"]],
        [[b"3"]],
    )
    assert result == {"a": 1, "b": 2, "c": 3}
    assert [command for (command,) in sent][1:] == [
        ("MGET", "a"),
        ("MGET", "b", "c"),
        ("MGET", "b"),
        ("MGET", "c"),
    ]


def test_a_stored_value_that_is_too_large_to_be_read_is_a_miss(discarded):
    assert run_plan(plans.get("a", 5), [TOO_LARGE])[0] == 5
    assert run_plan(plans.get_many(["a"], ["a"]), [TOO_LARGE])[0] == {}
    result, sent = run_plan(plans.get_or_set("a", 7, None), [TOO_LARGE], [b"OK"])
    assert (result, sent) == (7, [[("GET", "a")], [("SET", "a", b"7")]])
    assert [(each.kind, each.reason[:27]) for each in discarded.records] == [
        ("too_large", "a stored value was not read")
    ] * 3


FULL = make_reply_error("ERR DB capacity quota exceeded. Threshold: 1 bytes, Usage: 2 bytes.")
INCR = ("EVAL", INCR_EXISTING, 1, "k", 2)
UNSTORED = [
    (lambda plans: plans.set("k", 1, None), ("SET", "k", b"1"), ("DEL", "k"), 1, False),
    (
        lambda plans: plans.set("k", 1, 5, "XX"),
        ("SET", "k", b"1", "PX", 5, "XX"),
        ("DEL", "k"),
        1,
        False,
    ),
    (lambda plans: plans.set("k", 1, None, "NX"), ("SET", "k", b"1", "NX"), None, 0, False),
    (lambda plans: plans.set_many({"k": 1}, None), ("SET", "k", b"1"), ("DEL", "k"), 1, ["k"]),
    (lambda plans: plans.incr("k", 2), INCR, ("DEL", "k"), 1, None),
    (lambda plans: plans.incr_or_create("k", 2), ("INCRBY", "k", 2), ("DEL", "k"), 1, 2),
    (lambda plans: plans.touch("k", 5), ("PEXPIRE", "k", 5), ("DEL", "k"), 1, False),
    (lambda plans: plans.touch("k", None), ("PERSIST", "k"), ("DEL", "k"), 1, False),
    (lambda plans: plans.persist("k"), ("PERSIST", "k"), ("DEL", "k"), 1, False),
    (lambda plans: plans.expire_at("k", 5), ("PEXPIREAT", "k", 5), ("DEL", "k"), 1, False),
    (lambda plans: plans.rename("k", "l"), ("RENAME", "k", "l"), ("UNLINK", "k", "l"), 1, False),
]


@pytest.mark.parametrize(("make", "command", "deletion", "deleted", "result"), UNSTORED)
@pytest.mark.parametrize("error", [FULL, TOO_LARGE])
@pytest.mark.parametrize("in_place", [True, False])
def test_a_write_that_cannot_be_stored_is_not_stored_and_the_old_value_is_deleted(
    make, command, deletion, deleted, result, error, in_place, discarded
):
    replies = [[error] if in_place else error, *([[deleted]] if deletion else [])]
    expected = [[command], *([[deletion]] if deletion else [])]
    assert run_plan(make(plans), *replies) == (result, expected)
    kind = "full" if error is FULL else "too_large"
    assert [each.kind for each in discarded.records] == [kind]


@pytest.mark.parametrize(("make", "command", "deletion", "deleted", "result"), UNSTORED)
def test_with_on_full_raise_a_full_database_is_an_error_and_the_old_value_stays(
    make, command, deletion, deleted, result, discarded
):
    strict = KeyValuePlans(codec, alias="test", on_full="raise")
    with pytest.raises(CapacityExceeded):
        run_plan(make(strict), [FULL])
    assert not discarded
    replies = [[TOO_LARGE], *([[deleted]] if deletion else [])]
    assert run_plan(make(strict), *replies)[0] == result


@pytest.mark.parametrize("error", [FULL, TOO_LARGE])
def test_get_or_set_returns_what_it_could_not_store(error, discarded):
    result, sent = run_plan(plans.get_or_set("k", lambda: 7, 5), [None], [error])
    assert (result, sent[1:]) == (7, [[("SET", "k", b"7", "PX", 5, "NX")]])
    undecodable = codec.encode({"a": 1})[:-1]
    result, sent = run_plan(plans.get_or_set("k", 7, None), [undecodable], [error], [1])
    assert (result, sent[1:]) == (7, [[("SET", "k", b"7")], [("DEL", "k")]])


@pytest.mark.parametrize("ttl_ms", [None, 5])
def test_set_many_returns_the_keys_that_a_full_database_did_not_store(ttl_ms, discarded):
    replies = [FULL] if ttl_ms is None else [FULL, b"OK", FULL]
    result, sent = run_plan(plans.set_many({"a": 1, "b": 2, "c": 3}, ttl_ms), replies, [2])
    unstored = ["a", "b", "c"] if ttl_ms is None else ["a", "c"]
    assert (result, sent[1:]) == (unstored, [[("UNLINK", *unstored)]])
    assert len(discarded) == 1


def test_set_many_returns_the_keys_that_the_server_rejected_for_their_size():
    result, sent = run_plan(plans.set_many({"a": 1, "b": 2}, 5), [b"OK", TOO_LARGE], [1])
    assert (result, sent[1:]) == (["b"], [[("DEL", "b")]])


@pytest.mark.parametrize("ttl_ms", [None, 5])
def test_set_many_sends_halves_when_a_request_is_too_large_as_a_whole(ttl_ms):
    expiry = () if ttl_ms is None else ("PX", ttl_ms)
    values = {"a": 1, "b": 2, "c": 3}
    replies = [TOO_LARGE, [b"OK"], TOO_LARGE, [b"OK"], TOO_LARGE, [1]]
    result, sent = run_plan(plans.set_many(values, ttl_ms), *replies)
    assert result == ["c"]
    assert sent[3:] == [
        [("SET", "b", b"2", *expiry)],
        [("SET", "c", b"3", *expiry)],
        [("DEL", "c")],
    ]


def test_set_many_raises_another_error_after_it_has_deleted_what_is_outdated():
    sent = []

    def send(batch):
        sent.append(batch.commands)
        return [FULL, WRONGTYPE] if len(sent) == 1 else [1]

    with pytest.raises(ReplyError, match="WRONGTYPE"):
        run(plans.set_many({"a": 1, "b": 2}, 5), Runner(send, codec.encode))
    assert sent[1] == (("DEL", "a"),)


def test_a_key_that_is_too_large_cannot_have_an_old_value():
    assert run_plan(plans.set("k", 1, None), [TOO_LARGE], [TOO_LARGE])[0] is False


@pytest.mark.parametrize(
    "plan",
    [
        lambda: plans.get("k"),
        lambda: plans.set("k", 1, None),
        lambda: plans.incr("k", 1),
        lambda: plans.get_many(["k"], ["k"]),
        lambda: plans.set_many({"k": 1}, 5),
        lambda: plans.rename("k", "l"),
    ],
)
def test_an_error_of_the_server_is_raised(plan):
    with pytest.raises(ReplyError, match="WRONGTYPE"):
        run_plan(plan(), [WRONGTYPE])


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("ERR value is not an integer or out of range", TypeError),
        ("ERR value is not an int or out of range", TypeError),
        ("ERR increment or decrement would overflow", OverflowError),
    ],
)
def test_incr_of_a_value_that_is_not_a_64_bit_integer_raises_like_python(text, error):
    with pytest.raises(error):
        run_plan(plans.incr("k", 1), [make_reply_error(text)])
    with pytest.raises(OverflowError):
        run_plan(plans.incr("k", 2**63))


def test_many_keys_are_split_by_the_size_of_a_request(monkeypatch):
    monkeypatch.setattr(keyvalue, "REQUEST_BYTES", 50)
    monkeypatch.setattr(keyvalue, "PIPELINE_COMMANDS", 2)
    _, sent = run_plan(
        plans.get_many(["aa", "bb", "cc"], ["aa", "bb", "cc"]), [[None, None]], [[None]]
    )
    assert sent == [[("MGET", "aa", "bb")], [("MGET", "cc")]]
    monkeypatch.setattr(keyvalue, "REQUEST_BYTES", 10_000)
    values = {"a": 1, "b": 2, "c": 3}
    _, sent = run_plan(plans.set_many(values, 5), [b"OK", b"OK"], [b"OK"])
    assert [len(batch) for batch in sent] == [2, 1]
    _, sent = run_plan(plans.set_many(values, None), [b"OK"])
    assert len(sent) == 1
