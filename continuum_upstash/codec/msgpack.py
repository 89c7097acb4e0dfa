"""Encodes Python values as msgpack, with their types.

Scalars that msgpack lacks are extensions. A tuple, set or frozenset is an array whose first item is
a tag: an empty extension whose code is the type. Arrays in an extension's payload would cost a copy
and a nested unpacker with 40 KB of C stack for each level of a hostile value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from msgpack import ExtType as Extension
from msgpack import OutOfData, Packer, Unpacker, unpackb

from continuum_upstash.codec.ext_types import ExtType, LazyType, NotPackable, SignatureRequired
from continuum_upstash.codec.limits import MAX_UNMEASURED_ITEMS, HashTableBuilder

# Codes are stored: see standard_types.py.
_CONTAINERS: dict[int, type] = {1: tuple, 2: set, 3: frozenset}
_CONTAINER_TAGS = {kind: Extension(code, b"") for code, kind in _CONTAINERS.items()}
_CONTAINER_TAG = b"\xc7\x00"  # followed by a code
_TAG_LEAD = _CONTAINER_TAG[:1]

_SCALARS = frozenset({type(None), bool, float, str, bytes})
_NATIVE = _SCALARS | {int, list, dict}
_ITERATED = frozenset({list, tuple, set, frozenset})
_BUFFERS = frozenset({bytearray, memoryview})  # msgpack encodes them as bytes

_find_bin = re.compile(rb"[\xc4-\xc6]").search  # the headers of bin 8, 16 and 32
_SHORT_BYTES = 512

# Smaller bytes may claim arrays that they do not contain: msgpack allocates up to 4096 items for
# each of 1024 nested ones. The two bytes are the headers of arrays of 16 and more items.
_MAX_UNCHECKED_BYTES = 512
_ARRAY_16, _ARRAY_32 = b"\xdc", b"\xdd"


class MsgpackSerializer:
    """Packs and unpacks values of the standard types and of those in `ext`.

    Args:
        ext: further types.
        is_signed: whether the bytes are signed: if not, types that require it are rejected.
    """

    __slots__ = ("_decoders", "_ext", "_is_signed", "_lazy_types", "_types")

    def __init__(self, ext: Iterable[ExtType | LazyType], *, is_signed: bool = False) -> None:
        self._ext = tuple(ext)
        self._is_signed = is_signed
        self._types: dict[type, ExtType] = {}
        self._decoders: dict[int, Callable[[bytes], Any]] = {}
        self._lazy_types = [each for each in self._ext if isinstance(each, LazyType)]
        if self._ext:  # of a site, which may fork while another thread imports the standard ones
            self._load_types()

    def resolve(self, value: object) -> object:
        """Return the value of a lazy object; any other object unchanged."""
        for lazy in self._lazy_types:
            if isinstance(value, lazy.type):
                return lazy.resolve(value)
        return value

    def pack(self, value: object) -> bytes:
        """Return the value as msgpack.

        Raises:
            SignatureRequired: a type that is only read from signed bytes.
            NotPackable: another unsupported type, a cycle or more than 1024 levels.
        """
        # One packer per value: `_to_packable` may run code that stores values itself.
        try:
            packed: bytes
            try:
                packed = Packer(default=self._to_packable, strict_types=True).pack(value)
            except UnicodeEncodeError:
                packed = Packer(
                    default=self._to_packable, strict_types=True, unicode_errors="surrogatepass"
                ).pack(value)
        except (ValueError, OverflowError) as exc:
            raise NotPackable(str(exc)) from exc
        may_have_buffer = type(value) is not bytes and _may_contain_buffer(packed)
        if may_have_buffer and not _BUFFERS.isdisjoint(map(type, _iterate(value))):
            raise NotPackable("a bytearray or memoryview")
        return packed

    def _to_packable(self, value: object) -> object:
        """Return a packable form of `value`, which msgpack cannot pack."""
        kind = type(value)
        if kind in _CONTAINER_TAGS:
            return [_CONTAINER_TAGS[kind], *value]  # type: ignore[misc]  # the types with tags are iterable
        if not self._types:
            self._load_types()
        if kind in self._types:
            ext = self._types[kind]
            if ext.is_signed and not self._is_signed:
                raise SignatureRequired(f"a {kind.__qualname__} without a signature")
            return Extension(ext.code, ext.write(value))
        plain = self.resolve(value)
        if plain is value:
            raise NotPackable(f"a {kind.__module__}.{kind.__qualname__}")
        return plain if type(plain) in _NATIVE else self._to_packable(plain)

    def unpack(self, data: bytes) -> Any:
        """Return the value. msgpack limits nesting to 1024 levels.

        Raises:
            ValueError, TypeError: invalid bytes; or the errors of an ExtType's `read`.
            LimitExceeded: the keys of a dict or the items of a set collide.
        """
        if len(data) > _MAX_UNCHECKED_BYTES and (_ARRAY_16 in data or _ARRAY_32 in data):
            _check_structure(data)
        # Searching for one byte is ten times as fast as for two.
        has_tags = _TAG_LEAD in data and _CONTAINER_TAG in data
        try:
            if not has_tags:  # as `_unpackb` does, without its call
                return unpackb(
                    data,
                    ext_hook=self._read_ext,
                    max_map_len=MAX_UNMEASURED_ITEMS,
                    strict_map_key=False,
                    unicode_errors="surrogatepass",
                )
            return self._unpack_with_hooks(data)
        except ValueError:
            if len(data) <= MAX_UNMEASURED_ITEMS:
                raise
        _check_structure(data)
        return self._unpack_with_hooks(data, has_large_dict=True)

    def _unpack_with_hooks(self, data: bytes, *, has_large_dict: bool = False) -> Any:
        unpacker = _Unpacker(self._read_ext, len(data))
        value = _unpackb(
            data,
            unpacker.read_ext,
            unpacker.read_array,
            unpacker.read_map if has_large_dict else None,
        )
        if unpacker.tags_pending:
            raise ValueError("a container tag is not the first item of an array")
        return value

    def _read_ext(self, code: int, payload: bytes) -> Any:
        if not self._decoders:
            self._load_types()
        return self._decoders[code](payload)

    def _load_types(self) -> None:
        from continuum_upstash.codec.standard_types import STANDARD  # noqa: PLC0415 clients start faster without it

        known = [each for each in (*STANDARD, *self._ext) if isinstance(each, ExtType)]
        self._decoders = {
            each.code: each.read for each in known if self._is_signed or not each.is_signed
        }
        self._types = {each.type: each for each in known}


def _unpackb(
    data: bytes,
    read_ext: Callable[[int, bytes], Any],
    read_array: Callable[[list[Any]], Any] | None = None,
    read_map: Callable[[list[tuple[Any, Any]]], Any] | None = None,
) -> Any:
    return unpackb(
        data,
        ext_hook=read_ext,
        list_hook=read_array,
        object_pairs_hook=read_map,
        max_map_len=MAX_UNMEASURED_ITEMS if read_map is None else len(data),
        strict_map_key=False,
        unicode_errors="surrogatepass",
    )


def _check_structure(data: bytes) -> None:
    """Raise ValueError if arrays or maps claim more items than there are; it allocates none."""
    unpacker = Unpacker(max_buffer_size=len(data))
    unpacker.feed(data)
    try:
        unpacker.skip()
    except OutOfData as exc:
        raise ValueError("incomplete msgpack") from exc


class _Unpacker:
    """Builds the dicts of one value, and converts its arrays with a tag to the tag's type.

    A tag is decoded to the type itself, which nothing else is decoded to.
    """

    __slots__ = ("_read_ext", "_tables", "tags_pending")

    def __init__(self, read_ext: Callable[[int, bytes], Any], size: int) -> None:
        self._read_ext = read_ext
        self._tables = HashTableBuilder(size)
        self.tags_pending = 0

    def read_ext(self, code: int, payload: bytes) -> Any:
        if payload or code not in _CONTAINERS:
            return self._read_ext(code, payload)
        self.tags_pending += 1
        return _CONTAINERS[code]

    def read_array(self, items: list[Any]) -> Any:
        if not items or type(items[0]) is not type:
            return items
        self.tags_pending -= 1
        kind: Any = items[0]
        if len(items) <= MAX_UNMEASURED_ITEMS or kind is tuple:
            return kind(items[1:])
        return self._tables.build(kind, items[1:])

    def read_map(self, pairs: list[tuple[Any, Any]]) -> Any:
        return self._tables.build(dict, pairs)


def _iterate(value: object) -> Iterator[Any]:
    """Yield the value and everything in it, at every level."""
    items: list[Any] = [value]
    for item in items:
        yield item
        kind = type(item)
        if kind is dict:
            items += item
            items += item.values()
        elif kind in _ITERATED:
            items += item


def _may_contain_buffer(packed: bytes) -> bool:
    if len(packed) < _SHORT_BYTES:  # one search starts faster than three, and ends later
        return _find_bin(packed) is not None
    return b"\xc4" in packed or b"\xc5" in packed or b"\xc6" in packed
