"""Commands about a key's end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from continuum_upstash.errors import ReplyError
from continuum_upstash.protocol import Reply
from continuum_upstash.transports.local.arguments import HIGHEST, LOWEST, UNITS, integer
from continuum_upstash.transports.local.keyspace import Keyspace

_NO_KEY: Final = -2
_NO_END: Final = -1


def persist(space: Keyspace, key: bytes) -> Reply:
    entry = space.peek(key)
    if entry is None or entry.end is None:
        return 0
    space.set_end(entry, None)
    return 1


def ttl(space: Keyspace, key: bytes) -> Reply:
    return _seconds(_left(space, key))


def pttl(space: Keyspace, key: bytes) -> Reply:
    return _left(space, key)


def expiretime(space: Keyspace, key: bytes) -> Reply:
    return _seconds(_end(space, key))


def pexpiretime(space: Keyspace, key: bytes) -> Reply:
    return _end(space, key)


def _end(space: Keyspace, key: bytes) -> int:
    entry = space.peek(key)
    if entry is None:
        return _NO_KEY
    return _NO_END if entry.end is None else entry.end


def _left(space: Keyspace, key: bytes) -> int:
    end = _end(space, key)
    return end if end < 0 else end - space.now


def _seconds(milliseconds: int) -> int:
    """Return seconds, rounded as Redis does; its negative answers stay as they are."""
    return milliseconds if milliseconds < 0 else (milliseconds + 500) // 1000


def setter(command: str, unit: bytes) -> Callable[..., Reply]:
    """Return EXPIRE (``EX``), PEXPIRE (``PX``), EXPIREAT (``EXAT``) or PEXPIREAT (``PXAT``)."""

    def expire(space: Keyspace, key: bytes, amount: bytes, *words: bytes) -> Reply:
        options = _read_options(words)
        end = _when(space, amount, unit, command)
        entry = space.peek(key)
        if entry is None or not _applies(options, entry.end, end):
            return 0
        if end <= space.now:
            space.remove(key)
        else:
            space.set_end(entry, end)
        return 1

    return expire


def _when(space: Keyspace, amount: bytes, option: bytes, command: str) -> int:
    """Return the end; unlike SET's it may lie in the past, which deletes the key."""
    number = integer(amount)
    unit, relative = UNITS[option]
    end = number * unit + (space.now if relative else 0)
    if not (number * unit >= LOWEST and end <= HIGHEST):
        raise ReplyError(f"ERR invalid expire time in '{command}' command")
    return end


def _read_options(words: Sequence[bytes]) -> set[bytes]:
    options = {word.upper() for word in words}
    for word in words:
        if word.upper() not in (b"NX", b"XX", b"GT", b"LT"):
            raise ReplyError(f"ERR Unsupported option {word.decode(errors='replace')}")
    if b"NX" in options and len(options) > 1:
        raise ReplyError("ERR NX and XX, GT or LT options at the same time are not compatible")
    if options >= {b"GT", b"LT"}:
        raise ReplyError("ERR GT and LT options at the same time are not compatible")
    return options


def _applies(options: set[bytes], old: int | None, new: int) -> bool:
    """Return whether the conditions hold; no end counts as later than any."""
    return not (
        (b"NX" in options and old is not None)
        or (b"XX" in options and old is None)
        or (b"GT" in options and (old is None or new <= old))
        or (b"LT" in options and old is not None and new >= old)
    )
