"""Signed pickles. No other module loads a pickle."""

from __future__ import annotations

import hmac
import pickle
from typing import Any

from continuum_upstash.errors import ConfigurationError, NotSerializable

_PURPOSE = b"continuum_upstash.pickle"  # part of stored signatures: never change it
_TAG_BYTES = 32
# Fixed: all supported Python versions read it and write the same bytes.
_PROTOCOL = 5


class BadSignature(ValueError):
    """The pickle was not signed with any of the keys, and was not loaded."""


class UnpickleError(ValueError):
    """The signature is valid, but the pickle's classes were removed, changed or raised an error.

    The message is the name of that error.
    """


class SignedPickle:
    """The HMAC-SHA256 of a pickle, followed by the pickle.

    The first secret signs and every secret verifies. Without secrets, nothing is signed or loaded.
    """

    __slots__ = ("_keys",)

    def __init__(self, secrets: tuple[bytes, ...]) -> None:
        if not all(secrets):
            raise ConfigurationError("A secret for signing pickles is empty. Set SECRET_KEY.")
        # A signature made elsewhere with the same secret, of a cookie say, is not valid here.
        self._keys = [hmac.digest(secret, _PURPOSE, "sha256") for secret in secrets]

    def __bool__(self) -> bool:
        return bool(self._keys)

    def dumps(self, value: object) -> bytes:
        """Return the signature and the pickle.

        Raises:
            NotSerializable: the value cannot be pickled.
            Exception: an error of the value's own code, for example SynchronousOnlyOperation.
        """
        try:
            payload = pickle.dumps(value, _PROTOCOL)
        # The errors for what cannot be pickled (docs.python.org, "What can be pickled").
        except (pickle.PicklingError, AttributeError, TypeError, ValueError, RecursionError) as exc:
            raise NotSerializable(
                f"A {type(value).__qualname__} cannot be stored: {exc}. "
                "Store its plain values instead."
            ) from exc
        return _sign(self._keys[0], payload) + payload

    def loads(self, data: memoryview) -> Any:
        """Return the value if the signature is valid.

        Raises:
            BadSignature: it is not.
            UnpickleError: its classes were removed or changed, or their code raised an error.
        """
        tag, payload = data[:_TAG_BYTES], data[_TAG_BYTES:]
        if not any(hmac.compare_digest(tag, _sign(key, payload)) for key in self._keys):
            raise BadSignature
        try:
            return pickle.loads(payload)
        except Exception as exc:  # the classes run their own code, which may raise anything
            raise UnpickleError(type(exc).__name__) from exc


def _sign(key: bytes, payload: bytes | memoryview) -> bytes:
    return hmac.digest(key, payload, "sha256")
