"""What each operation on a session sends: one command, unless a comment counts more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any, Final

from django.conf import settings
from django.contrib.sessions.exceptions import SessionInterrupted

from continuum_upstash.errors import ReplyError
from continuum_upstash.plans.effects import Batch, Encode, Plan, call
from continuum_upstash.protocol import Command, Replies, Reply, Script
from continuum_upstash.sessions.conf import conf
from continuum_upstash.sessions.index_entries import Listing, listing, unlisting
from continuum_upstash.sessions.merge import TRIES, merged, pause, replacing
from continuum_upstash.sessions.signing import Address, Draft, Record, payload, unseal, user_of

Data = dict[str, Any]

_TAKEN: Final = 0
_GONE: Final = -1

# About as long as a request takes: a save of the same data within it has nothing to renew.
_RENEWED_SECONDS: Final = 30


def _succeed_rule(call: Callable[..., Reply], keys: Sequence[str], args: Sequence[bytes]) -> Reply:
    if args[2] == b"1" and not call("EXISTS", *keys[1:]):
        return _GONE
    if call("SET", keys[0], args[0], "PX", args[1], "NX") is None:
        return _TAKEN
    call("DEL", *keys[1:])
    return 1


def _succeed_calls(command: Command, reply: Reply) -> int:
    return int(command[-1] == 1) + (2 if reply == 1 else reply == _TAKEN)


# Three billed commands, four for somebody who is signed in. A pipeline would be two, but where
# the database is full it would delete the old session and fail to store the new one.
SUCCEED: Final = Script(
    "if ARGV[3] == '1' and redis.call('EXISTS', unpack(KEYS, 2)) == 0 then return -1 end\n"
    "if not redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2], 'NX') then return 0 end\n"
    "redis.call('DEL', unpack(KEYS, 2))\n"
    "return 1",
    _succeed_rule,
    _succeed_calls,
)


class SessionCommands:
    """The plans of one session object over its database.

    Args:
        prefix: of the names.
        serializer: the class that SESSION_SERIALIZER names.
        lifetime: from data to the milliseconds that it is to be stored for.
        native: the server has Upstash's commands.
    """

    def __init__(
        self, prefix: str, serializer: Any, lifetime: Callable[[Data], int], *, native: bool
    ) -> None:
        self._prefix, self._serializer = prefix, serializer
        self._lifetime, self._native = lifetime, native
        # What this object last read or stored, and until when that counts as renewed.
        self._record: Record | None = None
        self._renewed_until = 0.0

    def load(self, address: Address) -> Plan[Data | None]:
        """Return the data, or None: there is no such session."""
        renews: bool = settings.SESSION_SAVE_EVERY_REQUEST
        record = yield from self._read(address, renews=renews)
        if record is None:
            return None
        self._note(record, renewed=renews and record.digest == address.digest)
        if renews and record.data.get("_session_expiry"):
            # GETEX had to assume SESSION_COOKIE_AGE: an expiry of its own costs a command more.
            px = self._lifetime(record.data)
            if px <= 0:
                yield from self.delete(address)
                return None
            yield from call("PEXPIRE", address.name_of(record.digest), px)
        return record.data

    def _read(self, address: Address, *, renews: bool) -> Plan[Record | None]:
        name = address.name
        get: Command = ("GETEX", name, "PX", self._lifetime({})) if renews else ("GET", name)
        raw: bytes | None = yield from call(*get)
        if raw is not None:
            return unseal(raw, address.digests, self._serializer)
        if not address.older:
            return None
        # Two commands for a session of an older secret, until it is next written.
        raws: list[bytes | None] = yield from call("MGET", *address.older)
        for digest, found in zip(address.digests[1:], raws, strict=True):
            if found is not None:
                return unseal(found, (digest, *address.digests), self._serializer)
        return None

    def exists(self, address: Address) -> Plan[bool]:
        return bool((yield from call("EXISTS", *address.names)))

    def delete(self, address: Address) -> Plan[bool]:
        """End a session; return whether there was one.

        A ZREM more, in the same round trip, where it was read and is listed.
        """
        gone = unlisting(self._prefix, self._known(address))
        self._renewed_until = 0.0
        deleted, *_ = yield from _sent([("UNLINK", *address.names), *gone])
        return bool(deleted)

    def insert(self, address: Address, data: Data) -> Plan[bool]:
        """Store a new session; return whether the address was free."""
        px = self._lifetime(data)
        if px <= 0:
            return True  # it has expired before it begins
        listed = self._listing(None, address, data, px)
        sealed = yield from self._sealed(address, data, listed)
        command: Command = ("SET", address.name, sealed, "PX", px, "NX")
        stored, *_ = yield from _sent([command, *listed.commands])
        if stored is None:
            return False
        self._wrote(address, sealed, data, listed, renewed=True)
        return True

    def succeed(self, former: Address, address: Address, data: Data) -> Plan[bool]:
        """Store a session under a new address and end the former one, both or neither.

        Returns:
            Whether the new address was free.

        Raises:
            SessionInterrupted: somebody is signed in with it, and it was ended meanwhile.
        """
        px = self._lifetime(data)
        if px <= 0:
            yield from self.delete(former)
            return True
        known = self._known(former)
        listed = self._listing(known, address, data, px)
        sealed = yield from self._sealed(address, data, listed)
        names = (address.name, *former.names)
        signed_in = int(known is not None and known.user is not None)
        command: Command = ("EVAL", SUCCEED, len(names), *names, sealed, px, signed_in)
        outcome, *_ = yield from _sent([command, *listed.commands])
        if outcome == _GONE:
            raise SessionInterrupted(
                "The session was ended before its key could be changed: the user logged out in a "
                "concurrent request, for example."
            )
        if outcome == _TAKEN:
            return False
        self._wrote(address, sealed, data, listed, renewed=True)
        return True

    def update(self, address: Address, data: Data) -> Plan[Data | None]:
        """Store a session anew; return what it holds then, or None: there is no such session.

        Four commands more, in the same round trip, when it is first stored with a user and about
        once in its age.
        """
        px = self._lifetime(data)
        if px <= 0:
            return data if (yield from self.delete(address)) else None
        known = self._known(address)
        if conf.merge and known is not None:
            return (yield from self._merge(address, known, data, px))
        listed = self._listing(known, address, data, px)
        sealed = yield from self._sealed(address, data, listed)
        command = ("SET", address.name, sealed, "PX", px, "XX")
        if not self._changes_nothing(address, sealed, listed):
            if not (yield from self._moved(address, command, listed)):
                return None
            self._wrote(address, sealed, data, listed)
        return data

    def _merge(self, address: Address, base: Record, mine: Data, px: int) -> Plan[Data | None]:
        """Store the data if `base` still stands there, else merged with what does.

        Two commands more for each writer that was quicker. Whoever has met that many of them in a
        row as there are tries overwrites the last one.
        """
        data, met = mine, base
        for attempt in range(TRIES + 1):
            listed = self._listing(met, address, data, px)
            sealed = yield from self._sealed(address, data, listed)
            if self._changes_nothing(address, sealed, listed):
                return data
            command = replacing(address.name, met.sealed, sealed, px, native=self._native)
            if attempt == TRIES:
                command = ("SET", address.name, sealed, "PX", px, "XX")
            if (yield from self._moved(address, command, listed)):
                self._wrote(address, sealed, data, listed)
                return data
            yield pause(attempt)
            theirs = yield from self._read(address, renews=False)
            if theirs is None:
                return None
            before = unseal(base.sealed, (base.digest, *address.digests), self._serializer)
            assert before is not None  # it could be read before
            data, met = merged(before.data, mine, theirs.data), theirs
        return None

    def _moved(self, address: Address, command: Command, listed: Listing) -> Plan[bool]:
        """Send a command that stores; bring the session from an older secret's name first.

        Where SECRET_KEY_FALLBACKS is set: one command more for each, unless the session is known
        to stand under today's secret.
        """
        known = self._known(address)
        moved = known is not None and known.digest == address.digest
        moves = [] if moved else [("RENAMENX", name, address.name) for name in address.older]
        commands = [*moves, command, *listed.commands]
        # A RENAMENX fails in its place where there is nothing to move.
        replies = yield from _sent(commands, heed=len(moves), atomic=bool(moves))
        return replies[0] is not None

    def _changes_nothing(self, address: Address, sealed: bytes, listed: Listing) -> bool:
        record, fresh = self._record, monotonic() < self._renewed_until
        self._renewed_until = 0.0
        return (
            fresh
            and record is not None
            and record.digest == address.digest
            and record.listed_until == listed.until
            and payload(record.sealed) == payload(sealed)
        )

    def knows(self, address: Address) -> bool:
        """Return whether this object has read or stored the session."""
        return self._known(address) is not None

    def _known(self, address: Address) -> Record | None:
        record = self._record
        return record if record is not None and record.digest in address.digests else None

    def _listing(self, old: Record | None, address: Address, data: Data, px: int) -> Listing:
        return listing(self._prefix, old, address.digest, user_of(data), px)

    def _sealed(self, address: Address, data: Data, listed: Listing) -> Plan[bytes]:
        sealed: bytes = yield Encode(Draft(address.digest, data, self._serializer, listed.until))
        return sealed

    def _wrote(
        self, address: Address, sealed: bytes, data: Data, listed: Listing, *, renewed: bool = False
    ) -> None:
        record = Record(address.digest, sealed, user_of(data), listed.until, data)
        self._note(record, renewed=renewed)

    def _note(self, record: Record, *, renewed: bool) -> None:
        self._record = record
        self._renewed_until = monotonic() + _RENEWED_SECONDS if renewed else 0.0


def _sent(commands: Sequence[Command], *, heed: int = 0, atomic: bool = False) -> Plan[Replies]:
    """Return the replies from number `heed` on, or raise the first error among them."""
    replies: Replies = yield Batch(commands, atomic=atomic)
    for reply in replies[heed:]:
        if isinstance(reply, ReplyError):
            raise reply
    return replies[heed:]
