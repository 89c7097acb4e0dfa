"""Python values as msgpack, types included.

A scalar that msgpack lacks is an extension. A tuple, set or frozenset is an array headed by a
mark, an empty extension that names the type: arrays within an extension's payload would mean a
copy and a nested unpacking, with 40 KB of C stack, for each level that a hostile value has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgpack import ExtType as Extension
from msgpack import Packer, unpackb

from continuum_upstash.codec.ext_types import STANDARD, ExtType, LazyType, NotPackable
from continuum_upstash.codec.limits import MAX_OBJECTS, TooManyObjects

_MARKED: dict[int, type] = {1: tuple, 2: set, 3: frozenset}  # codes are stored: see ext_types.py
_MARKS = {kind: Extension(code, b"") for code, kind in _MARKED.items()}
_MARK = b"\xc7\x00"  # and a code

_SCALARS = frozenset({type(None), bool, float, str, bytes})
_NATIVE = _SCALARS | {int, list, dict}
_ITERATED = frozenset({list, tuple, set, frozenset})
_BUFFERS = frozenset({bytearray, memoryview})  # which msgpack packs as if they were bytes


class Packing:
    """Packs and unpacks with the standard types and those in `ext`."""

    __slots__ = ("_proxies", "_readers", "_types")

    def __init__(self, ext: Iterable[ExtType | LazyType]) -> None:
        known = (*STANDARD, *ext)
        self._types = {each.type: each for each in known if isinstance(each, ExtType)}
        self._readers = {each.code: each.read for each in self._types.values()}
        self._proxies = [each for each in known if isinstance(each, LazyType)]

    def resolve(self, value: object) -> object:
        """Return what a proxy stands for; any other value as it is."""
        for proxy in self._proxies:
            if isinstance(value, proxy.type):
                return proxy.resolve(value)
        return value

    def pack(self, value: object) -> bytes:
        """Raises NotPackable, also for a cycle, more than 1024 levels, or MAX_OBJECTS."""
        try:
            packed = self._pack(value)
        except UnicodeEncodeError:
            packed = self._pack(value, "surrogatepass")
        if _may_hold_buffer(packed) and not _BUFFERS.isdisjoint(map(type, _walk(value))):
            raise NotPackable("a bytearray or memoryview")
        if len(packed) > MAX_OBJECTS and sum(map(_is_object, _walk(value))) > MAX_OBJECTS:
            raise NotPackable(f"more than {MAX_OBJECTS} lists, dicts and the like")
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

        Nesting is bounded by msgpack (1024 levels), objects by MAX_OBJECTS.
        """
        large = len(data) > MAX_OBJECTS  # or there are not that many: each takes a byte
        # One byte is found ten times as fast as two.
        if not large and (_MARK[:1] not in data or _MARK not in data):
            return _unpackb(data, self._read_ext)
        reading = _Reading(self._read_ext)
        value = _unpackb(
            data, reading.read_ext, reading.read_array, reading.read_map if large else None
        )
        if reading.marks_pending:
            raise ValueError("the mark of a type heads no array")
        return value

    def _read_ext(self, code: int, payload: bytes) -> Any:
        return self._readers[code](payload)


def _unpackb(
    data: bytes,
    read_ext: Callable[[int, bytes], Any],
    read_array: Callable[[list[Any]], Any] | None = None,
    read_map: Callable[[dict[Any, Any]], Any] | None = None,
) -> Any:
    return unpackb(
        data,
        ext_hook=read_ext,
        list_hook=read_array,
        object_hook=read_map,
        strict_map_key=False,
        unicode_errors="surrogatepass",
    )


class _Reading:
    """Counts the objects of one value, and makes of the marked arrays what their marks say.

    A mark is read as the type itself, which no other stored form can stand for.
    """

    __slots__ = ("_left", "_read_ext", "marks_pending")

    def __init__(self, read_ext: Callable[[int, bytes], Any]) -> None:
        self._read_ext = read_ext
        self._left = MAX_OBJECTS
        self.marks_pending = 0

    def read_ext(self, code: int, payload: bytes) -> Any:
        if payload or code not in _MARKED:
            self._count()
            return self._read_ext(code, payload)
        self.marks_pending += 1
        return _MARKED[code]

    def read_array(self, items: list[Any]) -> Any:
        self._count()
        if not items or type(items[0]) is not type:
            return items
        self.marks_pending -= 1
        return items[0](items[1:])

    def read_map(self, items: dict[Any, Any]) -> Any:
        self._count()
        return items

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise TooManyObjects


def _walk(value: object) -> Iterator[Any]:
    """Yield the value and everything in it."""
    items: list[Any] = [value]
    for item in items:
        yield item
        kind = type(item)
        if kind is dict:
            items += item
            items += item.values()
        elif kind in _ITERATED:
            items += item


def _may_hold_buffer(packed: bytes) -> bool:
    return b"\xc4" in packed or b"\xc5" in packed or b"\xc6" in packed  # bin 8, 16, 32


def _is_object(item: Any) -> bool:
    """Whether it is an array, a map or an extension when stored."""
    kind = type(item)
    return kind not in _SCALARS and (kind is not int or item.bit_length() > 63)
