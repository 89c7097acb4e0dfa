"""The exact commands of the key browser's plans."""

from __future__ import annotations

import pytest

from continuum_upstash.errors import ReplyError
from continuum_upstash.panel.key_browser.edits import delete_keys, set_expiry
from continuum_upstash.panel.key_browser.position import Position
from continuum_upstash.panel.key_browser.scope import KeyScope
from continuum_upstash.panel.key_browser.search import Search, find_keys
from continuum_upstash.panel.key_browser.values.elements import fetch_elements
from continuum_upstash.panel.key_browser.values.inspection import inspect_key
from tests.unit.plan_runner import run_plan

RAW = KeyScope(None, is_raw=True)
INFO = b"db0:keys=12400,expires=0,avg_ttl=0\r\n"


def scan(cursor, pattern="*", count=100):
    return ("SCAN", cursor, "MATCH", pattern, "COUNT", count)


def test_the_first_page_asks_for_the_exact_key_and_then_scans():
    page, sent = run_plan(
        find_keys(Search(RAW, "query:")),
        [b"none"],
        [[b"7", [b"query:1"]], INFO],
        [[b"0", [b"query:2", b"query:1"]]],
    )
    assert sent == [
        [("TYPE", "query:")],
        [scan("0", "query:*"), ("INFO",)],
        [scan("7", "query:*", 1000)],
    ]
    assert [row.text for row in page.rows] == ["query:1", "query:2"]
    assert page.is_complete


def test_the_exact_key_needs_no_scan():
    page, sent = run_plan(find_keys(Search(RAW, "query:1")), [b"hash"])
    assert sent == [[("TYPE", "query:1")]]
    assert [(row.text, row.is_exact) for row in page.rows] == [("query:1", True)]


def test_a_pattern_with_a_star_is_no_exact_key():
    _, sent = run_plan(find_keys(Search(RAW, "a*")), [[b"0", []], INFO])
    assert sent == [[scan("0", "a*"), ("INFO",)]]


def test_a_page_ends_after_five_scans_and_says_where_it_continues():
    replies = [[[b"9", []], INFO], *([[b"9", []]] for _ in range(4))]
    page, sent = run_plan(find_keys(Search(RAW)), *replies)
    assert len(sent) == 5
    assert page.position == Position("9", looked=4100, found=0, commands=5)
    assert (page.total, page.is_complete) == (12_400, False)


def test_the_next_page_continues_with_a_count_by_what_was_found():
    at = Position("9", looked=4000, found=2000, commands=5)
    _, sent = run_plan(find_keys(Search(RAW, position=at)), [[b"0", []], INFO])
    assert sent == [[scan("9", count=200), ("INFO",)]]


def test_details_are_read_in_one_round_trip():
    page, sent = run_plan(
        find_keys(Search(RAW, wants_details=True)),
        [[b"0", [b"a", b"b\xff"]], INFO],
        [b"string", 1500, 64],
    )
    assert sent[1] == [("TYPE", "a"), ("PTTL", "a"), ("MEMORY", "USAGE", "a")]
    assert [row.details and row.details.ttl_ms for row in page.rows] == [1500, None]


@pytest.mark.parametrize("refused", [0, 1, 2])
def test_a_refused_detail_is_unknown(refused):
    replies = [b"string", -1, 64]
    replies[refused] = ReplyError("NOPERM")
    page, _ = run_plan(find_keys(Search(RAW, wants_details=True)), [[b"0", [b"a"]], INFO], replies)
    details = page.rows[0].details
    assert [details.type, details.ttl_ms, details.size][refused] in {"", -2, None}


def test_a_string_without_the_permission_is_only_measured():
    details, sent = run_plan(inspect_key("k", None), [b"string", -1], [100_000_000])
    assert sent == [[("TYPE", "k"), ("PTTL", "k")], [("STRLEN", "k")]]
    assert (details.length, details.ttl_ms, details.value) == (100_000_000, None, None)


def test_an_expiry_is_set_in_milliseconds():
    assert run_plan(set_expiry("k", 90_000), [1]) == (True, [[("PEXPIRE", "k", 90_000)]])
    assert run_plan(set_expiry("k", None), [1]) == (True, [[("PERSIST", "k")]])
    assert run_plan(set_expiry("k", None), [0], [0]) == (
        False,
        [[("PERSIST", "k")], [("EXISTS", "k")]],
    )


def test_keys_are_deleted_in_one_command():
    assert run_plan(delete_keys(["a", "b"]), [1]) == (1, [[("UNLINK", "a", "b")]])


@pytest.mark.parametrize(
    ("kind", "command"),
    [
        ("list", ("LRANGE", "k", 100, 150)),
        ("zset", ("ZRANGE", "k", 100, 150, "WITHSCORES")),
        ("hash", ("HSCAN", "k", "7", "COUNT", 50)),
        ("set", ("SSCAN", "k", "7", "COUNT", 50)),
        ("stream", ("XRANGE", "k", "(7", "+", "COUNT", 51)),
    ],
)
def test_a_page_of_elements_is_one_bounded_command(kind, command):
    reply = [b"0", []] if kind in {"hash", "set"} else []
    page, sent = run_plan(fetch_elements(kind, "k", Position("7", looked=100)), [reply])
    assert sent == [[command]]
    assert page.following is None


@pytest.mark.parametrize(
    ("kind", "reply"),
    [
        ("list", 7),
        ("zset", [b"a"]),
        ("hash", [b"0", [b"a"]]),
        ("hash", [7, []]),
        ("set", [b"0"]),
        ("stream", [[b"1-0"]]),
        ("stream", [[b"1-0", None]]),
    ],
)
def test_a_wrong_reply_is_an_error_that_the_page_shows(kind, reply):
    with pytest.raises(ReplyError, match="Unexpected reply"):
        run_plan(fetch_elements(kind, "k", Position()), [reply])
