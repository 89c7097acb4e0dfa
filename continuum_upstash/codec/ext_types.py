"""The types msgpack lacks, each a msgpack extension: a code and a payload.

Codes and payloads are stored in databases: neither is ever changed, and no code is used again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

_MICROSECOND = timedelta(microseconds=1)


class NotPackable(TypeError):
    """Something in the value is neither native to msgpack nor exactly of a known type."""


@dataclass(frozen=True, slots=True)
class ExtType:
    """How the values of one type are stored.

    Attributes:
        code: the msgpack extension code: up to 31 are of this package, 32 to 127 of its callers.
        type: exactly this type; an instance of a subclass is another type.
        write: the payload of a value. Raises NotPackable for one that has none.
        read: the value of a payload. Payloads are untrusted: raises ValueError, TypeError,
            ArithmeticError, LookupError or OSError for one that `write` did not make.
    """

    code: int
    type: type
    write: Callable[[Any], bytes]
    read: Callable[[bytes], Any]


@dataclass(frozen=True, slots=True)
class LazyType:
    """A type whose instances stand for a value that is made when asked for, as lazy text does.

    Attributes:
        type: this type and its subclasses.
        resolve: the value that is stored in the proxy's place, or the proxy itself if it is not
            for storing.
    """

    type: type
    resolve: Callable[[Any], object]


def _write_int(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _read_int(payload: bytes) -> int:
    return int.from_bytes(payload, "big", signed=True)


def _write_moment(value: datetime | time) -> bytes:
    """ISO 8601; then, where that does not say all, the fold and the name of the time zone."""
    zone, name = value.tzinfo, _zone_name(value.tzinfo)
    # The zone, not the offset it had when written, is what a ZoneInfo value means.
    iso = value.replace(tzinfo=None).isoformat() if type(zone) is ZoneInfo else value.isoformat()
    if name is not None:
        iso = f"{iso} {value.fold} {name}"
    elif value.fold:
        iso = f"{iso} {value.fold}"
    return iso.encode("utf-8", "surrogatepass")


def _zone_name(zone: tzinfo | None) -> str | None:
    if zone is None:
        return None
    if type(zone) is ZoneInfo and zone.key:
        return zone.key
    # fromisoformat takes an offset of less than a second for UTC (CPython 3.11 to 3.13).
    if type(zone) is timezone and not zone.utcoffset(None).microseconds:
        name = zone.tzname(None)
        return None if name == timezone(zone.utcoffset(None)).tzname(None) else name
    raise NotPackable(f"a datetime or time whose tzinfo is a {type(zone).__qualname__}")


def _read_moment(kind: type[datetime | time], payload: bytes) -> datetime | time:
    iso, *rest = payload.decode("utf-8", "surrogatepass").split(" ", 2)
    value = kind.fromisoformat(iso)
    if rest:
        value = value.replace(fold=int(rest[0]))
    if len(rest) < 2:
        return value
    offset = value.utcoffset()
    zone = ZoneInfo(rest[1]) if offset is None else timezone(offset, rest[1])
    return value.replace(tzinfo=zone)


def _write_timedelta(value: timedelta) -> bytes:
    return _write_int(value // _MICROSECOND)


def _read_timedelta(payload: bytes) -> timedelta:
    return timedelta(microseconds=_read_int(payload))


STANDARD = (
    ExtType(10, int, _write_int, _read_int),  # those that need more than 64 bits
    ExtType(11, datetime, _write_moment, lambda payload: _read_moment(datetime, payload)),
    ExtType(
        12, date, lambda day: day.isoformat().encode(), lambda p: date.fromisoformat(p.decode())
    ),
    ExtType(13, time, _write_moment, lambda payload: _read_moment(time, payload)),
    ExtType(14, timedelta, _write_timedelta, _read_timedelta),
    ExtType(15, Decimal, lambda number: str(number).encode(), lambda p: Decimal(p.decode())),
    ExtType(16, UUID, lambda uuid: uuid.bytes, lambda payload: UUID(bytes=payload)),
)
