"""Binary values as signed text: only what one of our clients wrote is unwrapped."""

from __future__ import annotations

from base64 import b64decode, b64encode

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from continuum_upstash.codec.codec import Codec, DecodeError
from continuum_upstash.codec.text import SignedBase64
from continuum_upstash.codec.zstd import compress
from continuum_upstash.errors import NotSerializable

SITE, TOKEN = b"the site's key", b"the database's token"
codec = Codec(signing_keys=(SITE,))
base64 = SignedBase64((SITE,))


@pytest.mark.parametrize("value", [[1, (2,)], "x" * 999, range(5), None, {"a": b"\xff"}], ids=repr)
def test_a_value_sent_as_text_is_read_back(value):
    codec = Codec(pickle_keys=(SITE,), compress_min_bytes=500)
    text = base64.encode(codec.encode(value))
    back = codec.decode(text.encode())
    assert text.isascii()
    assert (type(back), back) == (type(value), value)


# The content of each is valid: without the check, its reader would get what the writer chose.
CONTENTS = [
    b"\xc7\x19\x20<script>alert(1)</script>",
    msgpack.packb({"is_staff": True}),
    msgpack.packb([1, 2, 3]),
    b"\xc3",
    b"\xd4\x0e\x00",
    b"\x01" + (compress(b"x" * 500) or b""),
    b"\x02" + bytes(40),
    b"abc",
    b"",
]


@pytest.mark.parametrize("content", CONTENTS, ids=repr)
@pytest.mark.parametrize(
    "form",
    ["~{0}", "~~{0}", "~{1}~{0}", "~{0}~{0}", "~{1}{0}", " ~{0}", "~{0}\n", "~{2}~{0}~", "~{2}~"],
)
def test_text_that_only_looks_similar_stays_text(form, content):
    encoded = b64encode(content).decode()
    text = form.format(encoded, "A" * 22, b64encode(bytes(16)).decode())
    assert codec.decode(text.encode()) == text


def test_the_text_of_a_users_that_holds_markup_stays_text():
    text = "~xxkgPHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg=="
    value = codec.decode(text.encode())
    assert (type(value), value) == (str, text)


@given(st.text())
def test_any_text_after_a_tilde_stays_text(text):
    assert codec.decode(f"~{text}".encode()) == f"~{text}"


@pytest.mark.parametrize("tag", [bytes(16), bytes(32), b"\xff" * 16])
@pytest.mark.parametrize("content", CONTENTS[:-1], ids=repr)
def test_an_imitation_of_the_whole_form_is_undecodable(tag, content):
    text = b"~" + b64encode(tag) + b"~" + b64encode(content)
    with pytest.raises(DecodeError, match="BadSignature"):
        codec.decode(text)


def test_no_changed_character_is_accepted():
    text = base64.encode(b"\x93\x01\x02\x03").encode()
    for position in range(1, len(text)):
        for other in (b"A", b"B", b"~"):
            changed = text[:position] + other + text[position + 1 :]
            if changed == text:
                continue
            try:
                value = codec.decode(changed)
            except DecodeError:
                continue
            assert value == changed.decode()


def test_a_tag_for_another_purpose_is_not_valid():
    signed = Codec(pickle_keys=(SITE,)).encode(range(3))
    tag, payload = signed[1:17], signed[33:]
    with pytest.raises(DecodeError):
        codec.decode(b"~" + b64encode(tag) + b"~" + b64encode(payload))


class TestWhoCanReadIt:
    content = msgpack.packb([1])

    def read(self, text: str, *secrets: tuple[bytes, ...]):
        return Codec(base64=SignedBase64(*secrets)).decode(text.encode())

    def test_a_site_and_a_client_that_has_only_the_token_read_each_others_text(self):
        site, client = SignedBase64((SITE,), (TOKEN,)), SignedBase64((), (TOKEN,))
        assert self.read(site.encode(self.content), (), (TOKEN,)) == [1]
        assert self.read(client.encode(self.content), (SITE,), (TOKEN,)) == [1]

    def test_the_token_may_change_where_the_site_has_its_own_key(self):
        text = SignedBase64((SITE,), (TOKEN,)).encode(self.content)
        assert self.read(text, (SITE,), (b"the new token",)) == [1]

    def test_a_former_key_verifies_and_the_first_signs(self):
        text = SignedBase64((b"new", SITE)).encode(self.content)
        assert self.read(text, (b"new",)) == [1]
        with pytest.raises(DecodeError):
            self.read(text, (SITE,))
        assert self.read(base64.encode(self.content), (b"new", SITE)) == [1]

    def test_without_the_secret_it_is_undecodable_and_not_a_str(self):
        text = base64.encode(self.content)
        for secrets in ((), ((b"other",),), ((b"other",), (TOKEN,))):
            with pytest.raises(DecodeError):
                self.read(text, *secrets)

    def test_each_group_adds_a_tag_of_16_bytes(self):
        for groups in (1, 2):
            _, tags, _ = SignedBase64(*[(SITE,)] * groups).encode(b"\xff").split("~")
            assert len(b64decode(tags)) == 16 * groups


def test_without_a_secret_nothing_is_encoded():
    with pytest.raises(NotSerializable, match="Pass pickle_keys, or a token that is a string"):
        SignedBase64((), ()).encode(b"\xff")
