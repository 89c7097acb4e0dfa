"""The commands of each operation on a session: one billed command, unless a docstring says more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final

from django.conf import settings
from django.contrib.sessions.exceptions import SessionInterrupted

from continuum_upstash.errors import (
    CapacityExceeded,
    ConnectionFailed,
    DeadlineExceeded,
    ReadOnlyReplica,
    ReplyError,
    SessionStoreUnavailable,
)
from continuum_upstash.plans.effects import Batch, Encode, Plan, call
from continuum_upstash.protocol import Command, Replies, Reply, Script, is_integer
from continuum_upstash.sessions.index_entries import (
    IndexUpdate,
    build_index_removal,
    build_index_update,
)
from continuum_upstash.sessions.keys import StorageKey, make_redis_key
from continuum_upstash.sessions.session_runner import SessionRunner
from continuum_upstash.sessions.signing import (
    SignedSession,
    UnsignedSession,
    get_payload,
    get_user_id,
    verify,
)

Data = dict[str, Any]

_KEY_IS_TAKEN: Final = 0
_SESSION_HAS_ENDED: Final = -1

# About as long as a request takes: within it, saving the same data again sends nothing.
_FRESH_SECONDS: Final = 30


def _rotate_locally(
    call: Callable[..., Reply], keys: Sequence[str], args: Sequence[bytes]
) -> Reply:
    if args[2] == b"1" and not call("EXISTS", *keys[1:]):
        return 1 if call("GET", keys[0]) == args[0] else _SESSION_HAS_ENDED
    if call("SET", keys[0], args[0], "PX", args[1], "NX") is None:
        return 1 if call("GET", keys[0]) == args[0] else _KEY_IS_TAKEN
    call("DEL", *keys[1:])
    return 1


def _count_rotate_commands(command: Command, reply: Reply) -> int:
    return 2 + int(command[-1] == 1) - int(reply == _SESSION_HAS_ENDED)


# Three billed commands, four if a user is logged in. A pipeline would be two, but on a full
# database it would delete the old session and fail to store the new one. It may be sent twice: if
# it has stored this very record under the new key, it returns 1 again.
ROTATE_KEY: Final = Script(
    "local function otherwise(code)\n"
    "  if redis.call('GET', KEYS[1]) == ARGV[1] then return 1 end\n"
    "  return code\n"
    "end\n"
    "local must_exist = ARGV[3] == '1'\n"
    "if must_exist and redis.call('EXISTS', unpack(KEYS, 2)) == 0 then return otherwise(-1) end\n"
    "if not redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX') then return otherwise(0) end\n"
    "redis.call('DEL', unpack(KEYS, 2))\n"
    "return 1",
    _rotate_locally,
    _count_rotate_commands,
    is_integer,
)


class SessionPlans:
    """The plans of one session object.

    Args:
        runner: of the session database.
        serializer: the class that SESSION_SERIALIZER names.
        get_ttl_ms: returns the lifetime of session data in milliseconds.
    """

    def __init__(
        self, runner: SessionRunner, serializer: Any, get_ttl_ms: Callable[[Data], int]
    ) -> None:
        self._runner = runner
        self._serializer, self._get_ttl_ms = serializer, get_ttl_ms
        # The session as this object last read or stored it, and the monotonic second until which
        # its expiry need not be renewed.
        self._session: SignedSession | None = None
        self._fresh_until = 0.0

    @classmethod
    def clear_expired(cls) -> None:
        """Do nothing: Redis deletes expired sessions."""

    def load(self, key: StorageKey) -> Plan[Data | None]:
        """Return the data, or None if there is no such session.

        With SESSION_SAVE_EVERY_REQUEST, a session with an expiry of its own costs a second command,
        and any session one more while the database is full or accepts no writes.
        """
        renew: bool = settings.SESSION_SAVE_EVERY_REQUEST
        session = yield from self._read(key, renew=renew)
        if session is None:
            return None
        self._remember(session, is_fresh=renew and session.digest == key.digest)
        if renew and session.data.get("_session_expiry"):
            # GETEX has just set the expiry to SESSION_COOKIE_AGE.
            ttl_ms = self._get_ttl_ms(session.data)
            if ttl_ms <= 0:
                yield from self.delete(key)
                return None
            redis_key = make_redis_key(key.prefix, session.digest)
            yield from _renew(("PEXPIRE", redis_key, ttl_ms))
        return session.data

    def _read(self, key: StorageKey, *, renew: bool) -> Plan[SignedSession | None]:
        signed: bytes | None
        is_read = False
        if renew:
            getex: Command = ("GETEX", key.redis_key, "PX", self._get_ttl_ms({}))
            is_read, signed = yield from _renew(getex)
        if not is_read:
            signed = yield from call("GET", key.redis_key)
        if signed is not None:
            return verify(signed, key.digests, self._serializer)
        if len(key.digests) == 1:
            return None
        # Two commands for a session under an older digest, until its next save.
        values: list[bytes | None] = yield from call("MGET", *key.older_redis_keys)
        for digest, value in zip(key.digests[1:], values, strict=True):
            if value is not None:
                return verify(value, (digest, *key.digests), self._serializer)
        return None

    def exists(self, key: StorageKey) -> Plan[bool]:
        return bool((yield from call("EXISTS", *key.redis_keys)))

    def delete(self, key: StorageKey) -> Plan[bool]:
        """End a session; return whether it existed.

        One more command, in the same round trip, if the session was loaded and is indexed.
        """
        removal = build_index_removal(key, self._get_loaded(key))
        self._fresh_until = 0.0
        replies: Replies = yield Batch([("UNLINK", *key.redis_keys), *removal])
        _raise_error(replies)
        return bool(replies[0])

    def create(self, key: StorageKey, data: Data) -> Plan[bool]:
        """Store a new session; return False if the key is taken.

        Four more commands, in the same round trip, if a user is logged in.
        """
        ttl_ms = self._get_ttl_ms(data)
        if ttl_ms <= 0:
            return True  # it has expired already
        index = build_index_update(key, data, ttl_ms, None)
        signed: bytes = yield self._encode(key, data, index)
        command: Command = ("SET", key.redis_key, signed, "PX", ttl_ms, "NX")
        replies: Replies = yield Batch([command, *index.commands])
        _raise_error(replies)
        if replies[0] is None:
            return False
        self._remember_write(key, signed, data, index, is_fresh=True)
        return True

    def rotate_key(self, old_key: StorageKey, key: StorageKey, data: Data) -> Plan[bool]:
        """Store a session under a new key and end the old one: both or neither.

        Three billed commands, four if a user is logged in; then five more, in the same round trip,
        to replace the entry of the index.

        Returns:
            False if the new key is taken.

        Raises:
            SessionInterrupted: a user was logged in, and the old session has been ended meanwhile.
        """
        ttl_ms = self._get_ttl_ms(data)
        if ttl_ms <= 0:
            yield from self.delete(old_key)
            return True
        old = self._get_loaded(old_key)
        index = build_index_update(key, data, ttl_ms, old)
        signed: bytes = yield self._encode(key, data, index)
        keys = (key.redis_key, *old_key.redis_keys)
        must_exist = int(old is not None and old.user_id is not None)
        command: Command = ("EVAL", ROTATE_KEY, len(keys), *keys, signed, ttl_ms, must_exist)
        replies = yield from _send_twice(Batch([command, *index.commands]))
        _raise_error(replies)
        if replies[0] == _SESSION_HAS_ENDED:
            raise SessionInterrupted(
                "The session ended before its key could be changed. The user may have logged out "
                "in a concurrent request, for example."
            )
        if replies[0] == _KEY_IS_TAKEN:
            return False
        self._remember_write(key, signed, data, index, is_fresh=True)
        return True

    def update(self, key: StorageKey, data: Data) -> Plan[Data | None]:
        """Store a session again; return the stored data, or None if there is no such session.

        Four more commands, in the same round trip, when it is first stored with a user and about
        once in its lifetime.
        """
        ttl_ms = self._get_ttl_ms(data)
        if ttl_ms <= 0:
            return data if (yield from self.delete(key)) else None
        loaded = self._get_loaded(key)
        index = build_index_update(key, data, ttl_ms, loaded)
        signed: bytes = yield self._encode(key, data, index)
        if not self._is_unchanged(key, signed, index):
            command: Command = ("SET", key.redis_key, signed, "PX", ttl_ms, "XX")
            if not (yield from self._store_migrating(key, command, index, loaded)):
                return None
            self._remember_write(key, signed, data, index)
        return data

    def _store_migrating(
        self, key: StorageKey, command: Command, index: IndexUpdate, loaded: SignedSession | None
    ) -> Plan[bool]:
        """Send a command that stores, after moving the session from an older digest's Redis key.

        One more command for each of SECRET_KEY_FALLBACKS, unless the session is known to be stored
        under the first digest.
        """
        moves: list[Command] = []
        if loaded is None or loaded.digest != key.digest:
            moves = [("RENAMENX", older, key.redis_key) for older in key.older_redis_keys]
        replies: Replies = yield Batch([*moves, command, *index.commands], atomic=bool(moves))
        # RENAMENX returns an error if there is nothing to move.
        _raise_error(replies[len(moves) :])
        return replies[len(moves)] is not None

    def _is_unchanged(self, key: StorageKey, signed: bytes, index: IndexUpdate) -> bool:
        session, is_fresh = self._session, monotonic() < self._fresh_until
        self._fresh_until = 0.0
        return (
            is_fresh
            and session is not None
            and session.digest == key.digest
            and session.indexed_until == index.until
            and get_payload(session.signed) == get_payload(signed)
        )

    def has_loaded(self, key: StorageKey) -> bool:
        """Return whether this object has read or stored the session."""
        return self._get_loaded(key) is not None

    def _get_loaded(self, key: StorageKey) -> SignedSession | None:
        session = self._session
        return session if session is not None and session.digest in key.digests else None

    def _encode(self, key: StorageKey, data: Data, index: IndexUpdate) -> Encode:
        return Encode(UnsignedSession(key.digest, data, self._serializer, index.until))

    def _remember_write(
        self,
        key: StorageKey,
        signed: bytes,
        data: Data,
        index: IndexUpdate,
        *,
        is_fresh: bool = False,
    ) -> None:
        session = SignedSession(key.digest, signed, get_user_id(data), index.until, data)
        self._remember(session, is_fresh=is_fresh)

    def _remember(self, session: SignedSession, *, is_fresh: bool) -> None:
        self._session = session
        self._fresh_until = monotonic() + _FRESH_SECONDS if is_fresh else 0.0


def _renew(command: Command) -> Plan[tuple[bool, Any]]:
    """Send a command that renews an expiry; return whether it ran, and its reply.

    A database that is full or read-only refuses it as a write. The session can still be read, and
    is kept until its old expiry.
    """
    try:
        reply: Reply = yield from call(*command)
    except (CapacityExceeded, ReadOnlyReplica, SessionStoreUnavailable) as error:
        refusal = error.__cause__ if isinstance(error, SessionStoreUnavailable) else error
        if not isinstance(refusal, (CapacityExceeded, ReadOnlyReplica)):
            raise
        return False, None
    return True, reply


def _send_twice(batch: Batch) -> Plan[Replies]:
    """Send a batch again if the reply was lost: the server may have run it."""
    replies: Replies
    try:
        replies = yield batch
    except SessionStoreUnavailable as error:
        cause = error.__cause__
        is_lost = isinstance(cause, DeadlineExceeded) or (
            isinstance(cause, ConnectionFailed) and not cause.unsent
        )
        if not is_lost:
            raise
        replies = yield batch
    return replies


def _raise_error(replies: Replies) -> None:
    for reply in replies:
        if isinstance(reply, ReplyError):
            raise reply
