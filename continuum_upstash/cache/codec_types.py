"""Django's types in the codec: SafeString, pages, lazy text; and the keys that sign values."""

from __future__ import annotations

from django.conf import settings
from django.utils.encoding import force_bytes
from django.utils.functional import Promise
from django.utils.safestring import SafeString

from continuum_upstash.cache.pages.cached_page import CachedPage, pack_page, unpack_page
from continuum_upstash.codec.ext_types import ExtType, LazyType


def get_signing_keys() -> tuple[bytes, ...]:
    """Return the secrets that sign stored values: SECRET_KEY and SECRET_KEY_FALLBACKS."""
    return tuple(map(force_bytes, (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)))


def _to_text(promise: Promise) -> object:
    """Return lazy text as a str: a translation is stored in the active language.

    A lazy object has the methods of its result types. Lazy objects other than text are pickled.
    """
    return str(promise) if hasattr(promise, "casefold") else promise


EXT_TYPES = (
    ExtType(
        code=32,
        type=SafeString,
        write=lambda text: text.encode("utf-8", "surrogatepass"),
        read=lambda payload: SafeString(payload.decode("utf-8", "surrogatepass")),
        is_signed=True,  # a template does not escape it
    ),
    ExtType(code=33, type=CachedPage, write=pack_page, read=unpack_page, is_signed=True),
    LazyType(Promise, _to_text),
)
