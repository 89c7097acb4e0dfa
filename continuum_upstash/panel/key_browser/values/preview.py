"""What stored bytes contain, as text that is safe to show. No pickle is ever loaded."""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

from django.utils.translation import gettext_lazy as _

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.cache.codec_types import EXT_TYPES
from continuum_upstash.codec.codec import Codec, DecodeError
from continuum_upstash.codec.envelope import Envelope
from continuum_upstash.codec.text import SignedBase64
from continuum_upstash.codec.zstd import InvalidFrame, decompress
from continuum_upstash.panel.formatting import Text
from continuum_upstash.panel.key_browser.masking import has_hidden_word, is_lock_token

MAX_BYTES: Final = 10 * 1024  # that are read of a value
_MAX_CONTENT: Final = 256 * 1024  # that a compressed value may have
_MAX_CHARACTERS: Final = 10 * 1024  # that are shown
_MAX_DEPTH: Final = 12
_HMAC_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Preview:
    """The value of a key.

    Attributes:
        format: the name of its stored format.
        data: the stored bytes, at most MAX_BYTES.
        size: how many the value has.
        text: its value as text; None: it is not shown, and `note` says why.
        note: what the reader should know.
        envelope: its freshness and tags, if it has an envelope.
        reason: why it is hidden by default; empty: it is not.
    """

    format: Text
    data: bytes
    size: int
    text: str | None = None
    note: Text = ""
    envelope: Envelope | None = None
    reason: Text = ""

    @property
    def is_cut(self) -> bool:
        return len(self.data) < self.size


class Previewer:
    """Decodes stored bytes of one alias.

    Attributes:
        tag_prefix: what stands before each tag as it is stored.
    """

    def __init__(self, cache: UpstashBaseCache) -> None:
        self.tag_prefix = f"{cache.key_prefix}:"
        config = cache.database.config
        self._base64 = SignedBase64(*config.base64_secrets)
        self._codec = Codec(
            pickle_keys=(),  # never loaded
            signing_keys=config.signing_keys,
            base64=self._base64,
            max_decoded_bytes=_MAX_CONTENT,
            ext=EXT_TYPES,
        )

    def preview(self, data: bytes, size: int) -> Preview:
        """Return the preview of a value.

        Args:
            data: its first bytes.
            size: how many it has.
        """
        envelope, content = self._open(data)
        name, text, note = self._describe(content, is_cut=len(data) < size)
        reason: Text = ""
        if text is not None and has_hidden_word(text):
            reason = _("The value contains a word such as TOKEN or PASSWORD.")
        elif is_lock_token(content):
            reason = _("The value looks like the token of a lock.")
        return Preview(name, data, size, text, note, envelope, reason)

    def _open(self, data: bytes) -> tuple[Envelope | None, bytes]:
        """Return the envelope, if there is one, and the ordinary stored bytes."""
        try:
            envelope = self._codec.read_envelope(data)
            content = envelope.content
            if content.startswith(b"~"):
                content = self._base64.decode(content) or content
        except ValueError:  # damaged, cut, or another program's text
            return None, data
        has_own = envelope.fresh_until_ms or envelope.compute_ms or envelope.tokens
        return (envelope if has_own else None), content

    def _describe(self, content: bytes, *, is_cut: bool) -> tuple[Text, str | None, Text]:
        """Return the name of a format, the text of its value, and a note."""
        if content.startswith(b"\x01"):
            try:
                content = decompress(content[1:], _MAX_CONTENT)
            except InvalidFrame:
                return _("compressed (zstd)"), None, _("The value is too large, or damaged.")
            is_cut = False
        signed = content[1 + _HMAC_BYTES :] if content.startswith(b"\x02") else b""
        if _is_pickle(content) or _is_pickle(signed):
            name = _("signed pickle") if signed else _("pickle")
            return name, None, _("Pickles are never loaded.")
        if is_cut:
            return _describe_beginning(content)
        try:
            value = self._codec.decode(content)
        except DecodeError:
            return _("unknown format"), _try_text(content), _("The cache cannot decode this value.")
        return _name_format(content, value), _format_value(value), ""


def _try_text(content: bytes) -> str | None:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def _is_pickle(data: bytes) -> bool:
    """Return whether bytes begin with a pickle's PROTO opcode and its number."""
    return data[:1] == b"\x80" and data[1:2] in {b"\2", b"\3", b"\4", b"\5"}


def _describe_beginning(content: bytes) -> tuple[Text, str | None, Text]:
    name: Text = _("text")
    for lead, header in ((0xD9, 2), (0xDA, 3), (0xDB, 5)):  # a str of msgpack
        if content[:1] == bytes([lead]):
            name, content = "msgpack, str", content[header:]
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(content)
    except UnicodeDecodeError:
        return _("binary"), None, _("The value is too large to decode here.")
    return name, text, ""


def _name_format(content: bytes, value: object) -> Text:
    kind = type(value).__name__
    if type(value) is str and content == value.encode("utf-8", "surrogatepass"):
        return _("text")
    if content.startswith(b"\x02"):
        return f"signed msgpack, {kind}"
    if content[:1] >= b"\x80":
        return f"msgpack, {kind}"
    return _("number") if isinstance(value, (int, float)) else f"JSON, {kind}"


def _format_value(value: object) -> str:
    """Return a decoded value as text: a str as it is, everything else as Python writes it."""
    if isinstance(value, str):
        return value[:_MAX_CHARACTERS]
    parts, left = [], _MAX_CHARACTERS
    for part in islice(_iterate_parts(value, 0), _MAX_CHARACTERS):
        parts.append(part[:left])
        left -= len(part)
        if left <= 0:
            return "".join(parts) + "…"
    return "".join(parts)


def _iterate_parts(value: object, depth: int) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        yield "…"
    elif isinstance(value, Mapping):
        items: Sequence[tuple[str, Any]] = [(f"{key!r}: ", each) for key, each in value.items()]
        yield from _iterate_items(items, "{", "}", depth)
    elif isinstance(value, (list, tuple, set, frozenset)):
        opening, closing = "()" if isinstance(value, tuple) else "[]"
        if isinstance(value, (set, frozenset)):
            name = type(value).__name__
            opening, closing = ("{", "}") if value and name == "set" else (f"{name}({{", "})")
        yield from _iterate_items([("", each) for each in value], opening, closing, depth)
    else:
        yield repr(value)


def _iterate_items(
    items: Sequence[tuple[str, Any]], opening: str, closing: str, depth: int
) -> Iterator[str]:
    yield opening
    for label, each in items:
        yield f"\n{'  ' * (depth + 1)}{label}"
        yield from _iterate_parts(each, depth + 1)
        yield ","
    yield f"\n{'  ' * depth}{closing}" if items else closing
