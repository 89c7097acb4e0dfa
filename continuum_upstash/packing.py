"""Python values as msgpack, types included.

A scalar that msgpack lacks is an extension. A tuple, set or frozenset is an array headed by a
mark, an empty extension that names the type: arrays within an extension's payload would mean a
copy and a nested unpacking, with 40 KB of C stack, for each level that a hostile value has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgpack import ExtType as Extension
from msgpack import Packer, unpackb

from continuum_upstash.ext_types import STANDARD, ExtType, NotPackable, ProxyType

_MARKED: dict[int, type] = {1: tuple, 2: set, 3: frozenset}  # codes are stored: see ext_types.py
_MARKS = {kind: Extension(code, b"") for code, kind in _MARKED.items()}
_MARK = b"\xc7\x00"  # and a code

_NATIVE = frozenset({type(None), bool, int, float, str, bytes, list, dict})
_ITERATED = frozenset({list, tuple, set, frozenset})


class Packing:
    """Packs and unpacks with the standard types and those in `ext`."""

    __slots__ = ("_proxies", "_readers", "_types")

    def __init__(self, ext: Iterable[ExtType | ProxyType]) -> None:
        known = (*STANDARD, *ext)
        self._types = {each.type: each for each in known if isinstance(each, ExtType)}
        self._readers = {each.code: each.read for each in self._types.values()}
        self._proxies = [each for each in known if isinstance(each, ProxyType)]

    def resolve(self, value: object) -> object:
        """Return what a proxy stands for; any other value as it is."""
        for proxy in self._proxies:
            if isinstance(value, proxy.type):
                return proxy.resolve(value)
        return value

    def pack(self, value: object) -> bytes:
        """Raises NotPackable, also for a cycle and for more than 1024 nested levels."""
        try:
            packed = self._pack(value)
        except UnicodeEncodeError:
            packed = self._pack(value, "surrogatepass")
        if _may_hold_buffer(packed) and _holds_buffer(value):
            raise NotPackable("a bytearray or memoryview")
        return packed

    def _pack(self, value: object, unicode_errors: str | None = None) -> bytes:
        # A packer of its own for each value: `_replace` may run code that stores values, too.
        packer = Packer(default=self._replace, strict_types=True, unicode_errors=unicode_errors)
        try:
            packed: bytes = packer.pack(value)
        except UnicodeEncodeError:
            raise
        except (ValueError, OverflowError) as exc:
            raise NotPackable(str(exc)) from exc
        return packed

    def _replace(self, value: object) -> object:
        """Return what stands for `value`, which msgpack cannot pack by itself."""
        kind = type(value)
        if kind in _MARKS:
            return [_MARKS[kind], *value]  # type: ignore[misc]  # the marked types are iterable
        if kind in self._types:
            ext = self._types[kind]
            return Extension(ext.code, ext.write(value))
        plain = self.resolve(value)
        if plain is value:
            raise NotPackable(f"a {kind.__module__}.{kind.__qualname__}")
        return plain if type(plain) in _NATIVE else self._replace(plain)

    def unpack(self, data: bytes) -> Any:
        """Raises ValueError, TypeError or what an ExtType's `read` raises for hostile bytes.

        Nesting is bounded by msgpack (1024 levels), elements by the bytes: each takes one.
        """
        # One byte is found ten times as fast as two.
        if _MARK[:1] not in data or _MARK not in data:
            return _unpackb(data, self._read_ext)
        arrays = _MarkedArrays(self._read_ext)
        value = _unpackb(data, arrays.read_ext, arrays.read_array)
        if arrays.marks_pending:
            raise ValueError("the mark of a type heads no array")
        return value

    def _read_ext(self, code: int, payload: bytes) -> Any:
        return self._readers[code](payload)


def _unpackb(
    data: bytes,
    read_ext: Callable[[int, bytes], Any],
    read_array: Callable[[list[Any]], Any] | None = None,
) -> Any:
    return unpackb(
        data,
        ext_hook=read_ext,
        list_hook=read_array,
        strict_map_key=False,
        unicode_errors="surrogatepass",
    )


class _MarkedArrays:
    """Turns the arrays of one value that are headed by a mark into what the mark says.

    A mark is read as the type itself, which no other stored form can stand for.
    """

    __slots__ = ("_read_ext", "marks_pending")

    def __init__(self, read_ext: Callable[[int, bytes], Any]) -> None:
        self._read_ext = read_ext
        self.marks_pending = 0

    def read_ext(self, code: int, payload: bytes) -> Any:
        if payload or code not in _MARKED:
            return self._read_ext(code, payload)
        self.marks_pending += 1
        return _MARKED[code]

    def read_array(self, items: list[Any]) -> Any:
        if not items or type(items[0]) is not type:
            return items
        self.marks_pending -= 1
        return items[0](items[1:])


def _may_hold_buffer(packed: bytes) -> bool:
    return b"\xc4" in packed or b"\xc5" in packed or b"\xc6" in packed  # bin 8, 16, 32


def _holds_buffer(value: object) -> bool:
    """Whether a bytearray or memoryview is inside, which msgpack packs as if they were bytes."""
    items: list[Any] = [value]
    for item in items:
        kind = type(item)
        if kind in (bytearray, memoryview):
            return True
        if kind is dict:
            items += item
            items += item.values()
        elif kind in _ITERATED:
            items += item
    return False
