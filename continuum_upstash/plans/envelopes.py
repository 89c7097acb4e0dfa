"""Reads values in envelopes: a value past its time, or of a deleted tag, counts as missing.

A tag is valid while its key holds the token that was stored with the value. Tokens are random and
never return: whatever removes one (`delete_tags`, an eviction, an expiry), the values that were
stored with it stay invalid.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar

from continuum_upstash.codec.codec import Codec, DecodeError
from continuum_upstash.codec.envelope import ENVELOPE, Envelope
from continuum_upstash.keys import TAG_KEYS
from continuum_upstash.observe import ValueDiscarded, report_discarded
from continuum_upstash.plans.effects import Plan, call

K = TypeVar("K")

MAY_BE_ENVELOPED: Final = (ENVELOPE, b"~")
"""What the stored bytes of an envelope begin with; ``~`` is base64 of it, or text."""

_LEADS: Final = frozenset(MAY_BE_ENVELOPED)
_MAX_TAGS_PER_READ: Final = 1_000


def get_unix_ms() -> int:
    # The attribute is looked up at each call: tests replace it.
    return int(time.time() * 1000)


class EnvelopeReader:
    """
    Args:
        codec: of the alias.
        alias: its name in the records for observers.
        clock: returns Unix milliseconds.
    """

    __slots__ = ("_alias", "_codec", "now_ms")

    def __init__(self, codec: Codec, alias: str, clock: Callable[[], int] = get_unix_ms) -> None:
        self._codec = codec
        self._alias = alias
        self.now_ms = clock

    def read(self, raw: bytes) -> Envelope | None:
        """Return the envelope of stored bytes; ordinary bytes get an empty one.

        Returns None, and logs it, if the bytes are no valid envelope.
        """
        try:
            return self._codec.read_envelope(raw)
        except DecodeError as error:
            reason = f"a stored value cannot be decoded: {error}"
            report_discarded(ValueDiscarded(self._alias, reason, "undecodable"))
            return None

    def open_one(self, raw: bytes) -> Plan[bytes | None]:
        """Return the ordinary stored bytes of a value; None if it is not valid now."""
        if not raw.startswith(MAY_BE_ENVELOPED):
            return raw
        return (yield from self.open_all({None: raw})).get(None)

    def open_all(self, raws: Mapping[K, bytes]) -> Plan[dict[K, bytes]]:
        """Return the ordinary stored bytes of the values that are valid now.

        Sends one MGET if a value has tags.
        """
        now_ms = self.now_ms()
        envelopes: dict[K, Envelope] = {}
        for key, raw in raws.items():
            envelope = self.read(raw)
            if envelope is not None and envelope.is_fresh(now_ms):
                envelopes[key] = envelope
        tags = dict.fromkeys(tag for each in envelopes.values() for tag in each.tokens)
        current = yield from fetch_tokens(tags)
        return {
            key: each.content
            for key, each in envelopes.items()
            if has_current_tokens(each, current)
        }


def has_envelope(raws: Iterable[bytes | None]) -> bool:
    """Return whether any of the stored bytes may be an envelope."""
    return not _LEADS.isdisjoint([raw[:1] for raw in raws if raw])


def has_current_tokens(envelope: Envelope, current: Mapping[str, bytes | None]) -> bool:
    """Return whether none of a value's tags was deleted.

    Args:
        envelope: the value.
        current: the tokens in the database, read with the value or after it.
    """
    return all(current.get(tag) == token for tag, token in envelope.tokens.items())


def fetch_tokens(tags: Iterable[str]) -> Plan[dict[str, bytes | None]]:
    """Return the tokens of tags in the database; None for a tag without one."""
    names = list(tags)
    tokens: dict[str, bytes | None] = {}
    for start in range(0, len(names), _MAX_TAGS_PER_READ):
        chunk = names[start : start + _MAX_TAGS_PER_READ]
        replies = yield from call("MGET", *(f"{TAG_KEYS}{tag}" for tag in chunk))
        tokens.update(zip(chunk, replies, strict=True))
    return tokens
