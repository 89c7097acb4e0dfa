from __future__ import annotations

from continuum_upstash.plans import scan as scans
from tests.unit.plan_runner import run_plan


def scan(cursor):
    return ("SCAN", cursor, "MATCH", "a:*", "COUNT", 1000)


def wanted(name):
    return name.startswith("a:")


def test_deleting_by_pattern_takes_one_round_trip_per_page_and_one():
    deleted, sent = run_plan(
        scans.delete_keys("a:*", wanted),
        [[b"77", [b"a:1", b"b:2"]]],
        [1, [b"99", []]],
        [[b"0", [b"a:3", b"a:4", b"\xff"]]],
        [2],
    )
    assert deleted == 3
    assert sent == [
        [scan("0")],
        [("UNLINK", "a:1"), scan("77")],
        [scan("99")],
        [("UNLINK", "a:3", "a:4")],
    ]


def test_deleting_nothing_takes_the_scan_only():
    assert run_plan(scans.delete_keys("a:*", wanted), [[b"0", []]]) == (0, [[scan("0")]])


def test_a_key_that_scan_returns_twice_is_returned_once():
    names, sent = run_plan(
        scans.find_keys("a:*", wanted), [[b"18446744073709551615", [b"a:1"]]], [[b"0", [b"a:1"]]]
    )
    assert names == ["a:1"]
    assert sent[1] == [scan("18446744073709551615")]
