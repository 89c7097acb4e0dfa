"""Arguments of functions as text for cache keys: typed, and the same in each process.

Different values have different texts: ``1``, ``'1'`` and ``True``. A text contains no spaces and no
control characters. It never contains an address or a hash, which differ between processes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from types import MappingProxyType, NoneType
from typing import Any, Final
from urllib.parse import quote, quote_from_bytes
from uuid import UUID

from django.db.models import Model
from django.utils.safestring import SafeString

from continuum_upstash.errors import ConfigurationError

ANONYMOUS: Final = "anonymous"
"""The text of Django's AnonymousUser."""

MAX_DEPTH: Final = 16

# What stays readable between quotation marks; "|" separates the variants of a key.
_QUOTED_SAFE: Final = '!"#$&()*+,-./:;<=>?@[\\]^_`{}~'
_is_quoted_safe = re.compile(rf"[\w{re.escape(_QUOTED_SAFE)}]*", re.ASCII).fullmatch

# What stays readable in the field of a template. A separator consists of other characters.
_FIELD_SAFE: Final = "-._~@+"
_is_field_safe = re.compile(rf"[\w{re.escape(_FIELD_SAFE)}]*", re.ASCII).fullmatch
has_separator = re.compile(rf"[^\w{re.escape(_FIELD_SAFE)}%]", re.ASCII).search

# Python refuses to convert larger integers to decimal digits, since that takes quadratic time.
_MAX_DECIMAL_BITS: Final = 8_192


class UnsupportedArgument(ConfigurationError):
    """A value has no stable text; the message names its type."""

    def __init__(self, value: object, reason: str = "") -> None:
        kind = type(value)
        super().__init__(f"{kind.__module__}.{kind.__qualname__}{reason and f' ({reason})'}")


def describe(value: object, depth: int = 0) -> str:
    """Return the typed text of a value.

    Supported are None, bool, int, float, complex, str, bytes, Decimal, UUID, the types of datetime,
    enums, classes, model instances (by model and primary key), Django's AnonymousUser, and lists,
    tuples, sets, dicts and dataclasses of them. A member of an enum that is also a str or an int,
    as Django's TextChoices, has the text of its value, since it equals it.

    Raises:
        UnsupportedArgument: the value is of another type, is a model instance without a primary
            key, or is nested more than 16 levels deep.
    """
    write = _EXACT.get(type(value))
    if write is not None:
        return write(value)
    if depth >= MAX_DEPTH:
        raise UnsupportedArgument(value, f"nested more than {MAX_DEPTH} levels deep")
    write_all = _CONTAINERS.get(type(value))
    if write_all is not None:
        return write_all(value, depth + 1)
    return _describe_object(value, depth + 1)


def to_text(value: object) -> str:
    """Return the text of a value in a template: ``7`` for both 7 and "7".

    It is the `str` of the value, of an enum the name, of a model instance the primary key.

    Raises:
        UnsupportedArgument: the value is of a type that `describe` does not support, or a
            collection.
    """
    kind = type(value)
    if kind is str:
        return str(value)
    if kind is int:
        return _describe_int(value)
    if isinstance(value, Enum):
        return to_text(value.value) if isinstance(value, (str, int)) else str(value.name)
    if isinstance(value, Model):
        return to_text(_get_pk(value))
    if _is_anonymous(value):
        return ANONYMOUS
    if isinstance(value, (NoneType, str, int, float, Decimal, UUID, datetime, date, time)):
        return str(value)
    raise UnsupportedArgument(value)


def escape_field(text: str) -> str:
    """Percent-encode all but letters, digits and ``-._~@+``, so that no separator remains."""
    if _is_field_safe(text):
        return text
    return quote(text, safe=_FIELD_SAFE, errors="surrogatepass")


def _escape_quoted(text: str) -> str:
    if _is_quoted_safe(text):
        return text
    return quote(text, safe=_QUOTED_SAFE, errors="surrogatepass")


def _describe_object(value: object, depth: int) -> str:
    if isinstance(value, Enum):
        return _describe_enum(value, depth)
    if isinstance(value, type):
        return f"<{_get_path(value, value)}>"
    path = _get_path(value.__class__, value)  # of the object itself for a lazy one: request.user
    if isinstance(value, Model):
        return f"{path}({describe(_get_pk(value), depth)})"
    if _is_anonymous(value):
        return ANONYMOUS
    if is_dataclass(value):
        parts = [f"{name}={describe(each, depth)}" for name, each in _iter_fields(value)]
        return f"{path}({','.join(parts)})"
    if isinstance(value, tuple) and hasattr(value, "_fields"):  # a named tuple
        return path + _describe_tuple(value, depth)
    raise UnsupportedArgument(value)


def _describe_enum(value: Enum, depth: int) -> str:
    if isinstance(value, (str, int)):
        return describe(value.value, depth)
    # Of flags, a combination may have no name.
    name: str | None = value.name
    return f"{_get_path(type(value), value)}({describe(name or value.value, depth)})"


def _iter_fields(instance: Any) -> Iterator[tuple[str, object]]:
    for each in fields(instance):
        yield each.name, getattr(instance, each.name)


def _get_path(kind: type, value: object) -> str:
    path = f"{kind.__module__}.{kind.__qualname__}"
    if "<locals>" in path:
        raise UnsupportedArgument(value, "a class defined in a function has no stable name")
    return path


def _get_pk(instance: Model) -> object:
    if instance.pk is None:
        raise UnsupportedArgument(instance, "without a primary key: save it first")
    return instance.pk


def _is_anonymous(value: object) -> bool:
    """Return whether a value is a user without an identity, as Django's AnonymousUser is."""
    return getattr(value, "is_anonymous", False) is True and getattr(value, "pk", None) is None


def _describe_int(value: Any) -> str:
    return str(value) if value.bit_length() <= _MAX_DECIMAL_BITS else hex(value)


def _describe_str(value: Any) -> str:
    return f"'{_escape_quoted(value)}'"


def _describe_bytes(value: Any) -> str:
    return f"b'{quote_from_bytes(value, safe=_QUOTED_SAFE)}'"


def _quote_str_of(value: Any) -> str:
    """Return the text of a value whose `str` contains all of it."""
    return f"{type(value).__name__}'{_escape_quoted(str(value))}'"


def _quote_iso(value: Any) -> str:
    return f"{type(value).__name__}'{_escape_quoted(value.isoformat())}'"


def _describe_timedelta(value: Any) -> str:
    return f"timedelta'{value.days}d{value.seconds}.{value.microseconds:06}s'"


def _join(values: Iterable[object], depth: int) -> str:
    return ",".join([describe(each, depth) for each in values])


def _join_sorted(values: Iterable[object], depth: int) -> str:
    return ",".join(sorted([describe(each, depth) for each in values]))


def _describe_tuple(value: Any, depth: int) -> str:
    return f"({_join(value, depth)})"


def _describe_dict(value: Any, depth: int) -> str:
    items = [f"{describe(key, depth)}:{describe(each, depth)}" for key, each in value.items()]
    return f"{{{','.join(sorted(items))}}}"  # equal dicts may differ in order


_EXACT: Final[Mapping[type, Callable[[Any], str]]] = MappingProxyType(
    {
        NoneType: str,
        bool: str,
        int: _describe_int,
        float: repr,
        complex: repr,
        str: _describe_str,
        # Functions may escape a str but not a SafeString, so their results differ.
        SafeString: _quote_str_of,
        bytes: _describe_bytes,
        Decimal: _quote_str_of,
        UUID: _quote_str_of,
        date: _quote_iso,
        datetime: _quote_iso,
        time: _quote_iso,
        timedelta: _describe_timedelta,
    }
)

_CONTAINERS: Final[Mapping[type, Callable[[Any, int], str]]] = MappingProxyType(
    {
        list: lambda value, depth: f"[{_join(value, depth)}]",
        tuple: _describe_tuple,
        set: lambda value, depth: f"set{{{_join_sorted(value, depth)}}}",
        frozenset: lambda value, depth: f"frozenset{{{_join_sorted(value, depth)}}}",
        dict: _describe_dict,
    }
)
