from __future__ import annotations

import asyncio
import contextvars
import threading

import pytest

from continuum_upstash.transports.rest import sync_token
from continuum_upstash.transports.rest.sync_token import SyncTokens

DB = "https://db.example"


@pytest.mark.parametrize(
    ("tokens", "newest"),
    [
        ([b"5"], b"5"),
        ([b"5", b"6"], b"6"),
        ([b"9", b"a"], b"a"),
        ([b"v", b"10"], b"10"),
        ([b"10", b"v"], b"10"),
        ([b"1a", b"19"], b"1a"),
        ([b"5", None], b"5"),
        ([b"5", b""], b"5"),
    ],
)
def test_a_base_32_counter_never_decreases(tokens, newest):
    known = SyncTokens()
    for token in tokens:
        known.update(DB, token)
    assert known.get(DB) == newest


@pytest.mark.parametrize("tokens", [[b"5", b"abc=="], [b"abc==", b"5"], [b"zz", b"yy"]])
def test_the_last_one_of_tokens_in_an_unknown_form_is_kept(tokens):
    known = SyncTokens()
    for token in tokens:
        known.update(DB, token)
    assert known.get(DB) == tokens[-1]


def test_a_token_that_is_too_long_is_ignored():
    known = SyncTokens()
    known.update(DB, b"7" * 2000)
    assert known.get(DB) is None


def test_each_database_has_its_own_token():
    known = SyncTokens()
    known.update(DB, b"5")
    assert known.get("https://other.example") is None


def test_merging_keeps_the_newest_of_each_database():
    ours, theirs = SyncTokens(), SyncTokens()
    ours.update(DB, b"5")
    ours.update("a", b"9")
    theirs.update(DB, b"4")
    theirs.update("b", b"1")
    ours.merge(theirs)
    assert [ours.get(name) for name in (DB, "a", "b")] == [b"5", b"9", b"1"]


def test_each_context_has_its_own_tokens():
    def twice():
        return sync_token.get_tokens() is sync_token.get_tokens(), sync_token.get_tokens()

    same, first = contextvars.Context().run(twice)
    _, second = contextvars.Context().run(twice)
    assert same
    assert first is not second


async def test_tasks_share_the_tokens_of_the_request_that_started_them():
    mine = sync_token.get_tokens()

    async def subtask():
        sync_token.get_tokens().update(DB, b"7")

    await asyncio.gather(subtask(), subtask())
    assert mine.get(DB) == b"7"


def test_overriding_the_tokens_ends_with_the_block():
    joined = SyncTokens()
    before = sync_token.get_tokens()
    with sync_token.override(joined):
        assert sync_token.get_tokens() is joined
    assert sync_token.get_tokens() is before


def test_threads_that_share_tokens_never_decrease_them():
    known = SyncTokens()
    newest = b"vvvv"

    def learn(start):
        for number in range(start, 4000, 4):
            known.update(DB, b"%04d" % number)
        known.update(DB, newest)

    threads = [threading.Thread(target=learn, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert known.get(DB) == newest
