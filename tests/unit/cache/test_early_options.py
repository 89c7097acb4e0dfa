"""The options of get_or_set with stampede protection."""

from __future__ import annotations

import pytest

from continuum_upstash.cache import early
from continuum_upstash.cache.early import make_protection
from continuum_upstash.codec.envelope import unpack_envelope
from tests.unit.cache.protected_call import (
    KEY,
    NEW,
    TAG,
    TOKEN,
    Call,
    make_value,
)


def test_no_option_needs_no_protection():
    assert make_protection(None, None, None, ()) is None
    assert make_protection(False, 0, None, ()) is None


@pytest.mark.parametrize("option", [-1, float("nan")])
@pytest.mark.parametrize("name", ["early", "grace", "wait"])
def test_a_negative_option_is_rejected(name, option):
    options = {"early": None, "grace": None, "wait": None, name: option}
    with pytest.raises(ValueError, match=name):
        make_protection(**options, tags=())


@pytest.mark.parametrize("name", ["early", "grace", "wait"])
def test_an_option_that_is_no_number_is_rejected(name):
    options = {"early": None, "grace": None, "wait": None, name: "5"}
    with pytest.raises(TypeError, match=f"{name} must be a number, not '5'"):
        make_protection(**options, tags=())


def test_the_lease_is_longer_than_the_others_wait():
    call = Call()
    call.run([[None, None]], [b"OK"], [b"OK"], [1], wait=100)
    assert call.sent[1][4] == 100_000
    call = Call()
    call.run([[None, None]], [b"OK"], [b"OK"], [1], wait=1e9)
    assert call.sent[1][4] == early._MAX_LEASE_MS


@pytest.mark.parametrize(("compute_ms", "lease_ms"), [(100, 30_000), (40_000, 80_000)])
def test_the_lease_of_a_refresh_is_twice_as_long_as_the_last_computation(compute_ms, lease_ms):
    call = Call()
    value = make_value(-1, compute_ms=compute_ms)
    call.run([[value, None]], [b"OK"], [b"OK"], [1], grace=60)
    assert call.sent[1][4] == lease_ms
    call = Call()
    value = make_value(-1, compute_ms=2**32 - 1)
    call.run([[value, None]], [b"OK"], [b"OK"], [1], grace=60)
    assert call.sent[1][4] == early._MAX_LEASE_MS


def test_no_limit_is_a_limit():
    call = Call()
    inf = float("inf")
    call.run([[None, None]], [b"OK"], [b"OK"], [1], wait=inf, early=inf, grace=inf)
    assert call.sent[1][4] == early._MAX_LEASE_MS
    call = Call(rng=0.5)
    assert call.run([[make_value(), None]], [b"OK"], [b"OK"], [1], early=inf) == "new"


class TestForce:
    def test_the_value_is_stored_without_being_read(self):
        call = Call()
        assert call.run([b"OK"], force=True) == "new"
        assert call.sent == [("SET", KEY, NEW, "PX", 60_000)]

    def test_the_tokens_of_tags_are_read_before_it_is_computed(self):
        call = Call()
        assert call.run([[TOKEN]], [b"OK"], tags=("p:a",), grace=10, force=True) == "new"
        assert call.sent[0] == ("MGET", TAG)
        assert call.sent[1][:2] == ("SET", KEY)
        assert unpack_envelope(call.sent[1][2]).tokens == {"p:a": TOKEN}

    def test_an_error_of_the_function_is_raised(self):
        call = Call()
        with pytest.raises(LookupError):
            call.run(default=LookupError(), grace=10, force=True)
        assert call.sent == []


class TestNone:
    def test_it_is_not_stored(self):
        call = Call()
        assert call.run([[None]], default=None, cache_none=False) is None
        assert call.names == ["MGET"]

    def test_it_replaces_an_old_value_by_none(self):
        call = Call()
        old = make_value(-1)
        reads = ([[old, None]], [b"OK"], [1], [1])
        assert call.run(*reads, default=None, grace=10, cache_none=False) is None
        assert call.names == ["MGET", "SET lease", "DEL value", "DELEX lease"]

    def test_another_value_is_stored(self):
        call = Call()
        assert call.run([[None]], [b"OK"], cache_none=False) == "new"
        assert call.names == ["MGET", "SET value"]
