"""Pickles that carry a signature, and the only place where one is loaded."""

from __future__ import annotations

import hmac
import pickle
from typing import Any

from continuum_upstash.errors import ConfigurationError, NotSerializable

_PURPOSE = b"continuum_upstash.pickle"  # stored values depend on it
_TAG_BYTES = 32
# Fixed, so that processes on different Pythons write the same; every supported one reads it.
_PROTOCOL = 5


class BadSignature(ValueError):
    """The pickle was not signed with any of the keys, so nothing of it was loaded."""


class UnpickleError(ValueError):
    """The pickle is ours, but its classes are not here any more, or have changed."""


class SignedPickle:
    """HMAC-SHA256 over the pickle, then the pickle.

    The first secret signs, every secret verifies; without secrets nothing does.
    """

    __slots__ = ("_keys",)

    def __init__(self, secrets: tuple[bytes, ...]) -> None:
        if not all(secrets):
            raise ConfigurationError("A secret that signs pickles is empty: set SECRET_KEY.")
        # What the same secret signs elsewhere, a cookie say, is no signature here.
        self._keys = [hmac.digest(secret, _PURPOSE, "sha256") for secret in secrets]

    def __bool__(self) -> bool:
        return bool(self._keys)

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
        """Return the signed value. Raises BadSignature or UnpickleError."""
        tag, payload = data[:_TAG_BYTES], data[_TAG_BYTES:]
        if not any(hmac.compare_digest(tag, _tag(key, payload)) for key in self._keys):
            raise BadSignature
        try:
            return pickle.loads(payload)
        # Those that pickle's documentation names, "not necessarily" all: what a class raises
        # itself while it is rebuilt is its own affair.
        except (pickle.UnpicklingError, AttributeError, EOFError, ImportError, IndexError) as exc:
            raise UnpickleError(str(exc)) from exc


def _tag(key: bytes, payload: bytes | memoryview) -> bytes:
    return hmac.digest(key, payload, "sha256")
