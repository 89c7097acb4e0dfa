"""The key-value plans: what each operation sends.

Names are full Redis keys and times are milliseconds here; whoever calls makes both from what
the user gave. Upstash bills each command, so the comments count them where it is not one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import index
from typing import Any, Final, Literal, TypeAlias, TypeVar, overload

from continuum_upstash.codec.codec import Codec, DecodeError
from continuum_upstash.errors import ReplyError, RequestTooLarge
from continuum_upstash.observe import ValueDiscarded, report_discarded
from continuum_upstash.plans.effects import Batch, Compute, Encode, Plan, SingleFlight, call
from continuum_upstash.protocol import Command, Reply, Script

T = TypeVar("T")
Px: TypeAlias = int | None

MISSING: Final = object()

# One command may hold 10 MB on the smallest plans, keys and framing included:
# https://upstash.com/docs/redis/troubleshooting/max_request_size_exceeded
REQUEST_BYTES: Final = 8 * 1024 * 1024
PIPELINE_COMMANDS: Final = 1_000

# 140,000 years. Redis rejects times that overflow its clock arithmetic.
_MAX_TTL_MS: Final = 2**52


@overload
def to_ms(seconds: float) -> int: ...
@overload
def to_ms(seconds: None) -> None: ...
def to_ms(seconds: float | None) -> int | None:
    """Return a time to live in whole milliseconds, rounded up; None: no expiry.

    Raises:
        TypeError: `seconds` is not a number.
        ValueError: `seconds` is NaN.
    """
    if seconds is None:
        return None
    if seconds <= 0:
        return 0
    if math.isnan(seconds):
        raise ValueError("A time to live is a number of seconds, not NaN.")
    return math.ceil(min(seconds * 1000, _MAX_TTL_MS))


def _incr_rule(call: Callable[..., Reply], keys: Sequence[str], args: Sequence[bytes]) -> Reply:
    return call("INCRBY", keys[0], args[0]) if call("EXISTS", keys[0]) else None


def _incr_calls(_: Command, reply: Reply) -> int:
    # EXISTS; INCRBY, which also runs when it fails; GET for a sum beyond Lua's integers.
    if reply is None:
        return 1
    return 3 if isinstance(reply, bytes) else 2


# Three billed commands (EVAL and the two inside); the only way that neither creates a missing
# key nor races another writer. Lua's numbers are doubles: a sum beyond 2^53 is read as text.
INCR_EXISTING: Final = Script(
    "if redis.call('EXISTS', KEYS[1]) == 0 then return false end\n"
    "local sum = redis.call('INCRBY', KEYS[1], ARGV[1])\n"
    "if sum > -9007199254740992 and sum < 9007199254740992 then return sum end\n"
    "return redis.call('GET', KEYS[1])",
    _incr_rule,
    _incr_calls,
)


class KeyValuePlans:
    """The plans of one database.

    Args:
        codec: value to stored bytes and back.
        alias: names the database in what observers are told.
        max_value_bytes: larger values are not sent; None: the server decides.
    """

    __slots__ = ("_alias", "_codec", "_max_value_bytes")

    def __init__(self, codec: Codec, *, alias: str, max_value_bytes: int | None = None) -> None:
        self._codec = codec
        self._alias = alias
        self._max_value_bytes = max_value_bytes

    # ---- one key

    def get(self, name: str, default: Any = None) -> Plan[Any]:
        raw = yield from call("GET", name)
        return default if raw is None else self.load(raw, default)

    def set(
        self, name: str, value: object, px: Px, condition: Literal["NX", "XX", ""] = ""
    ) -> Plan[bool]:
        """Store a value; return whether it was stored. A px of 0 or less is: not for a moment."""
        if px is not None and px <= 0:
            return (yield from self._set_expired(name, condition))
        data = yield Encode(value)
        if self._refuses(data):
            # As memcached's backend: what was there is older than what was refused.
            if not condition:
                yield from call("DEL", name)
            return False
        reply = yield from call(*_set_command(name, data, px), *((condition,) if condition else ()))
        return reply is not None

    def _set_expired(self, name: str, condition: str) -> Plan[bool]:
        if condition == "NX":
            return not (yield from call("EXISTS", name))
        deleted = yield from call("DEL", name)
        return bool(deleted) if condition == "XX" else True

    def get_or_set(self, name: str, default: object, px: Px) -> Plan[Any]:
        """Return the value, or store and return the default.

        Concurrent callers of this process share one GET, one run of a callable default and one
        SET; each decodes a copy of its own.
        """
        data = yield SingleFlight(name, lambda: self._get_or_set_bytes(name, default, px))
        return self.load(data, None)

    def _get_or_set_bytes(self, name: str, default: object, px: Px) -> Plan[bytes]:
        raw: bytes | None = yield from call("GET", name)
        if raw is not None and self.load(raw, MISSING) is not MISSING:
            return raw
        value = (yield Compute(default)) if callable(default) else default
        data: bytes = yield Encode(value)
        if (px is not None and px <= 0) or self._refuses(data):
            return data
        # A value that cannot be decoded is in the way of NX.
        condition = ("NX",) if raw is None else ()
        if (yield from call(*_set_command(name, data, px), *condition)) is None:
            theirs: bytes | None = yield from call("GET", name)
            return data if theirs is None else theirs
        return data

    def incr(self, name: str, delta: int) -> Plan[int | None]:
        """Add to an integer; return the sum, or None for a missing key.

        Raises:
            TypeError: the value is not an integer of 64 bits, or `delta` no integer at all.
            OverflowError: the sum would not be one.
        """
        if not -(2**63) <= index(delta) < 2**63:
            raise OverflowError(f"{delta} does not fit 64 bits")
        try:
            total: int | bytes | None = yield from call("EVAL", INCR_EXISTING, 1, name, delta)
        except ReplyError as error:
            if "overflow" in str(error):
                raise OverflowError("the sum does not fit 64 bits") from error
            if "not an integer" in str(error) or "not an int" in str(error):
                raise TypeError("the value is not an integer of 64 bits") from error
            raise
        return None if total is None else int(total)

    def rename(self, old: str, new: str) -> Plan[bool]:
        """Move a key with its expiry, atomically; return whether it was there."""
        try:
            yield from call("RENAME", old, new)
        except ReplyError as error:
            if "no such key" in str(error):
                return False
            raise
        return True

    def delete(self, name: str) -> Plan[bool]:
        return bool((yield from call("DEL", name)))

    def exists(self, name: str) -> Plan[bool]:
        return bool((yield from call("EXISTS", name)))

    # ---- expiry

    def touch(self, name: str, px: Px) -> Plan[bool]:
        """Set a new expiry; return whether the key was there."""
        if px is None:
            # PERSIST answers 0 for a missing key and for one without an expiry alike; only then
            # is a second command needed.
            return bool((yield from call("PERSIST", name))) or (yield from self.exists(name))
        if px <= 0:
            return (yield from self.delete(name))
        return bool((yield from call("PEXPIRE", name, px)))

    def persist(self, name: str) -> Plan[bool]:
        return bool((yield from call("PERSIST", name)))

    def expire_at(self, name: str, unix_ms: int) -> Plan[bool]:
        return bool((yield from call("PEXPIREAT", name, unix_ms)))

    def get_ttl(
        self, name: str, command: Literal["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"]
    ) -> Plan[int | None]:
        """Return what the command answers: 0 for a missing key, None for one without expiry."""
        left: int = yield from call(command, name)
        return None if left == -1 else max(left, 0)

    # ---- many keys

    def get_many(self, names: Sequence[str]) -> Plan[dict[str, Any]]:
        found: dict[str, Any] = {}
        for chunk in _chunks(names, _name_bytes):
            for name, raw in zip(chunk, (yield from self._mget(chunk)), strict=True):
                if raw is not None:
                    value = self.load(raw, MISSING)
                    if value is not MISSING:
                        found[name] = value
        return found

    def _mget(self, names: Sequence[str]) -> Plan[list[bytes | None]]:
        """MGET, in halves when the reply is over the request limit, which counts replies too."""
        try:
            raws: list[bytes | None] = yield from call("MGET", *names)
        except RequestTooLarge:
            if len(names) == 1:
                raise
        else:
            return raws
        half = len(names) // 2
        first = yield from self._mget(names[:half])
        return first + (yield from self._mget(names[half:]))

    def set_many(self, values: Mapping[str, object], px: Px) -> Plan[list[str]]:
        """Store values; return the names of those that were refused for their size."""
        if px is not None and px <= 0:
            yield from self.delete_many(list(values))
            return []
        data: dict[str, bytes] = {}
        for name, value in values.items():
            data[name] = yield Encode(value)
        refused = [name for name, each in data.items() if self._refuses(each)]
        for name in refused:
            del data[name]
        yield from self.delete_many(refused)
        most = None if px is None else PIPELINE_COMMANDS  # MSET is one command
        for chunk in _chunks(data.items(), _item_bytes, most):
            refused += yield from _store(chunk, px)
        return refused

    def delete_many(self, names: Sequence[str]) -> Plan[int]:
        """Delete keys; return how many there were."""
        deleted = 0
        for chunk in _chunks(names, _name_bytes):
            deleted += yield from call("UNLINK", *chunk)
        return deleted

    # ---- values

    def load(self, raw: bytes, default: T) -> Any | T:
        """Decode a stored value; one that cannot be decoded is the default, and a log line."""
        try:
            return self._codec.decode(raw)
        except DecodeError as error:
            report_discarded(
                ValueDiscarded(self._alias, f"a stored value cannot be decoded: {error}")
            )
            return default

    def _refuses(self, data: bytes) -> bool:
        limit = self._max_value_bytes
        if limit is None or len(data) <= limit:
            return False
        reason = f"a value was not stored: its {len(data)} bytes are over MAX_VALUE_BYTES ({limit})"
        report_discarded(ValueDiscarded(self._alias, reason))
        return True


def _set_command(name: str, data: bytes, px: Px) -> Command:
    return ("SET", name, data) if px is None else ("SET", name, data, "PX", px)


def _store(items: Sequence[tuple[str, bytes]], px: Px) -> Plan[list[str]]:
    if px is None and len(items) > 1:
        yield from call("MSET", *(part for item in items for part in item))
        return []
    replies = yield Batch([_set_command(name, data, px) for name, data in items])
    refused = []
    for (name, _), reply in zip(items, replies, strict=True):
        if isinstance(reply, RequestTooLarge):
            refused.append(name)
        elif isinstance(reply, ReplyError):
            raise reply
    return refused


def _name_bytes(name: str) -> int:
    return 4 * len(name) + 16


def _item_bytes(item: tuple[str, bytes]) -> int:
    # A third more for base64, where binary cannot travel.
    return _name_bytes(item[0]) + len(item[1]) * 4 // 3


def _chunks(
    items: Iterable[T], size: Callable[[T], int], most: int | None = None
) -> Iterator[list[T]]:
    """Yield lists that fit one request each."""
    chunk: list[T] = []
    room = REQUEST_BYTES
    for item in items:
        cost = size(item)
        if chunk and (cost > room or len(chunk) == most):
            yield chunk
            chunk, room = [], REQUEST_BYTES
        chunk.append(item)
        room -= cost
    if chunk:
        yield chunk
