"""Full keys are those of Django's own methods, which the fast ways of making them avoid."""

from __future__ import annotations

import warnings

import pytest
from django.core.cache.backends.base import BaseCache, CacheKeyWarning

from continuum_upstash.backend import CacheBackend

OPTIONS = {"MODE": "local"}
KEYS = ["a", 5, None, b"b", "ключ", "a b", "tab\t", "\x7f", "\xa0", "x" * 250, ("t", 1)]


class Name:
    def __str__(self):
        return "a"

    def __format__(self, spec):
        return "b"


def make_cache(kind=CacheBackend, **params):
    return kind("", {"OPTIONS": OPTIONS, "KEY_PREFIX": "shop", "VERSION": 3, **params})


def record(make_keys, *args):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", CacheKeyWarning)
        return make_keys(*args), [str(each.message) for each in caught]


@pytest.mark.parametrize("version", [None, 0, 7, "v"])
def test_keys_and_warnings_are_django_s(version):
    cache = make_cache()
    keys = [*KEYS, Name()]
    expected, warned = [], []
    for key in keys:
        full_key, messages = record(BaseCache.make_and_validate_key, cache, key, version)
        assert record(cache.make_and_validate_key, key, version) == (full_key, messages)
        expected.append(full_key)
        warned += messages
    assert len(warned) == 5
    assert record(cache._make_and_validate_keys, keys, version) == (expected, warned)


def test_a_key_function_of_the_project_is_used():
    cache = make_cache(KEY_FUNCTION=lambda key, prefix, version: f"{key}@{prefix}@{version}")
    assert cache.make_and_validate_key("a") == "a@shop@3"
    assert cache._make_and_validate_keys(["a", "b"]) == ["a@shop@3", "b@shop@3"]
    cache = make_cache()
    cache.key_func = lambda key, *_: key
    assert cache._make_and_validate_keys(["a"]) == [cache.make_and_validate_key("a")] == ["a"]


def test_a_subclass_may_make_and_validate_keys_itself():
    class Renaming(CacheBackend):
        def make_key(self, key, version=None):
            return super().make_key(f"mine:{key}", version)

    class Strict(CacheBackend):
        def validate_key(self, key):
            raise ValueError(key)

    assert make_cache(Renaming)._make_and_validate_keys(["a"]) == ["shop:3:mine:a"]
    with pytest.raises(ValueError, match="shop:3:a"):
        make_cache(Strict).make_and_validate_key("a")
    with pytest.raises(ValueError, match="shop:3:a"):
        make_cache(Strict).get_many(["a"])
