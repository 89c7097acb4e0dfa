"""Who is counted: no request makes it fail, and no spelling makes somebody else of a client."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.test import RequestFactory, override_settings
from hypothesis import given
from hypothesis import strategies as st

from continuum_upstash.ratelimit.http.identity import digest, identity, written
from continuum_upstash.ratelimit.policy import make

FIELDS = {"username": "alice", "tenant": "shop"}
KEYS = ["ip", "user", "user_or_ip", "header:X-Api-Key", "post:username", "ip+post:username"]
KEYS += ["post:tenant+post:username", "header:X-Api-Key+user_or_ip", "get:q"]


def who(key, *, fields=FIELDS, query="", headers=None, user=None, options=None, **meta):
    request = RequestFactory().post("/", fields, headers=headers, query_params={"q": query})
    request.META |= meta
    return identity(make("p", {"rate": "1/m", "key": key, **(options or {})}), request, user)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@pytest.mark.parametrize("key", KEYS)
@given(
    fields=st.fixed_dictionaries({"username": texts, "tenant": texts}),
    api_key=texts,
    query=texts,
    meta=st.dictionaries(
        st.sampled_from(["REMOTE_ADDR", "HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_HOST"]),
        texts,
    ),
    pk=st.none() | st.integers(0),
)
def test_no_request_makes_it_fail_and_a_key_is_always_as_long(
    key, fields, query, api_key, meta, pk
):
    user, headers = AnonymousUser() if pk is None else User(pk=pk), {"X-Api-Key": api_key}
    found = who(key, fields=fields, query=query, headers=headers, user=user, **meta)
    assert re.fullmatch("[0-9a-f]{32}", digest(found))
    assert len(found.split("\n")) == len(key.split("+"))


@given(one=st.tuples(texts, texts), other=st.tuples(texts, texts))
def test_what_two_fields_say_together_is_told_apart(one, other):
    key = "post:tenant+post:username"

    def said(values):
        return who(key, fields=dict(zip(("tenant", "username"), values, strict=True)))

    def spelt(values):
        return [who(f"post:{name}", fields={name: value}).split("=", 1)[1]
                for name, value in zip(("tenant", "username"), values, strict=True)]  # fmt: skip

    assert (said(one) == said(other)) == (spelt(one) == spelt(other))


@pytest.mark.parametrize(
    "spelling",
    ["Alice", " alice ", "ALICE", "\uff41\uff4c\uff49\uff43\uff45", "alice\u00a0", "\talice\n"],
)
def test_a_name_is_the_same_however_it_is_spelt(spelling):
    assert who("post:username", fields={"username": spelling}) == "post:username=alice"
    assert who("get:q", query=spelling) == "get:q=alice"


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("ip", {"HTTP_X_FORWARDED_FOR": "198.51.100.1"}),
        ("ip", {"HTTP_FORWARDED": "for=198.51.100.1"}),
        ("ip", {"HTTP_X_REAL_IP": "198.51.100.1"}),
        ("ip", {"HTTP_CF_CONNECTING_IP": "198.51.100.1"}),
        ("ip", {"HTTP_TRUE_CLIENT_IP": "198.51.100.1"}),
        ("ip", {"HTTP_X_HTTP_METHOD_OVERRIDE": "GET"}),
        ("ip", {"REMOTE_ADDR": "::ffff:127.0.0.1"}),
        ("ip", {"REMOTE_ADDR": "127.0.0.1:4711"}),
        ("ip", {"PATH_INFO": "//%2e/../", "QUERY_STRING": "a=1", "HTTP_HOST": "other"}),
        # Who leaves out what is counted by is counted by address, under no name of their choice.
        ("user", {"HTTP_X_API_KEY": "another"}),
        ("user", {"HTTP_AUTHORIZATION": "Bearer eyJzdWIiOiI3In0"}),
    ],
)
def test_what_a_client_may_write_does_not_make_it_somebody_else(key, change):
    assert who(key, **change) == who(key) == "ip=127.0.0.1"


@pytest.mark.parametrize("empty", ["", " ", "\t\u3000"])
def test_a_key_that_is_left_empty_is_no_bucket_that_all_share(empty):
    found = who("post:username", fields={"username": empty}, REMOTE_ADDR="203.0.113.7")
    assert found == "ip=203.0.113.7"


def test_no_value_can_pretend_to_be_another_part():
    forged = who("post:username", fields={"username": "x\nip=1.2.3.4"})
    assert forged == "post:username=x ip=1.2.3.4"


@pytest.mark.parametrize(
    ("found", "expected"),
    [("tenant-7", "key=tenant-7"), (7, "key=7"), (0, "key=0"), (None, "ip=127.0.0.1"),
     ("", "ip=127.0.0.1")],
)  # fmt: skip
def test_a_function_may_say_who_it_is(found, expected):
    assert who(lambda _request: found) == expected


def test_whose_counters_are_shared_is_written_as_the_other_side_writes_it():
    kept = {"rate": "1/m", "algorithm": "fixed", "upstash_prefix": "@upstash/ratelimit"}
    request = RequestFactory().get("/")
    for key, expected in ((lambda _: 7, "7"), ("ip", "127.0.0.1"), ("user", "5")):
        assert identity(make("p", {**kept, "key": key}), request, User(pk=5)) == expected


THEIRS = {"rate": "1/m", "algorithm": "fixed", "upstash_prefix": "@upstash/ratelimit"}
SHARED = {
    "header:X-Api-Key": lambda text: {"HTTP_X_API_KEY": text},
    "post:username": lambda text: {"fields": {"username": text}},
    "get:q": lambda text: {"query": text},
    "ip+post:username": lambda text: {"fields": {"username": text}},
}


def theirs(key, **said):
    return who(key, options=THEIRS, **{"fields": {}, "REMOTE_ADDR": "203.0.113.9", **said})


@pytest.mark.parametrize("key", SHARED)
@pytest.mark.parametrize("said", ["203.0.113.9", "ip\n203.0.113.9", "ip 203.0.113.9"])
def test_no_value_that_is_shared_can_pretend_to_be_an_address(key, said):
    found = theirs(key, **SHARED[key](said))
    assert found.split("+")[-1] == " ".join(said.split())
    assert found != theirs(key)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("ip", "203.0.113.9"),
        ("user_or_ip", "203.0.113.9"),
        ("user", "ip\n203.0.113.9"),
        (lambda _: None, "ip\n203.0.113.9"),
        ("ip+header:X-Api-Key", "203.0.113.9+ip\n203.0.113.9"),
    ],
)
def test_an_address_says_that_it_stands_in_for_something_else(key, expected):
    assert theirs(key) == expected
    policy = make("p", {**THEIRS, "key": key})
    assert written(policy, ["ip=203.0.113.9"] * max(1, len(policy.kinds))) == expected


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        ({"key": "ip"}, False),
        ({"key": "post:username"}, False),
        ({"key": "header:X-User"}, False),
        ({"key": "ip+user"}, True),
        ({"key": "user_or_ip"}, True),
        ({"key": "ip", "exempt": "staff"}, True),
        ({"key": lambda _: "x"}, False),
    ],
)
def test_a_session_is_read_only_where_the_user_matters(options, asked):
    assert make("p", {"rate": "1/m", **options}).asks_user is asked


def test_what_stands_for_an_identity_depends_on_the_secret():
    first = digest("ip=203.0.113.7")
    with override_settings(SECRET_KEY="another"):
        assert digest("ip=203.0.113.7") != first
