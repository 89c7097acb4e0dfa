"""Pickles that carry a signature, and the only place where one is loaded."""

from __future__ import annotations

import hmac
import pickle
from typing import Any

from continuum_upstash.errors import ConfigurationError, NotSerializable

_TAG_BYTES = 32
# Fixed, so that processes on different Pythons write the same; every supported one reads it.
_PROTOCOL = 5


class BadSignature(ValueError):
    """The pickle was not signed with any of the keys, so nothing of it was loaded."""


class SignedPickle:
    """HMAC-SHA256 over the pickle, then the pickle. The first key signs, every key verifies."""

    __slots__ = ("_keys",)

    def __init__(self, keys: tuple[bytes, ...]) -> None:
        if not all(keys):
            raise ConfigurationError("A key that signs pickles is empty: set SECRET_KEY.")
        self._keys = keys

    def dumps(self, value: object) -> bytes:
        """Return the tag and the pickle.

        Raises:
            NotSerializable: the value cannot be pickled.
            Exception: whatever the value's own code raises, such as SynchronousOnlyOperation.
        """
        try:
            payload = pickle.dumps(value, _PROTOCOL)
        # What pickle raises for the unpicklable (docs.python.org, "What can be pickled").
        except (pickle.PicklingError, AttributeError, TypeError, ValueError, RecursionError) as exc:
            raise NotSerializable(
                f"A {type(value).__qualname__} cannot be stored: {exc}. "
                f"Store the plain values it is made of."
            ) from exc
        return _tag(self._keys[0], payload) + payload

    def loads(self, data: memoryview) -> Any:
        """Return the signed value. Raises BadSignature, or ValueError if it cannot be built."""
        tag, payload = data[:_TAG_BYTES], data[_TAG_BYTES:]
        if not any(hmac.compare_digest(tag, _tag(key, payload)) for key in self._keys):
            raise BadSignature
        try:
            return pickle.loads(payload)
        # Its class moved or changed since: "AttributeError, EOFError, ImportError, and
        # IndexError" are the ones that pickle's documentation names, not exhaustively.
        except (pickle.UnpicklingError, AttributeError, EOFError, ImportError) as exc:
            raise ValueError(f"a signed object cannot be built: {exc}") from exc


def _tag(key: bytes, payload: bytes | memoryview) -> bytes:
    return hmac.digest(key, payload, "sha256")
