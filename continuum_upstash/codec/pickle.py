"""Signed pickles. No other module loads a pickle."""

from __future__ import annotations

from typing import Any

from continuum_upstash.codec.signature import Signer
from continuum_upstash.errors import NotSerializable

_PURPOSE = b"continuum_upstash.pickle"  # part of stored signatures: never change it
# Fixed: all supported Python versions read it and write the same bytes.
_PROTOCOL = 5


class UnpickleError(ValueError):
    """The signature is valid, but the pickle's classes were removed, changed or raised an error.

    The message is the name of that error.
    """


class SignedPickle:
    """The HMAC-SHA256 of a pickle, followed by the pickle.

    The first secret signs and every secret verifies. Without secrets, nothing is signed or loaded.
    """

    __slots__ = ("_signer",)

    def __init__(self, secrets: tuple[bytes, ...]) -> None:
        self._signer = Signer(secrets, _PURPOSE)

    def __bool__(self) -> bool:
        return bool(self._signer)

    def dumps(self, value: object) -> bytes:
        """Return the signature and the pickle.

        Raises:
            NotSerializable: the value cannot be pickled.
            Exception: an error of the value's own code, for example SynchronousOnlyOperation.
        """
        import pickle  # noqa: PLC0415 clients start faster without it

        try:
            payload = pickle.dumps(value, _PROTOCOL)
        # The errors for what cannot be pickled (docs.python.org, "What can be pickled").
        except (pickle.PicklingError, AttributeError, TypeError, ValueError, RecursionError) as exc:
            raise NotSerializable(
                f"A {type(value).__qualname__} cannot be stored: {exc}. "
                "Store its plain values instead."
            ) from exc
        return self._signer.sign(payload)

    def loads(self, data: memoryview) -> Any:
        """Return the value if the signature is valid.

        Raises:
            BadSignature: it is not.
            UnpickleError: its classes were removed or changed, or their code raised an error.
        """
        import pickle  # noqa: PLC0415 likewise

        payload = self._signer.verify(data)
        try:
            return pickle.loads(payload)
        except Exception as exc:  # the classes run their own code, which may raise anything
            raise UnpickleError(type(exc).__name__) from exc
