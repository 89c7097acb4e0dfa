"""keys.py's patterns in a real server's SCAN, and the codec's numbers in INCRBY."""

from __future__ import annotations

import pytest
from django.core.cache.backends.base import default_key_func
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from continuum_upstash.codec.codec import Codec
from continuum_upstash.keys import escape_glob, make_alias_pattern, make_scoped_pattern

globby = st.text(st.sampled_from("ab:*?[]^-\\é\n1"), max_size=8)
real_server = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture
def scan(server):
    def names(pattern):
        cursor, found = b"0", set()
        while True:
            cursor, page = server.call("SCAN", cursor, "MATCH", pattern, "COUNT", 1000)
            found |= {name.decode() for name in page}
            if cursor == b"0":
                return found

    server.call("FLUSHALL")
    yield names
    server.call("FLUSHALL")


@given(st.sets(globby.map("k".__add__), min_size=1, max_size=6))
@real_server
def test_an_escaped_text_matches_only_itself(server, scan, names):
    server.pipeline(("FLUSHALL",), *(("SET", name, b"") for name in names))
    for name in names:
        assert scan(escape_glob(name)) == {name}


@given(globby, globby, st.lists(st.tuples(globby, st.integers(-3, 30)), min_size=1, max_size=6))
@real_server
def test_scan_finds_the_keys_of_an_alias_and_no_others(server, scan, prefix, other, keys):
    own = {default_key_func(key, prefix, version) for key, version in keys}
    others = {default_key_func(key, f"x{other}", version) for key, version in keys}
    server.pipeline(("FLUSHALL",), *(("SET", name, b"") for name in own | others))
    wanted = make_alias_pattern(default_key_func, prefix)
    assert {name for name in scan(wanted.pattern) if wanted.matches(name)} == own

    for key, version in keys:
        exact = make_scoped_pattern(default_key_func, prefix, version, escape_glob(key))
        found = {exact.extract_key(name) for name in scan(exact.pattern) if exact.matches(name)}
        assert found == {key}


@pytest.mark.parametrize("number", [0, -1, 2**62, -(2**63)])
def test_incrby_works_on_a_stored_int(server, scan, number):
    codec = Codec()
    server.call("SET", "n", codec.encode(number))
    assert server.call("INCRBY", "n", 5) == number + 5
    assert codec.decode(server.call("GET", "n")) == number + 5


@pytest.mark.parametrize("number", [1.5, -0.25, 1e-9, 123456789.125])
def test_the_result_of_incrbyfloat_is_read_as_a_float(server, scan, number):
    server.call("SET", "n", "0")
    printed = server.call("INCRBYFLOAT", "n", repr(number))
    assert Codec().decode(printed) == number
