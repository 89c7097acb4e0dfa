"""The payload of a job as text: JSON where that is exact, else the codec's bytes in base64."""

from __future__ import annotations

from typing import Any, Final

from continuum_upstash.codec.codec import Codec
from continuum_upstash.codec.json import encode_json
from continuum_upstash.codec.text import SignedBase64
from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import NotSerializable
from continuum_upstash.federation.errors import PayloadRejected
from continuum_upstash.plans.effects import Encode, Plan

# An acknowledgement sends the payload again, and a reply with 100 jobs must stay below the 10 MB
# that the service allows for a reply.
MAX_BYTES: Final = 64 * 1024
MAX_DEPTH: Final = 100
_CONTAINERS: Final = (dict, list, tuple, set, frozenset)


class PayloadEncoder:
    """Encodes and decodes the payloads of one database.

    Args:
        codec: of the alias; it decodes every format.
        config: its secrets sign what JSON cannot represent.
    """

    def __init__(self, codec: Codec, config: Config) -> None:
        self._codec = codec
        self._base64 = SignedBase64(*config.base64_secrets)

    def encode(self, payload: object) -> Plan[str]:
        """Return the text of a payload.

        Raises:
            PayloadRejected: it is too large, too deeply nested or cannot be stored.
        """
        _check_depth(payload)
        try:
            text = encode_json(payload, lambda value: value).decode()
        except NotSerializable:
            text = yield from self._encode_binary(payload)
        size = len(text.encode())
        if size > MAX_BYTES:
            raise PayloadRejected(
                f"The payload has {size:,} bytes as text, and the limit is {MAX_BYTES:,}. Store "
                "the data elsewhere and enqueue its key."
            )
        return text

    def _encode_binary(self, payload: object) -> Plan[str]:
        try:
            data: bytes = yield Encode(payload)
        except (NotSerializable, RecursionError) as error:
            raise PayloadRejected(
                f"A payload of type {type(payload).__qualname__} cannot be stored: {error}"
            ) from error
        if len(data) > MAX_BYTES:  # before base64, which is a third larger
            return "~" * len(data)
        return self._base64.encode(data)

    def decode(self, text: str) -> Any:
        """Return the payload.

        Raises:
            DecodeError: the text cannot be decoded; the message contains nothing of it.
        """
        return self._codec.decode(text.encode())


def _check_depth(payload: object) -> None:
    """Reject what is nested too deeply, cyclic, or has more items than the limit has bytes."""
    level, items = [payload], 0
    for _ in range(MAX_DEPTH + 1):
        inner: list[object] = []
        for each in level:
            if isinstance(each, dict):
                inner += (*each.keys(), *each.values())
            elif isinstance(each, _CONTAINERS):
                inner += each
        if not inner:
            return
        items += len(inner)
        if items > MAX_BYTES:
            raise PayloadRejected(
                f"The payload has more than {MAX_BYTES:,} items, and the limit is {MAX_BYTES:,} "
                "bytes. Store the data elsewhere and enqueue its key."
            )
        level = inner
    raise PayloadRejected(f"The payload is nested more than {MAX_DEPTH} levels deep, or cyclic.")
