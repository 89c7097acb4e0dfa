from __future__ import annotations

import pytest
from django.core import signing
from django.core.signing import JSONSerializer
from hypothesis import given
from hypothesis import strategies as st

from continuum_upstash.sessions.merge import merged, pause
from continuum_upstash.sessions.signing import Draft, digests, is_session_key, payload, seal, unseal

FIELDS = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2))


def sealed(data, digest="d1", until=0):
    return seal(Draft(digest, data, JSONSerializer, until))


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()), st.integers(0, 2**40))
def test_what_was_sealed_can_be_opened_for_the_same_session_alone(data, until):
    record = unseal(sealed(data, until=until), ["d1"], JSONSerializer)
    assert (record.data, record.listed_until, record.digest) == (data, until, "d1")
    assert unseal(sealed(data), ["d2"], JSONSerializer) is None


@given(st.binary())
def test_no_bytes_that_we_did_not_seal_are_a_session(raw):
    assert unseal(raw, ["d1", "d2"], JSONSerializer) is None


@given(st.integers(min_value=0), st.integers(1, 255))
def test_a_changed_byte_is_noticed(position, change):
    raw = bytearray(sealed({"a": 1}, until=12345))
    raw[position % len(raw)] ^= change
    assert unseal(bytes(raw), ["d1"], JSONSerializer) is None


def test_a_record_is_ascii_so_that_it_travels_in_json():
    assert sealed({"name": "Ada 愛"}).isascii()


def test_the_payload_does_not_depend_on_the_stamp():
    assert payload(sealed({"a": 1})) == payload(sealed({"a": 1}, until=99))
    assert payload(sealed({"a": 1})) != payload(sealed({"a": 2}))


def test_a_record_that_was_moved_while_secrets_changed_is_still_read():
    record = unseal(sealed({"a": 1}, digest="old"), ["new", "new", "old"], JSONSerializer)
    assert (record.digest, record.data) == ("new", {"a": 1})


def test_the_fallback_secrets_verify(settings):
    raw = sealed({"a": 1})
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", [settings.SECRET_KEY]
    assert unseal(raw, ["d1"], JSONSerializer).data == {"a": 1}
    settings.SECRET_KEY_FALLBACKS = []
    assert unseal(raw, ["d1"], JSONSerializer) is None


def test_what_django_signed_for_another_use_is_no_session():
    assert unseal(signing.dumps({"a": 1}).encode(), ["d1"], JSONSerializer) is None


def test_there_is_a_digest_for_each_secret_and_none_tells_the_key(settings):
    one = digests("k" * 32)
    settings.SECRET_KEY_FALLBACKS = ["older", "oldest"]
    three = digests("k" * 32)
    assert three[0] == one[0]
    assert len(set(three)) == 3
    assert all("kkk" not in digest for digest in three)


@pytest.mark.parametrize("key", ["abcdefgh", "0" * 32, "z9" * 64])
def test_keys_of_djangos_form_are_session_keys(key):
    assert is_session_key(key)


@given(FIELDS, FIELDS, FIELDS)
def test_a_merge_keeps_what_either_changed_and_mine_where_both_did(base, mine, theirs):
    result = merged(base, mine, theirs)
    for name in base.keys() | mine.keys() | theirs.keys():
        before, after, other = base.get(name), mine.get(name), theirs.get(name)
        assert result.get(name) == (after if after != before else other)


@given(FIELDS, FIELDS)
def test_a_merge_with_nobody_is_what_i_have(base, mine):
    assert merged(base, mine, base) == mine
    assert merged(base, base, mine) == mine


def test_pauses_grow_and_stay_short():
    assert max(pause(0).seconds for _ in range(50)) <= 0.001
    assert all(pause(60).seconds <= 1 for _ in range(50))
