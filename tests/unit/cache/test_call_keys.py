"""Keys and tags of calls."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from continuum_upstash.cache.call_keys import MAX_LENGTH, KeyTemplate
from continuum_upstash.errors import ConfigurationError
from tests.unit.cache.call_functions import EXAMPLES, Topic, list_keys, make_keys, report, search

ROOT = Path(__file__).parents[3]
NAME = report.__module__
arguments = st.none() | st.booleans() | st.integers() | st.text(st.characters())


def make_key(keys, *args, **kwargs):
    return keys.make_key(keys.bind(args, kwargs))


def make_tags(keys, *args, **kwargs):
    return keys.make_tags(keys.bind(args, kwargs))


# ---- keys from all arguments


def test_a_key_is_readable():
    key = make_key(make_keys(), 7)
    assert key == f"{NAME}.report:user_id=7,year=2026,draft=False"


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((7, 2026), {}),
        ((7,), {"year": 2026}),
        ((), {"draft": False, "year": 2026, "user_id": 7}),
        ((7,), {"draft": False}),
    ],
)
def test_the_spelling_of_a_call_does_not_change_its_key(args, kwargs):
    assert make_key(make_keys(), *args, **kwargs) == make_key(make_keys(), 7)


@given(st.tuples(*[arguments] * 3), st.tuples(*[arguments] * 3))
def test_calls_have_the_same_key_exactly_if_their_arguments_are_the_same(first, second):
    keys = make_keys()
    one, other = (make_key(keys, *each[:2], draft=each[2]) for each in (first, second))
    assert (one == other) == (list(map(repr, first)) == list(map(repr, second)))


@given(st.lists(arguments, max_size=2), st.dictionaries(st.sampled_from("abcd"), arguments))
def test_the_order_of_keyword_arguments_does_not_change_a_key(words, options):
    keys = make_keys(search)
    reverse = dict(reversed(options.items()))
    assert make_key(keys, *words, **options) == make_key(keys, *words, **reverse)
    assert keys.bind(words, options).arguments == {"words": tuple(words), "options": options}


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        ((), {}, "missing a required argument: 'user_id'"),
        ((1, 2, 3), {}, "too many positional arguments"),
        ((1,), {"user_id": 1}, "multiple values for argument 'user_id'"),
        ((1,), {"yaer": 1}, "got an unexpected keyword argument 'yaer'"),
    ],
)
def test_wrong_arguments_are_reported_as_python_reports_them(args, kwargs, message):
    with pytest.raises(TypeError, match=rf"report\(\): {message}"):
        make_keys().bind(args, kwargs)


def test_a_text_that_a_user_has_chosen_is_not_the_key_of_a_long_one():
    keys = make_keys(key=lambda user_id: user_id)
    long_key = make_key(keys, "x" * 300)
    assert long_key == make_key(keys, "x" * 300)
    assert make_key(keys, long_key) != long_key


@pytest.mark.parametrize("key", [None, "found:{word}"])
def test_a_long_key_ends_with_a_digest(key):
    def find(word):
        return word

    find.__qualname__ = "find"
    keys = make_keys(find, key=key)
    first, second = make_key(keys, "a" * 1000), make_key(keys, "a" * 1001)
    assert first.startswith("found:#" if key else f"{__name__}.find:#")
    assert first != second
    assert max(map(len, (first, second))) <= MAX_LENGTH


def test_processes_with_different_hashes_make_the_same_keys():
    script = (
        "import django; django.setup(); from tests.unit.cache.call_functions import list_keys;"
        "print(*list_keys(), sep='\\n')"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "1", "DJANGO_SETTINGS_MODULE": "tests.settings"}
    run = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    keys = run.stdout.splitlines()
    assert keys == list_keys()  # the hash seed of this process is random
    assert len(set(keys)) == len(EXAMPLES)


def test_an_argument_without_a_stable_text_is_reported_with_a_remedy():
    with pytest.raises(ConfigurationError) as raised:
        make_key(make_keys(), object())
    message = str(raised.value)
    assert f"@cached on {NAME}.report: the argument user_id has no stable text" in message
    assert "builtins.object" in message
    assert 'key="report:{user.pk}"' in message


def test_a_function_without_a_name_of_its_own_needs_a_key():
    def local(user_id):
        return user_id

    for function in (local, lambda user_id: user_id):
        with pytest.raises(ConfigurationError, match=r'Set one: @cached\(key="report:{user_id}"\)'):
            make_keys(function)
        assert make_key(make_keys(function, key="k:{user_id}"), 1) == "k:1"


# ---- templates


@pytest.mark.parametrize(
    ("template", "key"),
    [
        ("report:{user_id}", "report:7"),
        ("report:{year}/{draft}", "report:2026/False"),
        ("report:{{x}}", "report:{x}"),
        ("{user_id}{{{year}", "7{2026"),
        ("{year:05}", "02026"),
        (lambda user_id, **_: f"own:{user_id}", "own:7"),
    ],
)
def test_the_key_of_a_template_or_function(template, key):
    assert make_key(make_keys(key=template), 7) == key


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("7", "7"),
        ("ada@example.org", "ada@example.org"),
        ("a:b c", "a%3Ab%20c"),
        (None, "None"),
        (date(2026, 1, 31), "2026-01-31"),
        (Topic.NETWORKS, "networks"),
        (User(pk=7), "7"),
        (AnonymousUser(), "anonymous"),
    ],
)
def test_the_text_of_a_field(value, field):
    assert make_key(make_keys(key="k:{user_id}"), value) == f"k:{field}"


def test_a_field_can_name_an_attribute_or_an_item():
    keys = make_keys(key="k:{user_id.pk}:{year[month]}")
    assert make_key(keys, User(pk=7), {"month": 5}) == "k:7:5"


@given(st.tuples(st.text(), st.text()), st.tuples(st.text(), st.text()))
def test_a_template_does_not_mix_up_its_fields(first, second):
    template = KeyTemplate("a:{x}:{y}", "owner")
    one, other = (template.render(dict(zip("xy", each, strict=True))) for each in (first, second))
    assert (one == other) == (first == second)


def test_a_keyword_argument_can_be_a_field():
    keys = make_keys(search, key="k:{page}")
    assert make_key(keys, "word", page=2) == "k:2"
    with pytest.raises(ConfigurationError, match="names 'page', which does not exist"):
        make_key(keys, "word", pages=2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key": "report:{user}"}, r"names 'user', which does not exist. Did you mean user_id\?"),
        ({"key": "report:{}"}, "has a field that is no name"),
        ({"key": "report:{0}"}, "has a field that is no name"),
        ({"key": "report:{year!r}"}, "has a field that is no name"),
        ({"key": "report:{year:{draft}}"}, "has a field that is no name"),
        ({"key": "report:{"}, "is no template"),
        ({"key": ""}, "a key or tag is empty"),
        ({"key": "r:{year}{draft}"}, "two fields without a separator"),
        ({"key": "r:{year}-{draft}"}, "two fields without a separator"),
        ({"key": "r:{year}:{user_id}x{draft}"}, "two fields without a separator"),
        ({"tags": "user:{user_id}"}, "tags is a str, not a list"),
        ({"tags": ["user:{id}"]}, "names 'id', which does not exist"),
        ({"user": True}, "needs an argument that is called user or request"),
    ],
)
def test_a_wrong_option_is_reported_when_the_function_is_decorated(options, message):
    with pytest.raises(ConfigurationError, match=message) as raised:
        make_keys(**options)
    assert f"@cached on {NAME}.report: " in str(raised.value)


def test_a_field_without_a_stable_text_is_reported_with_a_remedy():
    with pytest.raises(ConfigurationError, match=r"such as \{user_id\.pk\}"):
        make_key(make_keys(key="k:{user_id}"), object())


# ---- tags


def test_the_tags_of_a_call():
    keys = make_keys(tags=("user:{user_id}", "reports", "user:{year}"))
    assert make_tags(keys, 7) == ("user:7", "reports", "user:2026")
    assert make_tags(keys, 2026) == ("user:2026", "reports")


def test_a_function_can_return_the_tags():
    keys = make_keys(tags=lambda user_id, **_: (f"user:{each}" for each in user_id))
    assert make_tags(keys, [7, 8], draft=True) == ("user:7", "user:8")


def test_a_function_that_returns_no_list_or_str_is_reported():
    with pytest.raises(ConfigurationError, match="the function tags returned a str, not a list"):
        make_tags(make_keys(tags=lambda user_id: f"user:{user_id}"), 7)
    with pytest.raises(ConfigurationError, match="the function key returned a int, no str"):
        make_key(make_keys(key=lambda user_id: user_id), 7)


@given(st.text(), st.integers())
def test_a_tag_is_the_text_that_code_passes_to_delete_tags(word, number):
    keys = make_keys(tags=("{user_id}/{year}{draft}",))
    assert make_tags(keys, word, number, draft=None) == (f"{word}/{number}None",)


# ---- variants


def test_a_key_for_each_language():
    keys = make_keys(language=True, key="k")
    with translation.override("de"):
        assert make_key(keys, 7) == "k|language='de'"
    with translation.override(None):
        assert make_key(keys, 7) == "k|language=None"


def front(request, page=1):
    return page


def greet(user):
    return user


@pytest.mark.parametrize(
    ("user", "text"),
    [(User(pk=7), "django.contrib.auth.models.User(7)"), (AnonymousUser(), "anonymous")],
)
def test_a_key_for_each_user(user, text):
    keys = make_keys(front, user=True)
    assert make_key(keys, SimpleNamespace(user=user)) == f"{__name__}.front:page=1|user={text}"
    assert make_key(make_keys(greet, user=True, key="hello"), user) == f"hello|user={text}"


async def test_the_user_of_a_request_is_loaded_by_the_event_loop():
    async def auser():
        return User(pk=7)

    keys = make_keys(front, user=True, tags=("user:{user}",))
    call = await keys.abind((SimpleNamespace(auser=auser),), {})
    assert keys.make_tags(call) == ("user:7",)


def test_a_key_for_each_value_of_a_function():
    keys = make_keys(function=lambda user_id, **_: user_id > 5, key="k:{user_id}")
    assert make_key(keys, 7, year=1) == "k:7|vary_on=True"
    keys = make_keys(function=lambda _: object())
    with pytest.raises(ConfigurationError, match="the result of vary_on has no stable text"):
        make_key(keys, 7)


def test_a_user_without_a_primary_key_is_reported_with_the_function():
    keys = make_keys(front, user=True)
    with pytest.raises(
        ConfigurationError, match=r"@cached on .*front: the user has no stable text"
    ):
        make_key(keys, SimpleNamespace(user=User()))
