"""A database whose values another backend has stored is read in place."""

from __future__ import annotations

import pickle
import zlib

import pytest

from continuum_upstash.cache.base import ImproperlyConfiguredCache
from continuum_upstash.plans.effects import call

OPTION = {"SERIALIZER": "pickle", "COMPRESSOR": "zlib", "TRUST_PICKLES": True}
VALUE = {"set": {1, 2}, "text": "a" * 100}


@pytest.fixture
def cache(make_cache):
    cache = make_cache("local", OPTIONS={"OLD_VALUES": OPTION})
    store(cache, "plain", pickle.dumps(VALUE))
    store(cache, "compressed", zlib.compress(pickle.dumps(VALUE)))
    store(cache, "int", b"41")
    return cache


def store(cache, key, data):
    cache.run(call("SET", cache.make_key(key), data))


def test_old_values_are_read_and_new_ones_written_in_the_own_formats(cache, make_cache):
    assert cache.get("plain") == VALUE
    assert cache.get_many(["plain", "compressed", "int"]) == {
        "plain": VALUE,
        "compressed": VALUE,
        "int": 41,
    }
    assert cache.incr("int") == 42
    assert cache.get_or_set("compressed", "other") == VALUE
    cache.set("new", VALUE)
    raw = cache.run(call("GET", cache.make_key("new")))
    assert cache.get("new") == VALUE
    assert make_cache("local")._codec.decode(raw) == VALUE


def test_without_the_option_an_old_value_is_missing(make_cache, caplog):
    cache = make_cache("local")
    store(cache, "plain", pickle.dumps(VALUE))
    assert cache.get("plain") is None


def test_a_wrong_option_is_a_configuration_error(make_cache):
    with pytest.raises(ImproperlyConfiguredCache, match="TRUST_PICKLES"):
        make_cache("local", OPTIONS={"OLD_VALUES": {"SERIALIZER": "pickle"}})
