"""The counts of a migration: what is sent, and what is read back."""

from __future__ import annotations

import pytest

from continuum_upstash.errors import ConnectionFailed
from continuum_upstash.migration.counters import CountsWriter, decode_counts
from tests.unit.plan_runner import run_plan

OK = [1, 1]


def list_names(sent):
    return [command[0] for command in sent[0]]


def test_a_lost_write_is_repeated_with_its_expiry():
    writer = CountsWriter("continuum:migration:shop:moving", clock=lambda: 7200.0)
    writer.count(filled=1)
    with pytest.raises(ConnectionFailed):
        run_plan(writer.write(), ConnectionFailed("cannot connect"))
    assert list_names(run_plan(writer.write(), OK)[1]) == ["HSET", "EXPIRE"]
    writer.count(filled=1)
    assert list_names(run_plan(writer.write(), OK)[1]) == ["HSET"]


@pytest.mark.parametrize("raw", [b"[" * 1500, b"[]", b"{}", b"\xff", b"[" * 5000])
def test_bytes_of_another_program_are_no_counts(raw):
    with pytest.raises(ValueError):
        decode_counts(raw)
