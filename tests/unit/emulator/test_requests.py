import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum_upstash.emulator.http import requests
from continuum_upstash.emulator.http.requests import Form, Kind, Refused

_text = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.lists(_text, min_size=1))
def test_json_strings_arrive_as_their_utf8_bytes(arguments):
    body = json.dumps(arguments).encode()
    expected = Form(Kind.SINGLE, [[argument.encode() for argument in arguments]])
    assert requests.read("POST", [], b"", body) == expected


@given(st.integers())
def test_integers_of_any_size_keep_their_digits(number):
    assert requests.read("POST", [], b"", b"[%d]" % number).commands == [[b"%d" % number]]


@pytest.mark.parametrize(
    ("path", "segments"),
    [
        (b"/", []),
        (b"/get/k", [b"get", b"k"]),
        (b"/get/k/", [b"get", b"k"]),
        (b"/set/k//EX", [b"set", b"k", b"", b"EX"]),
        (b"/get/a%2Fb%FF", [b"get", b"a/b\xff"]),
    ],
)
def test_a_path_is_split_before_it_is_decoded(path, segments):
    assert requests.split_path(path) == segments


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (b"", []),
        (b"EX=100", [b"EX", b"100"]),
        (b"EX=100&NX", [b"EX", b"100", b"NX"]),
        (b"EX=100&NX=", [b"EX", b"100", b"NX"]),
        (b"_token=secret&EX=1", [b"EX", b"1"]),
        (b"a%26b=c%3Dd", [b"a&b", b"c=d"]),
    ],
)
def test_query_parameters_are_arguments_in_their_order(query, words):
    assert list(requests.arguments(query)) == words


def test_the_body_of_a_get_is_not_read():
    assert requests.read("GET", [b"get", b"k"], b"", b"x").commands == [[b"get", b"k"]]


@pytest.mark.parametrize("body", [b"{}", b"1", b'"a"', b"null", b"true"])
def test_only_arrays_are_commands(body):
    with pytest.raises(Refused, match="expected JSON array"):
        requests.read("POST", [], b"", body)
