"""The identity of a client: no request raises an error, and no client can imitate another."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.test import RequestFactory, override_settings
from hypothesis import given
from hypothesis import strategies as st

from continuum_upstash.ratelimit.engine.identity_hash import hash_identity
from continuum_upstash.ratelimit.http.identity import get_identity, parse_identity
from continuum_upstash.ratelimit.policy import parse_policy

FIELDS = {"username": "alice", "tenant": "shop"}
KEYS = ["ip", "user", "user_or_ip", "header:X-Api-Key", "post:username", "ip+post:username"]
KEYS += ["post:tenant+post:username", "header:X-Api-Key+user_or_ip", "get:q"]


def identify(key, *, fields=FIELDS, query="", headers=None, user=None, options=None, **meta):
    request = RequestFactory().post("/", fields, headers=headers, query_params={"q": query})
    request.META |= meta
    return get_identity(
        parse_policy("p", {"rate": "1/m", "key": key, **(options or {})}), request, user
    )


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
def test_no_request_raises_an_error_and_a_hash_has_a_fixed_length(
    key, fields, query, api_key, meta, pk
):
    user, headers = AnonymousUser() if pk is None else User(pk=pk), {"X-Api-Key": api_key}
    found = identify(key, fields=fields, query=query, headers=headers, user=user, **meta)
    assert re.fullmatch("[0-9a-f]{32}", hash_identity(found))
    assert len(found.split("\n")) == len(key.split("+"))


@given(one=st.tuples(texts, texts), other=st.tuples(texts, texts))
def test_different_values_of_two_fields_are_different_identities(one, other):
    key = "post:tenant+post:username"

    def identify_both(values):
        return identify(key, fields=dict(zip(("tenant", "username"), values, strict=True)))

    def normalize(values):
        return [identify(f"post:{name}", fields={name: value}).split("=", 1)[1]
                for name, value in zip(("tenant", "username"), values, strict=True)]  # fmt: skip

    assert (identify_both(one) == identify_both(other)) == (normalize(one) == normalize(other))


@pytest.mark.parametrize(
    "spelling",
    ["Alice", " alice ", "ALICE", "\uff41\uff4c\uff49\uff43\uff45", "alice\u00a0", "\talice\n"],
)
def test_a_name_has_one_identity_in_all_spellings(spelling):
    assert identify("post:username", fields={"username": spelling}) == "post:username=alice"
    assert identify("get:q", query=spelling) == "get:q=alice"


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
        # A client without the required key is counted by address, not by a name of its choice.
        ("user", {"HTTP_X_API_KEY": "another"}),
        ("user", {"HTTP_AUTHORIZATION": "Bearer eyJzdWIiOiI3In0"}),
    ],
)
def test_nothing_that_a_client_can_send_changes_its_identity(key, change):
    assert identify(key, **change) == identify(key) == "ip=127.0.0.1"


@pytest.mark.parametrize("empty", ["", " ", "\t\u3000"])
def test_an_empty_value_is_counted_by_address(empty):
    found = identify("post:username", fields={"username": empty}, REMOTE_ADDR="203.0.113.7")
    assert found == "ip=203.0.113.7"


def test_no_value_can_imitate_another_part():
    forged = identify("post:username", fields={"username": "x\nip=1.2.3.4"})
    assert forged == "post:username=x ip=1.2.3.4"


@pytest.mark.parametrize(
    ("found", "expected"),
    [("tenant-7", "key=tenant-7"), (7, "key=7"), (0, "key=0"), (None, "ip=127.0.0.1"),
     ("", "ip=127.0.0.1")],
)  # fmt: skip
def test_a_function_can_return_the_identity(found, expected):
    assert identify(lambda _request: found) == expected


def test_with_upstash_prefix_the_identity_has_the_form_of_upstash_ratelimit():
    options = {"rate": "1/m", "algorithm": "fixed", "upstash_prefix": "@upstash/ratelimit"}
    request = RequestFactory().get("/")
    for key, expected in ((lambda _: 7, "7"), ("ip", "127.0.0.1"), ("user", "5")):
        assert (
            get_identity(parse_policy("p", {**options, "key": key}), request, User(pk=5))
            == expected
        )


UPSTASH = {"rate": "1/m", "algorithm": "fixed", "upstash_prefix": "@upstash/ratelimit"}
SHARED = {
    "header:X-Api-Key": lambda text: {"HTTP_X_API_KEY": text},
    "post:username": lambda text: {"fields": {"username": text}},
    "get:q": lambda text: {"query": text},
    "ip+post:username": lambda text: {"fields": {"username": text}},
}


def identify_for_upstash(key, **values):
    return identify(key, options=UPSTASH, **{"fields": {}, "REMOTE_ADDR": "203.0.113.9", **values})


@pytest.mark.parametrize("key", SHARED)
@pytest.mark.parametrize("text", ["203.0.113.9", "ip\n203.0.113.9", "ip 203.0.113.9"])
def test_with_upstash_prefix_no_value_can_imitate_an_address(key, text):
    found = identify_for_upstash(key, **SHARED[key](text))
    assert found.split("+")[-1] == " ".join(text.split())
    assert found != identify_for_upstash(key)


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
def test_with_upstash_prefix_an_address_in_place_of_another_source_is_marked(key, expected):
    assert identify_for_upstash(key) == expected
    policy = parse_policy("p", {**UPSTASH, "key": key})
    assert parse_identity(policy, ["ip=203.0.113.9"] * max(1, len(policy.sources))) == expected


@pytest.mark.parametrize(
    ("options", "expected"),
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
def test_the_user_is_loaded_only_if_a_policy_needs_it(options, expected):
    assert parse_policy("p", {"rate": "1/m", **options}).needs_user is expected


def test_the_hash_depends_on_the_secret_key():
    first = hash_identity("ip=203.0.113.7")
    with override_settings(SECRET_KEY="another"):
        assert hash_identity("ip=203.0.113.7") != first
