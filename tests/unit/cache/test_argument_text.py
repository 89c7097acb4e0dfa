"""Arguments as text: typed, distinct and stable."""

from __future__ import annotations

import re
from datetime import timedelta, timezone
from functools import partial

import pytest
from django.contrib.auth.models import User
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject
from hypothesis import given
from hypothesis import strategies as st

from continuum_upstash.cache.argument_text import (
    UnsupportedArgument,
    describe,
    escape_field,
    to_text,
)
from tests.unit.cache.call_functions import EXAMPLES

any_text = st.text(st.characters())  # lone surrogates too
zones = st.none() | st.builds(timezone, st.timedeltas(timedelta(hours=-23), timedelta(hours=23)))
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | any_text
    | st.binary()
    | st.datetimes(timezones=zones)
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.decimals(allow_nan=False)
    | st.uuids()
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(any_text, inner, max_size=3)
    ),
    max_leaves=5,
)


def exact(value):
    """Distinguish what == does not: True and 1, 0.0 and -0.0, NaNs, but not the order of a dict."""
    kind = type(value).__qualname__
    if isinstance(value, dict):
        return kind, sorted((key, exact(item)) for key, item in value.items())
    if isinstance(value, (list, tuple)):
        return kind, [exact(item) for item in value]
    if hasattr(value, "isoformat"):
        return kind, value.isoformat()
    return kind, repr(value)


@pytest.mark.parametrize(("text", "value"), EXAMPLES.items())
def test_the_text_of_a_value(text, value):
    assert describe(value) == text


@given(values, values)
def test_values_have_the_same_text_exactly_if_they_are_the_same(first, second):
    assert (describe(first) == describe(second)) == (exact(first) == exact(second))


@given(st.lists(any_text), st.lists(any_text))
def test_the_parts_of_a_list_cannot_be_mistaken(first, second):
    assert (describe(first) == describe(second)) == (first == second)


@given(values)
def test_a_text_has_only_characters_that_memcached_and_a_shell_accept(value):
    assert re.fullmatch(r"[!-~]*", describe(value))


def test_a_lazy_user_has_the_text_of_the_user():
    assert describe(SimpleLazyObject(lambda: User(pk=7))) == describe(User(pk=7))
    assert to_text(SimpleLazyObject(lambda: User(pk=7))) == "7"


class Guest:
    is_anonymous = True
    pk = 7


def test_a_guest_with_an_identity_is_not_anonymous():
    for write in (describe, to_text):
        with pytest.raises(UnsupportedArgument, match="Guest"):
            write(Guest())


@pytest.mark.parametrize("write", [describe, to_text])
def test_a_large_integer_has_a_text(write):
    assert write(10**10_000) != write(10**10_000 + 1)


def make_local_class():
    class Local:
        pass

    return Local


class Text(str):
    __slots__ = ()


def nest(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def make_endless_list():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), "builtins.object"),
        (HttpRequest(), "django.http.request.HttpRequest"),
        (User(), r"User \(without a primary key: save it first\)"),
        (partial(print), "functools.partial"),
        (print, "builtin_function_or_method"),
        (make_local_class(), "a class defined in a function has no stable name"),
        (nest(20), "nested more than 16 levels deep"),
        (make_endless_list(), "nested more than 16 levels deep"),
        ({"a": [User]}.items(), "dict_items"),
        (Text("a"), "Text"),
    ],
)
def test_a_value_without_a_stable_text_is_refused(value, message):
    with pytest.raises(UnsupportedArgument, match=message):
        describe([value])


@given(any_text)
def test_a_field_contains_no_separator(text):
    assert re.fullmatch(r"[\w.~@+%-]*", escape_field(text), re.ASCII)


@given(any_text, any_text)
def test_different_texts_are_different_fields(first, second):
    assert (escape_field(first) == escape_field(second)) == (first == second)
