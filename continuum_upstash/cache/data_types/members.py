"""What the methods of hashes, lists, sets and sorted sets share: their commands and their values.

Two rules differ from those of plain values:

- In an outage they raise `Unavailable`, also with FALLBACK. The local store has only a part of a
  collection, so its replies would be wrong, and unlinking the key afterwards would delete the rest.
- A full database raises `CapacityExceeded`: dropping the old value would delete the collection.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property, lru_cache
from typing import Any, Final

from continuum_upstash.cache.cache_plans import CachePlans
from continuum_upstash.cache.codec_types import EXT_TYPES
from continuum_upstash.codec.codec import Codec
from continuum_upstash.codec.text import SignedBase64
from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import NotSerializable
from continuum_upstash.plans.effects import Plan, call
from continuum_upstash.plans.keyvalue import MISSING
from continuum_upstash.protocol import Argument, Reply

_CODECS: Final = 64


class MemberCodec:
    """Encodes members of sets and sorted sets, and elements of lists.

    Redis compares them by their bytes. Therefore a value has one encoding, over every transport,
    alone or with others. It is text, because the REST API takes one binary value in a request: JSON
    where that is exact, otherwise signed base64.
    """

    __slots__ = ("_base64", "_json", "_other")

    def __init__(self, config: Config) -> None:
        keys = config.signing_keys
        self._json = Codec(serializer="json", ext=EXT_TYPES)
        self._other = Codec(
            serializer=config.serializer,
            pickle_keys=keys if config.pickle == "signed" else (),
            signing_keys=keys,
            ext=EXT_TYPES,
        )
        self._base64 = SignedBase64(*config.base64_secrets)

    def encode(self, value: object) -> bytes:
        """Return the bytes of a member.

        Raises:
            NotSerializable: the value has no stored format.
        """
        try:
            return self._json.encode(value)
        except NotSerializable:
            data = self._other.encode(value)
        try:
            data.decode()
        except UnicodeDecodeError:
            return self._base64.encode(data).encode()
        return data


class CollectionPlans(CachePlans):
    """The base of the mixins of this package."""

    def _send(self, name: str, key: Any, version: int | None, *arguments: Argument) -> Plan[Any]:
        """Send a command for one key; return its reply."""
        full_key = self.make_and_validate_key(key, version)
        return call(name, full_key, *arguments, needs_server=True)

    @cached_property
    def _members(self) -> MemberCodec:
        return _make_member_codec(self._config)

    def _encode_member(self, value: object) -> bytes:
        data = self._members.encode(value)
        self._reject_too_large(data)
        return data

    def _encode_members(self, values: Iterable[object]) -> list[bytes]:
        return [self._encode_member(value) for value in values]

    def _reject_too_large(self, data: bytes) -> None:
        limit = self._config.max_value_bytes
        if limit is not None and len(data) > limit:
            raise ValueError(
                f"A value of {len(data)} bytes exceeds MAX_VALUE_BYTES ({limit}). Store a smaller "
                "one, or raise the limit."
            )

    def _decode(self, raw: Reply, default: Any = None) -> Any:
        return self._keyvalue.decode(raw, default) if isinstance(raw, bytes) else default

    def _decode_each(self, raws: Sequence[Reply]) -> list[Any]:
        """Return the values that can be decoded; a line in the log reports the others."""
        values = [self._decode(raw, MISSING) for raw in raws]
        return [value for value in values if value is not MISSING]


@lru_cache(maxsize=_CODECS)
def _make_member_codec(config: Config) -> MemberCodec:
    return MemberCodec(config)
