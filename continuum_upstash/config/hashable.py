"""Nested options as values that can be compared and hashed, as a configuration is."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Final, cast

_MAPPING: Final = "dict"
_SEQUENCE: Final = "list"


def freeze(value: Any) -> Hashable:
    """Return a hashable form of nested dicts and lists; `thaw` gives them back."""
    if isinstance(value, Mapping):
        return (_MAPPING, *sorted((key, freeze(item)) for key, item in value.items()))
    if isinstance(value, (list, tuple)):
        return (_SEQUENCE, *(freeze(item) for item in value))
    return cast("Hashable", value)


def thaw(frozen: Any) -> Any:
    """Return the dicts and lists that `freeze` was given."""
    if isinstance(frozen, tuple) and frozen[:1] == (_MAPPING,):
        return {key: thaw(item) for key, item in frozen[1:]}
    if isinstance(frozen, tuple) and frozen[:1] == (_SEQUENCE,):
        return [thaw(item) for item in frozen[1:]]
    return frozen
