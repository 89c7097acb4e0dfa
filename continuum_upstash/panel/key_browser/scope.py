"""Which keys a page is about: those of an alias in Django's form, or all of its database."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from continuum_upstash.cache.base import UpstashBaseCache
from continuum_upstash.keys import KeyPattern, escape_glob, make_scoped_pattern
from continuum_upstash.panel.key_browser.masking import ProtectionFinder

MAX_KEY_BYTES = 2_000  # in a URL; longer keys are listed and have no page


@dataclass(frozen=True, slots=True)
class KeyScope:
    """
    Attributes:
        cache: the alias.
        is_raw: whether keys are full Redis keys, of any program.
        protections: finds the protected keys.
    """

    cache: UpstashBaseCache
    is_raw: bool = False
    protections: ProtectionFinder = field(default_factory=ProtectionFinder)

    def make_pattern(self, glob: str) -> KeyPattern:
        """Return the pattern of full keys.

        Raises:
            ConfigurationError: the alias's key function hides the keys.
        """
        if self.is_raw:
            return KeyPattern(glob, "", "")
        cache = self.cache
        return make_scoped_pattern(cache.key_func, cache.key_prefix, cache.version, glob)

    def make_full_key(self, key: str) -> str | None:
        """Return the Redis key of a key; None if the alias cannot have it."""
        with suppress(Exception):  # a KEY_FUNCTION may accept only its application's own keys
            full_key = key if self.is_raw else str(self.cache.make_key(key))
            full_key.encode()
            return full_key if key else None
        return None

    def extract_key(self, full_key: str, pattern: KeyPattern) -> str | None:
        """Return the key of a full key that SCAN found; None if it belongs to another program."""
        if self.is_raw:
            return full_key
        if not pattern.matches(full_key):
            return None
        return pattern.extract_key(full_key)

    def has_page(self, key: str, full_key: str) -> bool:
        """Return whether a URL can name the key, and the key function turns it to the full key."""
        return len(key.encode()) <= MAX_KEY_BYTES and self.make_full_key(key) == full_key


def has_wildcards(text: str) -> bool:
    return any(each in text for each in "*?[\\")


def make_glob(text: str) -> str:
    """Return the pattern of a search: text without wildcards is the beginning of a key."""
    return text if has_wildcards(text) else f"{escape_glob(text)}*"
