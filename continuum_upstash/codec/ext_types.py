"""The types that are stored besides msgpack's own: how they are written and read.

Each is a msgpack extension: a code and a payload. Both are stored in databases: never change one,
and never reuse a code.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class NotPackable(TypeError):
    """A part of the value is neither native to msgpack nor exactly of a known type."""


class SignatureRequired(NotPackable):
    """A part of the value may only be read from a signed value."""


class ExtType(NamedTuple):
    """How values of one type are stored.

    Attributes:
        code: the msgpack extension code. Up to 31 are for this package, 32 to 127 for its users.
        type: exactly this type; instances of subclasses are not included.
        write: returns the payload of a value. Raises NotPackable if it has none.
        read: returns the value of a payload. Payloads are untrusted: it raises ValueError,
            TypeError, ArithmeticError, LookupError or OSError for an invalid one.
        is_signed: read only from a value that was signed with one of our secrets.
    """

    code: int
    type: type
    write: Callable[[Any], bytes]
    read: Callable[[bytes], Any]
    is_signed: bool = False


class LazyType(NamedTuple):
    """A type whose instances are evaluated when they are stored, for example lazy text.

    Attributes:
        type: this type and its subclasses.
        resolve: returns the value to store, or its argument if that cannot be stored.
    """

    type: type
    resolve: Callable[[Any], object]
