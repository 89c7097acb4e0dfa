"""Values as JSON text, as @upstash/redis (JS) and every other client reads it.

Strict: nothing is written that would come back as something else.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from continuum_upstash.codec.limits import MAX_INT_BITS, MAX_INT_DIGITS, MAX_OBJECTS, TooManyObjects
from continuum_upstash.errors import NotSerializable

_ATOMS = frozenset({str, float, bool, type(None)})


def write_json(value: object, resolve: Callable[[object], object]) -> bytes:
    """Return compact UTF-8 JSON; `resolve` returns what stands for an object, or that object.

    Raises:
        NotSerializable: JSON would lose or change something: a tuple, a set, bytes, a date, a
            key that is not a str, NaN, a lone surrogate, a subclass of a plain type.
    """

    def default(item: object) -> object:
        plain = resolve(item)
        if plain is item:
            raise TypeError(_no_form(type(item)))
        return plain

    try:
        text = json.dumps(
            value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=default
        )
        data = text.encode()
        _bound_objects(text)
        # After dumps, which has seen to it that there is no cycle.
        _refuse_inexact(value, resolve)
    except (TypeError, ValueError, RecursionError, TooManyObjects) as exc:
        raise NotSerializable(
            f"A {type(value).__qualname__} cannot be stored as JSON exactly: {exc}. "
            f'Convert it first, or use OPTIONS["SERIALIZER"] = "msgpack" for this alias.'
        ) from exc
    return data


def _refuse_inexact(value: object, resolve: Callable[[object], object]) -> None:
    items: list[Any] = [value]
    for item in items:
        kind = type(item)
        if kind is dict:
            for key in item:
                if type(key) is not str:
                    raise TypeError(f"a dict key would turn from {type(key).__qualname__} to str")
            items += item.values()
        elif kind is list:
            items += item
        elif kind is int:
            if item.bit_length() > MAX_INT_BITS:
                raise ValueError(f"an int has more than {MAX_INT_DIGITS} digits")
        elif kind not in _ATOMS:
            plain = resolve(item)
            if plain is item:
                raise TypeError(_no_form(kind))
            items.append(plain)


def _no_form(kind: type) -> str:
    return f"there is no {kind.__qualname__} in JSON"


def read_json(text: str) -> Any:
    """Raises ValueError if it is not strict JSON, TooManyObjects or RecursionError if too large."""
    _bound_objects(text)
    return _decoder.decode(text)


def _bound_objects(text: str) -> None:
    # Those within strings count, too, when written as when read.
    if len(text) > MAX_OBJECTS and text.count("[") + text.count("{") > MAX_OBJECTS:
        raise TooManyObjects(f"more than {MAX_OBJECTS} lists and dicts")


def _read_int(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_INT_DIGITS:
        raise ValueError(f"an int of more than {MAX_INT_DIGITS} digits")
    return int(digits)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_int=_read_int, parse_constant=_refuse_constant)
