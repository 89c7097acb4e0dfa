"""Full keys and the glob patterns that match them.

The position of the key and the version in a full key is found by calling the key function with
numbers in their place: quoting, slugs and changes of case do not alter digits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

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
"""TTLs in seconds of common key families, a starting point for OPTIONS["TTL_BY_PREFIX"]."""

SESSION_KEYS = "continuum:session:"
SESSION_INDEX_KEYS = "continuum:session-user:"
RATELIMIT_KEYS = "continuum:ratelimit:"
SHADOW_RATELIMIT_KEYS = "continuum:ratelimit-shadow:"
STATISTICS_KEYS = "continuum:stats:"
DOCTOR_KEYS = "continuum:doctor:"
TAG_KEYS = "continuum:tag:"
LEASE_KEYS = "continuum:lease:"
QUEUE_KEYS = "fed:queue:{"
BUDGET_KEYS = "continuum:budget:"
TASK_KEYS = "continuum:task:"
MIGRATION_KEYS = "continuum:migration:"
MIGRATION_COPY_KEYS = "continuum:migration-copy:"
RESERVED_KEYS = (
    SESSION_KEYS,
    SESSION_INDEX_KEYS,
    RATELIMIT_KEYS,
    SHADOW_RATELIMIT_KEYS,
    STATISTICS_KEYS,
    DOCTOR_KEYS,
    TAG_KEYS,
    LEASE_KEYS,
    BUDGET_KEYS,
    MIGRATION_KEYS,
    TASK_KEYS,
    MIGRATION_COPY_KEYS,
)
"""What the Redis keys of features begin with, and no key of a cache does."""

_KEY = "918273645546372819"
_LONG_KEY = "64" * 200  # some key functions hash only the keys that memcached would reject
_VERSION = 5049382716
_OTHER_VERSION = 6172839405


def may_be_reserved(beginning: str) -> bool:
    """Return whether a key that begins like this can be one of `RESERVED_KEYS`."""
    return beginning.startswith(RESERVED_KEYS) or any(
        each.startswith(beginning) for each in RESERVED_KEYS
    )


def escape_glob(text: str) -> str:
    """Return the glob pattern that matches exactly `text` (see the Redis command KEYS)."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", text)


class AliasPattern(NamedTuple):
    """Matches the full keys of one alias, of every version.

    Attributes:
        pattern: SCAN's glob; it also matches keys of other aliases.
        any_version: matches keys of every version, and those of the `nested` aliases.
        own_versions: matches keys of the alias's VERSION and of versions that are numbers.
        sample: a key of the alias.
        nested: aliases whose prefix looks like this alias's prefix and a version: ``shop:eu`` is
            nested in ``shop``.
    """

    pattern: str
    any_version: re.Pattern[str]
    own_versions: re.Pattern[str]
    sample: str
    nested: tuple[AliasPattern, ...] = ()

    def matches(self, name: str) -> bool:
        if name.startswith(RESERVED_KEYS) or not self.any_version.fullmatch(name):
            return False
        return self.own_versions.fullmatch(name) is not None or not any(
            each.any_version.fullmatch(name) for each in self.nested
        )

    def exclude(self, others: Iterable[AliasPattern]) -> AliasPattern:
        """Return a pattern that does not match the keys of other aliases nested in this one."""
        nested = tuple(
            each
            for each in others
            if self.any_version.fullmatch(each.sample)
            and not each.any_version.fullmatch(self.sample)
        )
        return self._replace(nested=nested)


class KeyPattern(NamedTuple):
    """Matches the full keys of one alias and version by a user's glob pattern.

    Attributes:
        pattern: SCAN's glob; all but the user's part is escaped.
        prefix: the part of a full key before the user's key.
        suffix: the part after it.
        reverse: converts a full key to the user's key, for key functions that change the key.
    """

    pattern: str
    prefix: str
    suffix: str
    reverse: ReverseFunction | None = None

    def matches(self, name: str) -> bool:
        fixed = len(self.prefix) + len(self.suffix)
        return (
            len(name) >= fixed
            and name.startswith(self.prefix)
            and name.endswith(self.suffix)
            and not name.startswith(RESERVED_KEYS)
        )

    def extract_key(self, name: str) -> str:
        """Return the user's key of a matching full key."""
        if self.reverse is not None:
            return self.reverse(name)
        return name[len(self.prefix) : len(name) - len(self.suffix)]


def make_alias_pattern(key_func: KeyFunction, prefix: str, version: Any = 1) -> AliasPattern:
    """Return the pattern for all keys of an alias, of every version.

    If the prefix of another alias is this prefix, ":" and this alias's VERSION or a number, its
    keys match, too: they cannot be distinguished.

    Args:
        key_func: the alias's key function.
        prefix: its KEY_PREFIX.
        version: its VERSION.

    Raises:
        ConfigurationError: the key function does not keep the key or adds nothing to it, so no
            pattern can match the alias's keys only.
    """
    sample = key_func(_KEY, prefix, _VERSION)
    parts = re.split(f"({_KEY}|{_VERSION})", sample)
    literals = "".join(parts[::2])
    globs = [escape_glob(part) if i % 2 == 0 else "*" for i, part in enumerate(parts)]

    def join_parts(version_regex: str) -> str:
        variable = {_KEY: ".*", str(_VERSION): version_regex}
        return "".join(variable.get(part, re.escape(part)) for part in parts)

    own_version = re.escape(key_func(_KEY, prefix, version)).replace(_KEY, ".*")
    pattern = AliasPattern(
        "".join(globs),
        re.compile(join_parts(".*"), re.DOTALL),
        re.compile(f"{join_parts('-?[0-9]+')}|{own_version}", re.DOTALL),
        sample,
    )
    if _KEY not in parts or not pattern.matches(key_func(_LONG_KEY, prefix, _OTHER_VERSION)):
        raise ConfigurationError(
            f"{_describe(key_func)} does not keep the key and the version (it hashes them, for "
            f"example), so the keys of this alias cannot be found. {_CLEAR_HINT}"
        )
    if not literals:
        raise ConfigurationError(
            f"{_describe(key_func)} adds nothing to the key, so the keys of this alias cannot be "
            f"distinguished from others. Set KEY_PREFIX. {_CLEAR_HINT}"
        )
    return pattern


def make_scoped_pattern(
    key_func: KeyFunction,
    prefix: str,
    version: Any,
    pattern: str,
    reverse: ReverseFunction | None = None,
) -> KeyPattern:
    """Return the pattern for the keys of an alias and version that match a user's glob pattern.

    Raises:
        ConfigurationError: the key function does not keep the key, so no pattern can match it.
    """
    before, found, after = key_func(_KEY, prefix, version).partition(_KEY)
    if not found or _KEY in after:
        raise ConfigurationError(
            f"{_describe(key_func)} does not keep the key (it hashes it, for example), so no "
            "pattern can match it. Use an alias with Django's default KEY_FUNCTION for these keys."
        )
    return KeyPattern(escape_glob(before) + pattern + escape_glob(after), before, after, reverse)


def make_scope_regex(key_func: KeyFunction, prefix: str, version: Any) -> str:
    """Return the regular expression of what precedes the user's key in an alias's full keys.

    It matches this alias's VERSION and versions that are numbers.

    Raises:
        ConfigurationError: the key function does not keep the key.
    """
    pattern = make_scoped_pattern(key_func, prefix, _VERSION, "")
    own = make_scoped_pattern(key_func, prefix, version, "").prefix
    numbered = "-?[0-9]+".join(map(re.escape, pattern.prefix.split(str(_VERSION))))
    return f"(?:{numbered}|{re.escape(own)})"


_CLEAR_HINT = (
    'If the alias owns its database, set OPTIONS["CLEAR"] = "flushdb" or call flush_all().'
)


def _describe(key_func: KeyFunction) -> str:
    return f"The key function {getattr(key_func, '__qualname__', type(key_func).__qualname__)}"
