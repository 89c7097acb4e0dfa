"""Full keys and the glob patterns that find them: SCAN takes a pattern, clear() must not err.

Where a key function puts the key and the version is learnt by calling it with numbers that stand
for them: digits pass through quoting, slugs and changes of case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

from continuum_upstash.errors import ConfigurationError

KeyFunction: TypeAlias = Callable[[Any, str, Any], str]  # Django's KEY_FUNCTION
ReverseFunction: TypeAlias = Callable[[str], str]  # django-redis' REVERSE_KEY_FUNCTION

DEFAULT_TTL_BY_PREFIX: Mapping[str, int] = MappingProxyType(
    {
        "session:": 60 * 60,
        "query:": 5 * 60,
        "memory:": 30 * 60,
        "ratelimit:": 60,
        "fed:queue:": 24 * 60 * 60,
        "ws:": 5 * 60,
    }
)
"""Key families and their seconds, as a start for OPTIONS["TTL_BY_PREFIX"]."""

_KEY = "918273645546372819"
_LONG_KEY = "64" * 200  # key functions are known that hash only what memcached would refuse
_VERSION = 5049382716
_OTHER_VERSION = 6172839405


def escape_glob(text: str) -> str:
    """Return the pattern that matches exactly `text` (Redis' glob, see the command KEYS)."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", text)


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """The keys of one alias, whatever their version.

    Attributes:
        pattern: for SCAN; it finds more than the alias's keys.
        form: what exactly the alias's keys look like.
    """

    pattern: str
    form: re.Pattern[str]

    def matches(self, name: str) -> bool:
        return self.form.fullmatch(name) is not None


@dataclass(frozen=True, slots=True)
class Pattern:
    """A user's glob pattern, within one alias and version.

    Attributes:
        pattern: for SCAN; everything but the user's part is escaped.
        head: what stands before the user's part of a full key.
        tail: what stands after it.
        reverse: full key to user's key, for a key function that changes keys.
    """

    pattern: str
    head: str
    tail: str
    reverse: ReverseFunction | None = None

    def matches(self, name: str) -> bool:
        fixed = len(self.head) + len(self.tail)
        return len(name) >= fixed and name.startswith(self.head) and name.endswith(self.tail)

    def key(self, name: str) -> str:
        """Return the user's key of a full key that matches."""
        if self.reverse is not None:
            return self.reverse(name)
        return name[len(self.head) : len(name) - len(self.tail)]


def own_keys(key_func: KeyFunction, prefix: str) -> OwnKeys:
    """Return how to find the keys of an alias, every version.

    A key of another alias whose prefix is this one plus ":" and a number looks the same as one
    of this alias's, and is taken for one.

    Raises:
        ConfigurationError: the key function does not let its keys be told from others.
    """
    parts = re.split(f"({_KEY}|{_VERSION})", key_func(_KEY, prefix, _VERSION))
    literals = "".join(parts[::2])
    globs = [escape_glob(part) if i % 2 == 0 else "*" for i, part in enumerate(parts)]
    forms = {_KEY: ".*", str(_VERSION): "-?[0-9]+"}
    form = "".join(forms.get(part, re.escape(part)) for part in parts)
    own = OwnKeys("".join(globs), re.compile(form, re.DOTALL))
    if _KEY not in parts or not own.matches(key_func(_LONG_KEY, prefix, _OTHER_VERSION)):
        raise ConfigurationError(
            f"{_name(key_func)} hides keys, as a hash does, so that those of this alias cannot be "
            f"told from others. {_INSTEAD}"
        )
    if not literals:
        raise ConfigurationError(
            f"{_name(key_func)} adds nothing to a key, so that those of this alias cannot be told "
            f"from others. Set KEY_PREFIX. {_INSTEAD}"
        )
    return own


def user_pattern(
    key_func: KeyFunction,
    prefix: str,
    version: Any,
    pattern: str,
    reverse: ReverseFunction | None = None,
) -> Pattern:
    """Return how to find the keys of an alias and version that match a user's glob pattern.

    Raises:
        ConfigurationError: the key function hides the key, so that no pattern can find it.
    """
    head, found, tail = key_func(_KEY, prefix, version).partition(_KEY)
    if not found or _KEY in tail:
        raise ConfigurationError(
            f"{_name(key_func)} hides keys, as a hash does, so that no pattern finds them. Keep "
            f"the keys that you look for in an alias with Django's own KEY_FUNCTION."
        )
    return Pattern(escape_glob(head) + pattern + escape_glob(tail), head, tail, reverse)


_INSTEAD = 'If the alias owns its database, set OPTIONS["CLEAR"] = "flushdb" or call flush_all().'


def _name(key_func: KeyFunction) -> str:
    return f"The key function {getattr(key_func, '__qualname__', type(key_func).__qualname__)}"
