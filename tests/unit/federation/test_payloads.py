"""Payloads as text: exact, bounded, and rejected before anything is sent."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum_upstash.federation.errors import PayloadRejected
from continuum_upstash.federation.queue.members import DeadLetter, IdMaker, Member
from continuum_upstash.federation.queue.payloads import MAX_BYTES, PayloadEncoder
from tests.unit.federation.queue_plans import SECRETS, codec, make_member
from tests.unit.plan_runner import run_plan

encoder = PayloadEncoder(codec, SimpleNamespace(base64_secrets=SECRETS))


def encode(payload):
    text, _ = run_plan(encoder.encode(payload), encode=codec.encode)
    return text


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values = st.recursive(
    scalars | st.binary() | st.datetimes(),
    lambda each: st.lists(each) | st.tuples(each, each) | st.dictionaries(st.text(), each),
    max_leaves=10,
)


@given(values)
def test_a_payload_is_read_as_it_was_enqueued(payload):
    decoded = encoder.decode(encode(payload))
    assert (repr(decoded), type(decoded)) == (repr(payload), type(payload))


@pytest.mark.parametrize(
    ("payload", "text"),
    [({"to": "ä"}, '{"to":"ä"}'), ("~a~b", '"~a~b"'), (7, "7"), (None, "null"), ([1.5], "[1.5]")],
)
def test_plain_payloads_are_json_for_other_languages(payload, text):
    assert encode(payload) == text


@pytest.mark.parametrize("payload", [b"\x00\xff", (1, 2), {1, 2}, datetime(2026, 1, 1, tzinfo=UTC)])
def test_other_payloads_are_signed_text(payload):
    text = encode(payload)
    assert text.startswith("~")
    assert text.isascii()
    assert encoder.decode(text) == payload


def make_nested(levels):
    payload = []
    for _ in range(levels):
        payload = [payload]
    return payload


def make_cycle():
    payload = {}
    payload["self"] = [payload]
    return payload


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("x" * 10_000_000, "10,000,002 bytes as text, and the limit is 65,536"),
        (b"\xff" * 10_000_000, "the limit is 65,536"),
        (list(range(1_000_000)), "more than 65,536 items"),
        (make_nested(101), "more than 100 levels deep"),
        (make_nested(100_000), "more than 100 levels deep"),
        (make_cycle(), "cyclic"),
        (lambda: None, "cannot be stored"),
    ],
    ids=["large", "binary", "long", "deep", "very deep", "cyclic", "function"],
)
def test_what_cannot_be_a_payload_is_rejected(payload, reason):
    with pytest.raises(PayloadRejected, match=reason):
        encode(payload)


def test_the_limits_are_accepted():
    assert len(encode("x" * (MAX_BYTES - 2))) == MAX_BYTES
    assert encoder.decode(encode(make_nested(98))) == make_nested(98)


@given(st.text(), st.text(max_size=10))
def test_members_and_dead_letters_are_read_as_they_were_written(payload, reason):
    member = make_member(payload=payload)
    assert Member.parse(member.text) == member
    letter = DeadLetter.parse(member.make_dead_letter(reason))
    assert letter == (member, reason, payload)


@pytest.mark.parametrize("text", ["", "x", "a\nb\nc", "0 0 0 0 0 - - -\n[\nx", "\n" + "[" * 9999])
def test_other_dead_letters_are_read_as_well_as_possible(text):
    assert isinstance(DeadLetter.parse(text).reason, str)


def test_ids_ascend_even_if_the_clock_is_set_back():
    maker = IdMaker()
    ids = [*maker.make(1000, 70_000), *maker.make(5, 2), *maker.make(2000, 1)]
    assert ids == sorted(ids)
    assert {len(each) for each in ids} == {24}
    assert int(ids[-1][:12], 16) == 2000
