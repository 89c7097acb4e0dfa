"""Commands about the expiry of keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from continuum_upstash.errors import ReplyError
from continuum_upstash.protocol import Reply
from continuum_upstash.transports.local.keyspace import Keyspace
from continuum_upstash.transports.local.parsing import INT64_MAX, INT64_MIN, UNITS, parse_int

_NO_KEY: Final = -2
_NO_EXPIRY: Final = -1


def persist(space: Keyspace, key: bytes) -> Reply:
    entry = space.peek(key)
    if entry is None or entry.expires_at is None:
        return 0
    space.set_expiry(entry, None)
    return 1


def ttl(space: Keyspace, key: bytes) -> Reply:
    return _to_seconds(_get_ttl_ms(space, key))


def pttl(space: Keyspace, key: bytes) -> Reply:
    return _get_ttl_ms(space, key)


def expiretime(space: Keyspace, key: bytes) -> Reply:
    return _to_seconds(_get_expiry(space, key))


def pexpiretime(space: Keyspace, key: bytes) -> Reply:
    return _get_expiry(space, key)


def _get_expiry(space: Keyspace, key: bytes) -> int:
    entry = space.peek(key)
    if entry is None:
        return _NO_KEY
    return _NO_EXPIRY if entry.expires_at is None else entry.expires_at


def _get_ttl_ms(space: Keyspace, key: bytes) -> int:
    expires_at = _get_expiry(space, key)
    return expires_at if expires_at < 0 else expires_at - space.now


def _to_seconds(milliseconds: int) -> int:
    """Return seconds, rounded as Redis does; negative replies stay as they are."""
    return milliseconds if milliseconds < 0 else (milliseconds + 500) // 1000


def make_expire(command: str, unit: bytes) -> Callable[..., Reply]:
    """Return the function of EXPIRE (``EX``), PEXPIRE (``PX``) or PEXPIREAT (``PXAT``)."""

    def expire(space: Keyspace, key: bytes, amount: bytes, *arguments: bytes) -> Reply:
        options = _read_options(arguments)
        expires_at = _compute_expiry(space, amount, unit, command)
        entry = space.peek(key)
        if entry is None or not _is_condition_met(options, entry.expires_at, expires_at):
            return 0
        if expires_at <= space.now:
            space.remove(key)
        else:
            space.set_expiry(entry, expires_at)
        return 1

    return expire


def _compute_expiry(space: Keyspace, amount: bytes, option: bytes, command: str) -> int:
    """Return the expiry. Unlike that of SET it may be in the past, which deletes the key."""
    number = parse_int(amount)
    unit, is_relative = UNITS[option]
    expires_at = number * unit + (space.now if is_relative else 0)
    if not (number * unit >= INT64_MIN and expires_at <= INT64_MAX):
        raise ReplyError(f"ERR invalid expire time in '{command}' command")
    return expires_at


def _read_options(arguments: Sequence[bytes]) -> set[bytes]:
    options = {argument.upper() for argument in arguments}
    for argument in arguments:
        if argument.upper() not in (b"NX", b"GT"):
            raise ReplyError(f"ERR Unsupported option {argument.decode(errors='replace')}")
    if options == {b"NX", b"GT"}:
        raise ReplyError("ERR NX and XX, GT or LT options at the same time are not compatible")
    return options


def _is_condition_met(options: set[bytes], old: int | None, new: int) -> bool:
    """Return whether the new expiry replaces the old one; no expiry counts as the latest."""
    if b"NX" in options:
        return old is None
    if b"GT" in options:
        return old is not None and new > old
    return True
