from __future__ import annotations

import pytest

from continuum_upstash.sessions.keys import compute_digests, is_session_key, make_redis_key


def test_there_is_a_digest_for_each_secret_and_none_contains_the_session_key(settings):
    one = compute_digests("k" * 32)
    settings.SECRET_KEY_FALLBACKS = ["older", "oldest"]
    three = compute_digests("k" * 32)
    assert three[0] == one[0]
    assert len(set(three)) == 3
    assert all("kkk" not in digest for digest in three)


@pytest.mark.parametrize("key", ["abcdefgh", "0" * 32, "z9" * 64])
def test_keys_in_djangos_format_are_session_keys(key):
    assert is_session_key(key)


def test_a_redis_key_contains_the_prefix_and_the_digest():
    assert make_redis_key("p", "d1") == "continuum:session:p:d1"
