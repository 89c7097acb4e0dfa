"""CacheBackend returns the same as Django's LocMemCache, for any sequence of calls.

The documented differences, which the strategies below omit:
- incr of a float or a str raises TypeError; LocMemCache adds to a float.
- incr beyond 64 bits raises OverflowError.
- incr_version keeps the expiry; LocMemCache sets the default timeout.
- touch of a persistent key with None is True, as Django documents it.
- delete of an expired key returns False; LocMemCache returns True.
"""

from __future__ import annotations

import asyncio
from itertools import count

from django.core.cache.backends.locmem import LocMemCache
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import SyncOrAsync

keys = st.sampled_from(["a", "b", "c", "ключ"])
versions = st.sampled_from([None, 1, 2])
timeouts = st.sampled_from([None, 0, -1, 0.0, 1000, 1e9])
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**40), 2**40),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=2), st.floats(allow_nan=False), max_size=2),
    st.tuples(st.integers()),
)


def kwargs(**strategies):
    return st.fixed_dictionaries(strategies)


calls = st.one_of(
    st.tuples(st.just("get"), kwargs(key=keys, default=values, version=versions)),
    st.tuples(st.just("set"), kwargs(key=keys, value=values, timeout=timeouts, version=versions)),
    st.tuples(st.just("add"), kwargs(key=keys, value=values, timeout=timeouts, version=versions)),
    st.tuples(st.just("delete"), kwargs(key=keys, version=versions)),
    st.tuples(st.just("has_key"), kwargs(key=keys, version=versions)),
    st.tuples(st.just("touch"), kwargs(key=keys, timeout=timeouts, version=versions)),
    st.tuples(st.just("get_many"), kwargs(keys=st.lists(keys), version=versions)),
    st.tuples(st.just("delete_many"), kwargs(keys=st.lists(keys), version=versions)),
    st.tuples(
        st.just("set_many"),
        kwargs(data=st.dictionaries(keys, values), timeout=timeouts, version=versions),
    ),
    st.tuples(
        st.just("get_or_set"),
        kwargs(key=keys, default=values, timeout=timeouts, version=versions),
    ),
    st.tuples(
        st.sampled_from(["incr", "decr"]),
        kwargs(key=keys, delta=st.integers(-5, 5), version=versions),
    ),
    st.tuples(
        st.sampled_from(["incr_version", "decr_version"]),
        kwargs(key=keys, delta=st.integers(1, 3), version=versions),
    ),
    st.tuples(st.just("clear"), kwargs()),
)
_numbers = count()


def call(cache, name, arguments):
    """Return the result of a call with its type, or the type of the error."""
    try:
        result = getattr(cache, name)(**arguments)
    except (ValueError, TypeError) as error:
        return type(error)
    return type(result), result


def is_comparable(locmem, name, arguments):
    """Return whether the results must be equal: incr of a value other than int differs."""
    if name not in {"incr", "decr"}:
        return True
    value = locmem.get(arguments["key"], 0, version=arguments["version"])
    return type(value) is int


def test_any_sequence_of_calls_returns_the_same_as_locmem(transport, api, make_cache):
    runner = asyncio.Runner() if api == "async" else None
    cache = make_cache(transport)

    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    )
    @given(st.lists(calls, max_size=25))
    def check(sequence):
        prefix = f"run{next(_numbers)}"
        locmem = LocMemCache(prefix, {})
        cache.key_prefix = prefix
        ours = SyncOrAsync(cache, runner)
        for name, arguments in sequence:
            if is_comparable(locmem, name, arguments):
                if name == "delete":
                    locmem.has_key(**arguments)  # deletes the key if it has expired
                expected = call(locmem, name, arguments)
                assert call(ours, name, arguments) == expected, (name, arguments)
        ours.clear()

    try:
        check()
    finally:
        if runner is not None:
            runner.run(cache._database.aclose())
            runner.close()
