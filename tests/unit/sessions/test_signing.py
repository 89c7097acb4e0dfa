from __future__ import annotations

from django.core import signing
from django.core.signing import JSONSerializer
from hypothesis import given
from hypothesis import strategies as st

from continuum_upstash.sessions.signing import get_payload, verify
from tests.unit.sessions.session_plans import sign_data


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()), st.integers(0, 2**40))
def test_signed_data_is_verified_for_the_same_session_only(data, until):
    session = verify(sign_data(data, until=until), ["d1"], JSONSerializer)
    assert (session.data, session.indexed_until, session.digest) == (data, until, "d1")
    assert verify(sign_data(data), ["d2"], JSONSerializer) is None


@given(st.binary())
def test_random_bytes_are_rejected(raw):
    assert verify(raw, ["d1", "d2"], JSONSerializer) is None


@given(st.integers(min_value=0), st.integers(1, 255))
def test_a_changed_byte_is_detected(position, change):
    raw = bytearray(sign_data({"a": 1}, until=12345))
    raw[position % len(raw)] ^= change
    assert verify(bytes(raw), ["d1"], JSONSerializer) is None


def test_signed_data_is_ascii_and_fits_in_json():
    assert sign_data({"name": "Ada 愛"}).isascii()


def test_the_payload_does_not_depend_on_the_stamp():
    assert get_payload(sign_data({"a": 1})) == get_payload(sign_data({"a": 1}, until=99))
    assert get_payload(sign_data({"a": 1})) != get_payload(sign_data({"a": 2}))


def test_a_session_that_was_moved_from_an_older_digest_is_verified():
    session = verify(sign_data({"a": 1}, digest="old"), ["new", "new", "old"], JSONSerializer)
    assert (session.digest, session.data) == ("new", {"a": 1})


def test_data_signed_with_a_fallback_secret_is_verified(settings):
    raw = sign_data({"a": 1})
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "new", [settings.SECRET_KEY]
    assert verify(raw, ["d1"], JSONSerializer).data == {"a": 1}
    settings.SECRET_KEY_FALLBACKS = []
    assert verify(raw, ["d1"], JSONSerializer) is None


def test_data_that_django_signed_for_another_use_is_rejected():
    assert verify(signing.dumps({"a": 1}).encode(), ["d1"], JSONSerializer) is None
