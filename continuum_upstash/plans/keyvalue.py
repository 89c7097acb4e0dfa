"""The plans of the key-value operations.

Keys are full Redis keys, and times are in milliseconds. Upstash bills each command; comments count
the commands where an operation takes more than one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from operator import index
from typing import Any, Final, Literal, TypeVar

from continuum_upstash.codec.codec import Codec, DecodeError
from continuum_upstash.errors import CapacityExceeded, Refused, ReplyError, RequestTooLarge
from continuum_upstash.observe import ValueDiscarded, report_discarded
from continuum_upstash.plans.counters import INCR_EXISTING, to_counter_error
from continuum_upstash.plans.effects import (
    Batch,
    Compute,
    Encode,
    EncodeMany,
    Plan,
    SingleFlight,
    call,
)
from continuum_upstash.plans.envelopes import MAY_BE_ENVELOPED, EnvelopeReader, has_envelope
from continuum_upstash.protocol import Command, Replies

K = TypeVar("K")
T = TypeVar("T")

MISSING: Final = object()

# Encoding these runs no code of the value's own, so no runner is needed.
PLAIN_TYPES: Final = frozenset({str, int, float, bool, bytes, type(None)})

# A command may have 10 MB on the smallest pricing plans, including keys and framing:
# https://upstash.com/docs/redis/troubleshooting/max_request_size_exceeded
REQUEST_BYTES: Final = 8 * 1024 * 1024
PIPELINE_COMMANDS: Final = 1_000

_OK: Final = b"OK"


class KeyValuePlans:
    """The plans for one alias.

    Args:
        codec: encodes and decodes values.
        alias: its name in the records for observers.
        max_value_bytes: larger values are not sent; None: no limit but the server's.
        on_full: what a write does that the server cannot store since it is full. ``drop``: it
            counts as not stored, and the old value is deleted, since it is outdated. ``raise``: it
            raises CapacityExceeded, and the old value stays.

    Attributes:
        envelopes: reads values in envelopes.
        unstorable: the errors of a write that counts as not stored.
    """

    __slots__ = ("_alias", "_codec", "_max_value_bytes", "envelopes", "unstorable")

    def __init__(
        self,
        codec: Codec,
        *,
        alias: str,
        max_value_bytes: int | None = None,
        on_full: Literal["drop", "raise"] = "drop",
    ) -> None:
        self._codec = codec
        self._alias = alias
        self.envelopes = EnvelopeReader(codec, alias)
        self._max_value_bytes = max_value_bytes
        self.unstorable: tuple[type[Refused], ...] = (RequestTooLarge,)
        if on_full == "drop":
            self.unstorable += (CapacityExceeded,)

    # ---- one key

    def get(self, key: str, default: Any = None) -> Plan[Any]:
        try:
            (raw,) = yield Batch((("GET", key),))  # as `call`, without a second generator
            if isinstance(raw, ReplyError):
                raise raw
        except RequestTooLarge as error:
            self._report_too_large_to_read(error)
            return default
        if raw is not None and raw.startswith(MAY_BE_ENVELOPED):  # most have no envelope
            raw = yield from self.envelopes.open_one(raw)
        return default if raw is None else self.decode(raw, default)

    def set(
        self, key: str, value: object, ttl_ms: int | None, condition: Literal["NX", "XX", ""] = ""
    ) -> Plan[bool]:
        """Store a value; return whether it was stored. ttl_ms <= 0 expires immediately."""
        if ttl_ms is not None and ttl_ms <= 0:
            return (yield from self._set_expired(key, condition))
        data: bytes
        data = self._codec.encode(value) if type(value) in PLAIN_TYPES else (yield Encode(value))
        # As in Django's memcached backend: the old value would be outdated, except with NX.
        outdated = () if condition == "NX" else (key,)
        if self._max_value_bytes is not None and self.exceeds_max_size(data):
            yield from self._delete_all(outdated)
            return False
        command = make_set_command(key, data, ttl_ms)
        try:
            (reply,) = yield Batch(((*command, condition) if condition else command,))  # as in get
            if isinstance(reply, ReplyError):
                raise reply
        except self.unstorable as error:
            yield from self.drop(error, outdated)
            return False
        return reply is not None

    def write(self, command: Command, *outdated: str) -> Plan[Any]:
        """Send a write, and return its reply; False if the server does not store it.

        Args:
            command: the write.
            outdated: the keys whose values are then outdated; they are deleted.
        """
        try:
            return (yield from call(*command))
        except self.unstorable as error:
            yield from self.drop(error, outdated)
            return False

    def _set_expired(self, key: str, condition: str) -> Plan[bool]:
        if condition == "NX":
            return not (yield from call("EXISTS", key))
        deleted = yield from call("DEL", key)
        return bool(deleted) if condition == "XX" else True

    def get_or_set(self, key: str, default: object, ttl_ms: int | None) -> Plan[Any]:
        """Return the value, or store the default and return it.

        Concurrent callers in this process share one GET, one call of a callable default and one
        SET; each decodes its own copy.
        """
        data, computed = yield SingleFlight(
            key, lambda: self._get_or_set_bytes(key, default, ttl_ms)
        )
        return self.decode(data, computed)

    def _get_or_set_bytes(
        self, key: str, default: object, ttl_ms: int | None
    ) -> Plan[tuple[bytes, Any]]:
        """Return the stored bytes, and the default as it was computed; None if it was not."""
        raw: bytes | None = None
        try:
            raw = yield from call("GET", key)
            is_missing = raw is None
        except RequestTooLarge as error:
            self._report_too_large_to_read(error)
            is_missing = False
        if raw is not None:
            raw = yield from self.envelopes.open_one(raw)
        if raw is not None and self.decode(raw, MISSING) is not MISSING:
            return raw, None
        value = (yield Compute(default)) if callable(default) else default
        data: bytes = yield Encode(value)
        if (ttl_ms is not None and ttl_ms <= 0) or self.exceeds_max_size(data):
            return data, value
        command = make_set_command(key, data, ttl_ms)
        # NX would keep a value that cannot be read.
        stored = yield from (
            self.write((*command, "NX")) if is_missing else self.write(command, key)
        )
        if stored is None:
            theirs: bytes | None = yield from call("GET", key)
            if theirs is not None:
                theirs = yield from self.envelopes.open_one(theirs)
            return (data if theirs is None else theirs), value
        return data, value

    def incr(self, key: str, delta: int, *, create: bool = False) -> Plan[int | None]:
        """Add to an integer; return the sum, or None if the key does not exist.

        Args:
            key: the full key.
            delta: what to add.
            create: a key that does not exist counts as 0.

        Raises:
            TypeError: the value is not a 64-bit integer, or `delta` is not an integer.
            OverflowError: the sum does not fit 64 bits.
        """
        if not -(2**63) <= index(delta) < 2**63:
            raise OverflowError(f"The delta {delta} does not fit 64 bits.")
        command: Command = ("EVAL", INCR_EXISTING, 1, key, delta)
        if create:
            command = ("INCRBY", key, delta)
        try:
            total: int | bytes | bool | None = yield from self.write(command, key)
        except ReplyError as error:
            found = to_counter_error(error)
            if found is None:
                raise
            raise found from error
        if total is False:
            return delta if create else None
        return None if total is None else int(total)

    def incr_or_create(self, key: str, delta: int) -> Plan[int]:
        """Add to an integer, 0 if the key does not exist; return the sum.

        If the server does not store it, the sum is that of a missing key.

        Raises:
            ReplyError: the value is not an integer, or the sum does not fit 64 bits.
        """
        total: int | bool = yield from self.write(("INCRBY", key, delta), key)
        return delta if total is False else total

    def rename(self, old: str, new: str) -> Plan[bool]:
        """Rename a key, with its expiry; return whether it existed."""
        try:
            reply = yield from self.write(("RENAME", old, new), old, new)
        except ReplyError as error:
            if "no such key" in str(error):
                return False
            raise
        return reply is not False

    def delete(self, key: str) -> Plan[bool]:
        return bool((yield from call("DEL", key)))

    def exists(self, key: str) -> Plan[bool]:
        return bool((yield from call("EXISTS", key)))

    # ---- expiry

    def touch(self, key: str, ttl_ms: int | None) -> Plan[bool]:
        """Set a new expiry, None for none; return whether the key existed."""
        if ttl_ms is None:
            # PERSIST returns 0 both for a missing key and for a key without expiry. Only then
            # is a second command needed.
            reply = yield from self.write(("PERSIST", key), key)
            return bool(reply) or (reply is not False and (yield from self.exists(key)))
        if ttl_ms <= 0:
            return (yield from self.delete(key))
        return bool((yield from self.write(("PEXPIRE", key, ttl_ms), key)))

    def persist(self, key: str) -> Plan[bool]:
        return bool((yield from self.write(("PERSIST", key), key)))

    def expire_at(self, key: str, unix_ms: int) -> Plan[bool]:
        return bool((yield from self.write(("PEXPIREAT", key, unix_ms), key)))

    def get_ttl(
        self, key: str, command: Literal["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"]
    ) -> Plan[int | None]:
        """Return the command's reply: 0 for a missing key, None for a key without expiry."""
        left: int = yield from call(command, key)
        return None if left == -1 else max(left, 0)

    # ---- many keys

    def get_many(self, names: Sequence[str], keys: Sequence[K]) -> Plan[dict[K, Any]]:
        """Return the values that exist.

        Args:
            names: full keys.
            keys: the key of each name in the result.
        """
        found: dict[K, Any] = {}
        decode, start = self._codec.decode, 0
        for chunk in _split_keys(names):
            raws = yield from self.mget(chunk)
            pairs: Iterable[tuple[K, bytes | None]] = zip(
                keys[start : start + len(chunk)], raws, strict=True
            )
            start += len(chunk)
            if has_envelope(raws):
                enveloped = {key: raw for key, raw in pairs if raw is not None}
                pairs = (yield from self.envelopes.open_all(enveloped)).items()
            for key, raw in pairs:
                if raw is not None:
                    try:  # as `decode`, without its call
                        found[key] = decode(raw)
                    except DecodeError as error:
                        self._report_undecodable(error)
        return found

    def mget(self, keys: Sequence[str]) -> Plan[list[bytes | None]]:
        """Send MGET, in halves if the reply exceeds the request limit, which includes replies."""
        try:
            raws: list[bytes | None] = yield from call("MGET", *keys)
        except RequestTooLarge as error:
            if len(keys) == 1:
                self._report_too_large_to_read(error)
                return [None]
        else:
            return raws
        half = len(keys) // 2
        first = yield from self.mget(keys[:half])
        return first + (yield from self.mget(keys[half:]))

    def set_many(self, values: Mapping[str, object], ttl_ms: int | None) -> Plan[list[str]]:
        """Store values; return the keys of those that were not stored."""
        if ttl_ms is not None and ttl_ms <= 0:
            yield from self.delete_many(list(values))
            return []
        data: dict[str, bytes] = dict(zip(values, (yield EncodeMany(values.values())), strict=True))
        rejected: list[str] = []
        if self._max_value_bytes is not None:
            rejected += [key for key, each in data.items() if self.exceeds_max_size(each)]
            for key in rejected:
                del data[key]
            yield from self.delete_many(rejected)
        total = (
            _estimate_key_bytes("".join(data), len(data)) + sum(map(len, data.values())) * 4 // 3
        )
        max_items = None if ttl_ms is None else PIPELINE_COMMANDS  # MSET is one command
        for chunk in _split_into_requests([*data.items()], total, _estimate_item_bytes, max_items):
            rejected += yield from self._set_chunk(chunk, ttl_ms)
        return rejected

    def _set_chunk(self, items: Sequence[tuple[str, bytes]], ttl_ms: int | None) -> Plan[list[str]]:
        """Store values in one round trip; return the keys of those that were not stored."""
        replies: Replies
        try:
            if ttl_ms is None and len(items) > 1:
                yield from call("MSET", *(part for item in items for part in item))
                return []
            replies = yield Batch([make_set_command(key, data, ttl_ms) for key, data in items])
            if replies.count(_OK) == len(replies):
                return []
        except self.unstorable as error:
            if isinstance(error, RequestTooLarge) and len(items) > 1:
                half = len(items) // 2
                first = yield from self._set_chunk(items[:half], ttl_ms)
                return first + (yield from self._set_chunk(items[half:], ttl_ms))
            replies = [error] * len(items)
        errors = {
            key: reply
            for (key, _), reply in zip(items, replies, strict=True)
            if isinstance(reply, ReplyError)
        }
        unstored = {key: each for key, each in errors.items() if isinstance(each, self.unstorable)}
        if unstored:
            yield from self.drop(next(iter(unstored.values())), list(unstored))
        for key in errors.keys() - unstored.keys():
            raise errors[key]
        return list(unstored)

    def delete_many(self, keys: Sequence[str]) -> Plan[int]:
        """Delete keys; return how many existed."""
        deleted = 0
        for chunk in _split_keys(keys):
            deleted += yield from call("UNLINK", *chunk)
        return deleted

    def _delete_all(self, keys: Sequence[str]) -> Plan[None]:
        if len(keys) == 1:
            yield from call("DEL", *keys)
        elif keys:
            yield from self.delete_many(keys)

    # ---- values

    def drop(self, error: ReplyError, outdated: Sequence[str]) -> Plan[None]:
        """Report that the server has not stored a value, and delete the outdated keys.

        Args:
            error: one of `unstorable`.
            outdated: the keys that have an older value.
        """
        if isinstance(error, CapacityExceeded):
            reason = f"the database is full, values are not stored: {error}"
            report_discarded(ValueDiscarded(self._alias, reason, "full"))
        else:
            reason = f"a value was not stored: {error}"
            report_discarded(ValueDiscarded(self._alias, reason, "too_large"))
        with suppress(RequestTooLarge):  # the key itself is too large, so it has no value
            yield from self._delete_all(outdated)

    def _report_too_large_to_read(self, error: RequestTooLarge) -> None:
        reason = f"a stored value was not read: {error}"
        report_discarded(ValueDiscarded(self._alias, reason, "too_large"))

    def decode(self, raw: bytes, default: T) -> Any | T:
        """Decode a stored value; return the default and log it if it cannot be decoded."""
        try:
            return self._codec.decode(raw)
        except DecodeError as error:
            self._report_undecodable(error)
            return default

    def _report_undecodable(self, error: DecodeError) -> None:
        reason = f"a stored value cannot be decoded: {error}"
        report_discarded(ValueDiscarded(self._alias, reason, "undecodable"))

    def exceeds_max_size(self, data: bytes) -> bool:
        limit = self._max_value_bytes
        if limit is None or len(data) <= limit:
            return False
        reason = f"a value was not stored: {len(data)} bytes exceed MAX_VALUE_BYTES ({limit})"
        report_discarded(ValueDiscarded(self._alias, reason, "too_large"))
        return True


def make_set_command(key: str, data: bytes, ttl_ms: int | None) -> Command:
    return ("SET", key, data) if ttl_ms is None else ("SET", key, data, "PX", ttl_ms)


def _estimate_key_bytes(text: str, keys: int = 1) -> int:
    """Return how many bytes of a request some keys take at most; `text` is all of them."""
    return 4 * len(text) + 16 * keys


def _estimate_item_bytes(item: tuple[str, bytes]) -> int:
    # A third more: JSON requests need base64.
    return _estimate_key_bytes(item[0]) + len(item[1]) * 4 // 3


def _split_keys(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    """Return lists of keys, each small enough for one request."""
    total = _estimate_key_bytes("".join(keys), len(keys))
    return _split_into_requests(keys, total, _estimate_key_bytes)


def _split_into_requests(
    items: Sequence[T], total: int, estimate: Callable[[T], int], max_items: int | None = None
) -> Iterator[Sequence[T]]:
    """Yield lists of items, each small enough for one request.

    Args:
        items: what to send.
        total: the bytes of a request that all items take at most.
        estimate: returns the same for one item.
        max_items: how many items a request may have.
    """
    if items and total <= REQUEST_BYTES and (max_items is None or len(items) <= max_items):
        yield items
        return
    chunk: list[T] = []
    room = REQUEST_BYTES
    for item in items:
        cost = estimate(item)
        if chunk and (cost > room or len(chunk) == max_items):
            yield chunk
            chunk, room = [], REQUEST_BYTES
        chunk.append(item)
        room -= cost
    if chunk:
        yield chunk
