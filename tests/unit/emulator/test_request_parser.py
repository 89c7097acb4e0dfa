import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum_upstash.emulator.commands.request import ParsedRequest, RequestRejected, RequestType
from continuum_upstash.emulator.http.request_parser import parse_query, parse_request, split_path

_text = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.lists(_text, min_size=1))
def test_json_strings_become_utf8_bytes(arguments):
    body = json.dumps(arguments).encode()
    expected = ParsedRequest(RequestType.SINGLE, [[argument.encode() for argument in arguments]])
    assert parse_request("POST", [], b"", body) == expected


@given(st.integers())
def test_integers_of_any_size_keep_their_digits(number):
    assert parse_request("POST", [], b"", b"[%d]" % number).commands == [[b"%d" % number]]


@pytest.mark.parametrize(
    ("path", "segments"),
    [
        (b"/", []),
        (b"/get/k", [b"get", b"k"]),
        (b"/get/k/", [b"get", b"k"]),
        (b"/set/k//EX", [b"set", b"k", b"", b"EX"]),
        (b"/get/a%3Ab%FF", [b"get", b"a:b\xff"]),
    ],
)
def test_a_path_is_split_before_it_is_decoded(path, segments):
    assert split_path(path) == segments


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (b"", []),
        (b"EX=100", [b"EX", b"100"]),
        (b"EX=100&PXAT=1", [b"EX", b"100", b"PXAT", b"1"]),
        (b"_token=secret&EX=1", [b"EX", b"1"]),
        (b"a%26b=c%3Dd", [b"a&b", b"c=d"]),
    ],
)
def test_query_parameters_become_arguments_in_order(query, words):
    assert list(parse_query(query)) == words


@pytest.mark.parametrize("query", [b"NX", b"EX=100&NX", b"NX=", b"NX=GET", b"xx=get", b"KEEPTTL"])
def test_a_flag_in_the_query_is_a_syntax_error(query):
    with pytest.raises(RequestRejected, match="ERR syntax error"):
        list(parse_query(query))


@pytest.mark.parametrize("path", [b"/get/a%2Fb", b"/get/a%2fb"])
def test_an_encoded_slash_in_a_path_is_refused(path):
    with pytest.raises(RequestRejected, match="%2F") as rejection:
        split_path(path)
    assert rejection.value.status == 404


def test_the_body_of_a_get_request_is_ignored():
    assert parse_request("GET", [b"get", b"k"], b"", b"x").commands == [[b"get", b"k"]]


@pytest.mark.parametrize("body", [b"{}", b"1", b'"a"', b"null", b"true"])
def test_a_body_that_is_not_an_array_is_rejected(body):
    with pytest.raises(RequestRejected, match="expected JSON array"):
        parse_request("POST", [], b"", body)
