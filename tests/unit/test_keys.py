from __future__ import annotations

import hashlib
import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.keys import (
    DEFAULT_TTL_BY_PREFIX,
    RESERVED_KEYS,
    escape_glob,
    make_alias_pattern,
    make_scope_regex,
    make_scoped_pattern,
)

any_text = st.text()
prefixes = any_text | st.sampled_from(["app", "a:1", "[x]", "*", "a?b", "a\\", "^-", "a\nb"])
versions = st.integers(-(10**6), 10**6)


def django_default(key, prefix, version):
    return f"{prefix}:{version}:{key}"


def version_last(key, prefix, version):
    return f"{key}@{prefix}/v{version:02}"


def without_version(key, prefix, _version):
    return f"{prefix}/{key}"


def quoted(key, prefix, version):
    return re.sub(r"[^0-9a-z]", "_", f"{prefix}-{version}-{key}".lower())


def hashed(key, prefix, version):
    return f"{prefix}:{version}:{hashlib.sha256(str(key).encode()).hexdigest()}"


def hashed_when_long(key, prefix, version):
    full = f"{prefix}:{version}:{key}"
    return full if len(full) < 250 else hashlib.sha256(full.encode()).hexdigest()


def hashed_tail_when_long(key, prefix, version):
    key = str(key)
    return f"{prefix}:{version}:{key if len(key) < 100 else hash(key)}"


def hashed_version(key, prefix, version):
    return f"{prefix}:{hashlib.sha256(str(version).encode()).hexdigest()}:{key}"


def bare(key, _prefix, _version):
    return str(key)


@given(prefixes, versions, any_text)
@settings(deadline=None)
@pytest.mark.parametrize("key_func", [django_default, version_last, without_version])
def test_every_key_of_the_alias_matches(key_func, prefix, version, key):
    name = key_func(key, prefix, version)
    assume(not name.startswith(RESERVED_KEYS))
    assert make_alias_pattern(key_func, prefix).matches(name)


@pytest.mark.parametrize("key_func", [quoted, hashed_tail_when_long])
@pytest.mark.parametrize("key", ["a", "Some Key", "k" * 999])
def test_a_key_function_may_change_keys_if_it_keeps_the_prefix(key_func, key):
    assert make_alias_pattern(key_func, "app").matches(key_func(key, "app", 7))


@pytest.mark.parametrize(
    "name",
    [
        "app2:1:key",
        "myapp:1:key",
        "app:key",
        "app:1",
        ":1:key",
        "",
        "APP:1:key",
    ],
)
def test_a_key_of_another_alias_does_not_match(name):
    assert not make_alias_pattern(django_default, "app").matches(name)


@given(prefixes, st.integers() | st.floats() | any_text, any_text)
@settings(deadline=None)
def test_every_key_of_every_version_matches(prefix, version, key):
    name = django_default(key, prefix, version)
    assume(not name.startswith(RESERVED_KEYS))
    assert make_alias_pattern(django_default, prefix).matches(name)


APP = make_alias_pattern(django_default, "app", "eu")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("app:v2:key", True),
        ("app:2026.11-abc:key", True),
        ("app:us:1:key", False),  # of the alias "app:us"
        ("app:us:v2:key", False),
        ("app:us:key", True),  # of the version "us"
        ("app:1:us:1:key", True),
        ("app:eu:1:key", True),  # of the alias "app:eu", or of our VERSION
        ("app:1:2:key", True),  # of the alias "app:1", or of a version that is a number
        ("other:1:key", False),
    ],
)
def test_keys_of_a_nested_alias_do_not_match(name, expected):
    prefixes = ["app", "app:us", "app:eu", "app:1", "other", ""]
    others = [make_alias_pattern(django_default, prefix) for prefix in prefixes]
    assert APP.exclude(others).matches(name) is expected


@pytest.mark.parametrize("prefix", ["app:us", "app"])
def test_an_outer_alias_and_the_alias_itself_are_not_nested(prefix):
    others = [make_alias_pattern(django_default, each) for each in ("app", "app:us", "")]
    own = make_alias_pattern(django_default, prefix)
    assert own.exclude(others[:1] if prefix == "app" else others).nested == ()
    assert own.exclude(others).matches(f"{prefix}:v2:key")


@pytest.mark.parametrize("name", ["axc:1:key", "a.c:1:key", "ac:1:key"])
def test_glob_and_regex_characters_in_a_prefix_are_literal(name):
    assert not make_alias_pattern(django_default, "a?c").matches(name)
    assert not make_alias_pattern(django_default, "a*c").matches(name)
    assert not make_alias_pattern(django_default, "a[.x]c").matches(name)


@pytest.mark.parametrize(
    ("key_func", "prefix", "pattern"),
    [
        (django_default, "app", "app:*:*"),
        (django_default, "", ":*:*"),
        (django_default, "a*[b]?\\", "a\\*\\[b\\]\\?\\\\:*:*"),
        (version_last, "app", "*@app/v*"),
        (without_version, "app", "app/*"),
    ],
)
def test_only_the_variable_parts_of_the_scan_pattern_are_wildcards(key_func, prefix, pattern):
    assert make_alias_pattern(key_func, prefix).pattern == pattern


@pytest.mark.parametrize("key_func", [hashed, hashed_when_long, hashed_version])
def test_a_key_function_that_hashes_keys_is_rejected_with_the_alternatives(key_func):
    with pytest.raises(
        ConfigurationError,
        match=rf"function {key_func.__name__} does not keep the key.*\"flushdb\".*flush_all\(\)",
    ):
        make_alias_pattern(key_func, "app")


def test_a_key_function_that_adds_nothing_is_rejected():
    with pytest.raises(ConfigurationError, match=r"adds nothing.*KEY_PREFIX"):
        make_alias_pattern(bare, "app")


@given(prefixes, versions, any_text)
@settings(deadline=None)
@pytest.mark.parametrize("key_func", [django_default, version_last, without_version])
def test_the_users_key_is_extracted_from_the_full_key(key_func, prefix, version, key):
    wanted = make_scoped_pattern(key_func, prefix, version, "*")
    name = key_func(key, prefix, version)
    assume(not name.startswith(RESERVED_KEYS))
    assert wanted.matches(name)
    assert wanted.extract_key(name) == key


@pytest.mark.parametrize(
    ("prefix", "version", "glob", "pattern"),
    [
        ("app", 1, "*", "app:1:*"),
        ("app", 12, "user:[0-9]?:*", "app:12:user:[0-9]?:*"),
        ("a*", 1, "x*", "a\\*:1:x*"),
        ("", "v?", "*", ":v\\?:*"),
    ],
)
def test_only_the_users_part_of_a_pattern_is_a_glob(prefix, version, glob, pattern):
    assert make_scoped_pattern(django_default, prefix, version, glob).pattern == pattern


@pytest.mark.parametrize("name", ["app:2:key", "ap:1:key", "app:1", ""])
def test_a_pattern_matches_one_version_of_one_alias(name):
    assert not make_scoped_pattern(django_default, "app", 1, "*").matches(name)


def test_prefix_and_suffix_do_not_overlap():
    wanted = make_scoped_pattern(lambda key, *_: f"::{key}::", "", 1, "*")
    assert not wanted.matches(":::")
    assert wanted.matches("::::")


def test_a_reverse_function_returns_the_users_key():
    wanted = make_scoped_pattern(quoted, "app", 1, "*", lambda name: name.split("-")[-1].upper())
    assert wanted.extract_key("app-1-x") == "X"


def test_a_pattern_for_hashed_keys_is_rejected():
    with pytest.raises(ConfigurationError, match="no pattern can match it"):
        make_scoped_pattern(hashed, "app", 1, "*")


def test_escaping_does_not_change_text_without_glob_characters():
    assert escape_glob("app:1:key^-") == "app:1:key^-"
    assert escape_glob("a*b?[c]\\") == "a\\*b\\?\\[c\\]\\\\"


def test_the_documented_families_have_their_ttls():
    assert DEFAULT_TTL_BY_PREFIX == {
        "session:": 3600,
        "query:": 300,
        "memory:": 1800,
        "ratelimit:": 60,
        "fed:queue:": 86400,
        "ws:": 300,
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.b:1:query:x", True),
        ("a.b:-12:query:x", True),
        ("a.b:v2:query:x", True),
        ("a.b:v3:query:x", False),
        ("a.b:1:2:query:x", False),
        ("axb:1:query:x", False),
        ("query:x", False),
    ],
)
def test_the_scope_of_an_alias_precedes_its_keys(name, expected):
    scope = make_scope_regex(django_default, "a.b", "v2")
    assert bool(re.match(f"{scope}query:", name)) is expected


def test_a_key_function_may_put_the_key_first():
    scope = make_scope_regex(lambda key, prefix, version: f"{key}:{prefix}", "p", 1)
    assert re.match(f"{scope}query:", "query:x:p")
