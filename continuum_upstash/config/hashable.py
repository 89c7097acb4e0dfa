"""Converts nested options to hashable values, since a configuration is a key of the registry."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Final, cast

_MAPPING: Final = "dict"
_SEQUENCE: Final = "list"


def to_hashable(value: Any) -> Hashable:
    """Return nested dicts and lists as tuples; `from_hashable` restores them."""
    if isinstance(value, Mapping):
        return (_MAPPING, *sorted((key, to_hashable(item)) for key, item in value.items()))
    if isinstance(value, (list, tuple)):
        return (_SEQUENCE, *(to_hashable(item) for item in value))
    return cast("Hashable", value)


def from_hashable(value: Any) -> Any:
    """Return the dicts and lists that were passed to `to_hashable`."""
    if isinstance(value, tuple) and value[:1] == (_MAPPING,):
        return {key: from_hashable(item) for key, item in value[1:]}
    if isinstance(value, tuple) and value[:1] == (_SEQUENCE,):
        return [from_hashable(item) for item in value[1:]]
    return value
