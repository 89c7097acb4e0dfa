"""CacheBackend answers as Django's LocMemCache does, for any sequence of calls.

The documented differences, which the strategies below leave out:
- incr of a float or a text raises TypeError; LocMemCache adds to a float.
- incr beyond 64 bits raises OverflowError.
- incr_version keeps the time to live; LocMemCache starts the default one.
- touch of a persistent key with None is True, as Django documents it.
- delete of a key that has expired is False; LocMemCache finds it still and says True.
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


def answer(cache, name, arguments):
    """Return what a call returns, with its type, or the type of what it raises."""
    try:
        result = getattr(cache, name)(**arguments)
    except (ValueError, TypeError) as error:
        return type(error)
    return type(result), result


def counts(locmem, name, arguments):
    """Whether both must answer alike: an incr of what is no integer is a documented difference."""
    if name not in {"incr", "decr"}:
        return True
    value = locmem.get(arguments["key"], 0, version=arguments["version"])
    return type(value) is int


def test_any_sequence_of_calls_is_answered_as_locmem_does(transport, api, make_cache):
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
            if counts(locmem, name, arguments):
                if name == "delete":
                    locmem.has_key(**arguments)  # which drops it, if it has expired
                expected = answer(locmem, name, arguments)
                assert answer(ours, name, arguments) == expected, (name, arguments)
        ours.clear()

    try:
        check()
    finally:
        if runner is not None:
            runner.run(cache._database.aclose())
            runner.close()
