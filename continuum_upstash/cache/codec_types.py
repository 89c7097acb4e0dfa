"""What Django brings to the codec: safe strings, lazy text, and a key to sign pickles with."""

from __future__ import annotations

from django.conf import settings
from django.utils.encoding import force_bytes
from django.utils.functional import Promise
from django.utils.safestring import SafeString

from continuum_upstash.codec.ext_types import ExtType, ProxyType


def pickle_keys() -> tuple[bytes, ...]:
    """Return the secrets of a Codec's signed pickles: SECRET_KEY and SECRET_KEY_FALLBACKS."""
    return tuple(map(force_bytes, (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)))


def _text_of(promise: Promise) -> object:
    """Return lazy text as text: a translation is stored in the language active now.

    A proxy has the methods of what it may stand for. One for anything but text is left to pickle.
    """
    return str(promise) if hasattr(promise, "casefold") else promise


EXT_TYPES = (
    ExtType(
        code=32,
        type=SafeString,
        write=lambda text: text.encode("utf-8", "surrogatepass"),
        read=lambda payload: SafeString(payload.decode("utf-8", "surrogatepass")),
    ),
    ProxyType(Promise, _text_of),
)
