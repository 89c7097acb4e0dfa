"""The scalars that msgpack lacks, imported when the first of them is stored or read.

Codes and payloads are stored in databases: never change one, and never reuse a code.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from functools import lru_cache
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from continuum_upstash.codec.ext_types import ExtType, NotPackable

_MICROSECOND: Final = timedelta(microseconds=1)

# ZoneInfo's own cache keeps eight zones: a value of few bytes could load one a thousand times.
_load_zone = lru_cache(maxsize=2048)(ZoneInfo)


def _encode_int(value: int) -> bytes:
    return value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True)


def _decode_int(payload: bytes) -> int:
    return int.from_bytes(payload, "big", signed=True)


def _encode_datetime(value: datetime | time) -> bytes:
    """Return ISO 8601, followed by the fold and the time zone's name if ISO 8601 lacks them."""
    zone, name = value.tzinfo, _get_time_zone_name(value.tzinfo)
    # A ZoneInfo value is stored by the name of its zone, not by its current offset.
    iso = value.replace(tzinfo=None).isoformat() if type(zone) is ZoneInfo else value.isoformat()
    if name is not None:
        iso = f"{iso} {value.fold} {name}"
    elif value.fold:
        iso = f"{iso} {value.fold}"
    return iso.encode("utf-8", "surrogatepass")


def _get_time_zone_name(zone: tzinfo | None) -> str | None:
    if zone is None:
        return None
    if type(zone) is ZoneInfo and zone.key:
        return zone.key
    # fromisoformat reads an offset of less than a second as UTC (CPython 3.11 to 3.13).
    if type(zone) is timezone and not zone.utcoffset(None).microseconds:
        name = zone.tzname(None)
        return None if name == timezone(zone.utcoffset(None)).tzname(None) else name
    raise NotPackable(f"a datetime or time whose tzinfo is a {type(zone).__qualname__}")


def _decode_datetime(kind: type[datetime | time], payload: bytes) -> datetime | time:
    iso, *rest = payload.decode("utf-8", "surrogatepass").split(" ", 2)
    value = kind.fromisoformat(iso)
    if rest:
        value = value.replace(fold=int(rest[0]))
    if len(rest) < 2:
        return value
    offset = value.utcoffset()
    zone = _load_zone(rest[1]) if offset is None else timezone(offset, rest[1])
    return value.replace(tzinfo=zone)


def _encode_timedelta(value: timedelta) -> bytes:
    return _encode_int(value // _MICROSECOND)


def _decode_timedelta(payload: bytes) -> timedelta:
    return timedelta(microseconds=_decode_int(payload))


STANDARD: Final = (
    ExtType(10, int, _encode_int, _decode_int),  # of more than 64 bits
    ExtType(11, datetime, _encode_datetime, lambda payload: _decode_datetime(datetime, payload)),
    ExtType(
        12, date, lambda day: day.isoformat().encode(), lambda p: date.fromisoformat(p.decode())
    ),
    ExtType(13, time, _encode_datetime, lambda payload: _decode_datetime(time, payload)),
    ExtType(14, timedelta, _encode_timedelta, _decode_timedelta),
    ExtType(15, Decimal, lambda number: str(number).encode(), lambda p: Decimal(p.decode())),
    ExtType(16, UUID, lambda uuid: uuid.bytes, lambda payload: UUID(bytes=payload)),
)
