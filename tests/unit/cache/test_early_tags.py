"""The exact commands of get_or_set with stampede protection and tags."""

from __future__ import annotations

import pytest

from continuum_upstash.codec.envelope import Envelope
from continuum_upstash.errors import CapacityExceeded, ReplyError
from tests.unit.cache.protected_call import (
    NEW,
    OTHER,
    TOKEN,
    Call,
    make_value,
)


def test_a_cold_miss_with_a_new_tag_creates_its_token_before_it_computes():
    call = Call()
    found = [[None, None, None]]
    assert call.run(found, [b"OK"], [b"OK"], [b"OK"], [1], grace=60, tags=("p:a",)) == "new"
    assert call.names == ["MGET", "SET lease", "SET tag", "SET value", "DELEX lease"]
    token = call.sent[2][2]
    assert len(token) == 12
    assert call.sent[2][3:] == ("PX", 30 * 24 * 60 * 60 * 1000, "NX")
    assert call.stored[0].tokens == {"p:a": token}


def test_a_cold_miss_with_tags_only_takes_no_lease():
    call = Call()
    assert call.run([[None, TOKEN]], [b"OK"], tags=("p:a",)) == "new"
    assert call.names == ["MGET", "SET value"]
    assert call.stored == (Envelope(NEW, 0, 0, {"p:a": TOKEN}), ("PX", 60_000, "NX"))


def test_the_tokens_that_were_read_before_computing_are_stored():
    call = Call()
    call.run([[None, None, TOKEN]], [b"OK"], [b"OK"], [1], grace=60, tags=("p:a",))
    assert call.stored[0].tokens == {"p:a": TOKEN}


@pytest.mark.parametrize("token", [None, OTHER])
def test_a_value_with_another_token_is_missing_even_in_its_grace(token):
    call = Call()
    value = make_value(-1, tokens={"p:a": TOKEN})
    found = [[value, None, token]]
    replies = [] if token else [[b"OK"]]
    call.run(found, [b"OK"], *replies, [b"OK"], [1], grace=60, tags=("p:a",))
    assert call.computed == 1
    assert call.stored[1] == ("PX", 120_000)


def test_the_error_is_raised_if_the_old_value_has_a_deleted_tag():
    call = Call()
    found = [[make_value(-1, tokens={"p:a": TOKEN}), None, OTHER]]
    with pytest.raises(OSError, match="x"):
        call.run(found, [b"OK"], [1], default=OSError("x"), grace=60, tags=("p:a",))


def test_a_value_that_lacks_a_tag_of_the_call_is_computed_again():
    call = Call()
    found = [[make_value(), None, TOKEN]]
    assert call.run(found, [b"OK"], [b"OK"], [1], grace=60, tags=("p:a",)) == "new"


@pytest.mark.parametrize(("token", "result"), [(OTHER, "old"), (TOKEN, "new")])
def test_tags_that_the_call_does_not_have_are_read_with_one_more_command(token, result):
    call = Call()
    value = make_value(tokens={"p:a": TOKEN, "p:b": OTHER})
    replies = [] if result == "old" else [[b"OK"], [b"OK"], [1]]
    found = call.run([[value, None, TOKEN]], [[token]], *replies, grace=60, tags=("p:a",))
    assert found == result
    assert call.sent[1] == ("MGET", "continuum:tag:p:b")


def test_a_token_that_another_caller_creates_first_is_used():
    call = Call()
    found = [[None, None, None]]
    call.run(found, [b"OK"], [None], [[OTHER]], [b"OK"], [1], grace=60, tags=("p:a",))
    assert call.stored[0].tokens == {"p:a": OTHER}


@pytest.mark.parametrize("token", [None, b"not a token"])
def test_a_value_whose_tag_has_no_token_is_stored_with_one_that_does_not_exist(token):
    call = Call()
    found = [[None, None, token]]
    call.run(found, [b"OK"], [None], [[token]], [b"OK"], [1], grace=60, tags=("p:a",))
    assert len(call.stored[0].tokens["p:a"]) == 12


def test_a_token_that_a_full_database_does_not_store_makes_the_value_invalid():
    call = Call()
    full = CapacityExceeded("ERR DB capacity quota exceeded")
    found = [[None, None, None]]
    assert call.run(found, [b"OK"], [full], [b"OK"], [1], grace=60, tags=("p:a",)) == "new"


def test_another_error_of_a_token_is_raised():
    call = Call()
    with pytest.raises(ReplyError, match="NOPERM"):
        call.run([[None, None]], [ReplyError("NOPERM")], tags=("p:a",))
