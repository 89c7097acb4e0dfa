"""Converts stored bytes of the source to stored bytes of the target."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from continuum_upstash.cache.data_types.members import MemberCodec
from continuum_upstash.codec.codec import Codec
from continuum_upstash.plans.effects import Encode, Plan
from continuum_upstash.protocol import Argument

ReadValue: TypeAlias = Callable[[bytes], Any]

# What a ReadValue returns for bytes that have this package's format already.
KEPT: Final = object()


class Unreadable(ValueError):
    """Stored bytes of the source cannot be decoded, or the value has no stored format."""


class ValueConverter(NamedTuple):
    """
    Attributes:
        read: returns the value of stored bytes of the source; None: they have this package's
            format and are stored as they are.
        members: encodes the members of lists, sets and sorted sets.
        is_text_only: reject binary data: over REST it would be stored as text of this package.
    """

    read: ReadValue | None
    members: MemberCodec
    is_text_only: bool = False

    def convert(self, raw: bytes) -> Plan[bytes]:
        """Return the stored bytes of a string or of a hash's value.

        Raises:
            Unreadable: see there.
        """
        if self.read is None:
            return self._check(raw)
        value = self._read(raw)
        if value is KEPT:
            return raw
        try:
            data: bytes = yield Encode(value)
        except Exception as error:  # also one of the value's own code, while it is pickled
            raise Unreadable(_describe(error)) from error
        return data

    def convert_member(self, raw: bytes) -> bytes:
        """Return the stored bytes of a member. Raises Unreadable."""
        if self.read is None:
            return self._check(raw)
        value = self._read(raw)
        try:
            return self.members.encode(value)
        except Exception as error:  # likewise
            raise Unreadable(_describe(error)) from error

    def convert_items(self, kind: str, items: Sequence[bytes]) -> Plan[list[Argument]]:
        """Return the arguments that store a page of a collection.

        Args:
            kind: the Redis type.
            items: as `SourceReader.read_items` returns them.

        Raises:
            Unreadable: see there.
        """
        arguments: list[Argument] = []
        if kind in {"list", "set"}:
            arguments += map(self.convert_member, items)
            return arguments
        for first, second in zip(items[::2], items[1::2], strict=True):
            if kind == "hash":
                arguments += (_decode_field(first), (yield from self.convert(second)))
            else:
                arguments += (second.decode("ascii"), self.convert_member(first))
        return arguments

    def _check(self, raw: bytes) -> bytes:
        if self.is_text_only:
            try:
                raw.decode()
            except UnicodeDecodeError as error:
                raise Unreadable("binary data: copy it over TCP, with a rediss:// URL") from error
        return raw

    def _read(self, raw: bytes) -> Any:
        assert self.read is not None
        try:
            return self.read(raw)
        except Exception as error:  # also one of a class that is unpickled
            raise Unreadable(_describe(error)) from error


def are_equal(codec: Codec, expected: bytes, actual: bytes) -> bool:
    """Return whether stored bytes of the target have the same value.

    Over REST, a value is stored as another text than over TCP.
    """
    if expected == actual:
        return True
    try:
        first, second = codec.read_envelope(expected), codec.read_envelope(actual)
        if first._replace(content=b"") != second._replace(content=b""):
            return False
        one, other = codec.decode(first.content), codec.decode(second.content)
        is_equal = type(one) is type(other) and bool(one == other)
        return is_equal or codec.encode(one) == codec.encode(other)
    except Exception:  # noqa: BLE001 undecodable, or an error of the value's own comparison
        return False


def _decode_field(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise Unreadable("a field of the hash is not text") from error


def _describe(error: Exception) -> str:
    """Return an error without its text, which may contain the value."""
    return type(error).__name__
