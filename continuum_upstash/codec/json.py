"""Encodes values as JSON text, which @upstash/redis (JS) and other clients can read.

It is strict: a value that would be decoded as a different one is rejected.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from continuum_upstash.codec.limits import MAX_INT_BITS, MAX_INT_DIGITS
from continuum_upstash.errors import NotSerializable

_ATOMS = frozenset({str, float, bool, type(None)})


def encode_json(value: object, resolve: Callable[[object], object]) -> bytes:
    """Return compact UTF-8 JSON.

    Args:
        value: what to encode.
        resolve: returns the value of a lazy object; any other object unchanged.

    Raises:
        NotSerializable: JSON cannot represent the value exactly: a tuple, a set, bytes, a date, a
            key that is not a str, NaN, a lone surrogate, an instance of a plain type's subclass.
    """

    def default(item: object) -> object:
        plain = resolve(item)
        if plain is item:
            raise TypeError(_describe_unsupported(type(item)))
        return plain

    try:
        text = json.dumps(
            value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=default
        )
        data = text.encode()
        # After dumps, which raises an error if there is a cycle.
        _reject_lossy(value, resolve)
    except (TypeError, ValueError, RecursionError) as exc:
        raise NotSerializable(
            f"A {type(value).__qualname__} cannot be stored as JSON exactly: {exc}. "
            'Convert it first, or set OPTIONS["SERIALIZER"] = "msgpack" for this alias.'
        ) from exc
    return data


def _reject_lossy(value: object, resolve: Callable[[object], object]) -> None:
    items: list[Any] = [value]
    for item in items:
        kind = type(item)
        if kind is dict:
            for key in item:
                if type(key) is not str:
                    raise TypeError(
                        f"a dict key of type {type(key).__qualname__} would become a str"
                    )
            items += item.values()
        elif kind is list:
            items += item
        elif kind is int:
            if item.bit_length() > MAX_INT_BITS:
                raise ValueError(f"an int has more than {MAX_INT_DIGITS} digits")
        elif kind not in _ATOMS:
            plain = resolve(item)
            if plain is item:
                raise TypeError(_describe_unsupported(kind))
            items.append(plain)


def _describe_unsupported(kind: type) -> str:
    return f"JSON has no {kind.__qualname__}"


def decode_json(text: str) -> Any:
    """Return the value of JSON text.

    Raises:
        ValueError: it is not strict JSON.
        RecursionError: it is too deeply nested.
    """
    value, end = _decoder.raw_decode(text)
    return value if end == len(text) else _decoder.decode(text)  # there is white space


def _decode_int(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_INT_DIGITS:
        raise ValueError(f"an int of more than {MAX_INT_DIGITS} digits")
    return int(digits)


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not valid JSON")


_decoder = json.JSONDecoder(parse_int=_decode_int, parse_constant=_reject_constant)
