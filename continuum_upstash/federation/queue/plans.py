"""The plans of a queue: which commands each operation sends."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from continuum_upstash.codec.codec import DecodeError
from continuum_upstash.errors import Unavailable
from continuum_upstash.federation.database import FederationDatabase
from continuum_upstash.federation.queue.members import (
    PAUSED,
    PAUSED_SCORE,
    READY_MIN,
    DeadLetter,
    IdMaker,
    Member,
    compute_ready_score,
    hash_unique_name,
)
from continuum_upstash.federation.queue.payloads import PayloadEncoder
from continuum_upstash.federation.queue.request_size import split_by_size
from continuum_upstash.federation.queue.scripts import (
    ACKNOWLEDGE_UNIQUE,
    ENQUEUE_UNIQUE,
    FAIL,
    REPLACE,
    RESERVE,
    call_script,
)
from continuum_upstash.keys import QUEUE_KEYS
from continuum_upstash.observe import log_once_a_minute
from continuum_upstash.plans.effects import Plan, call, call_many
from continuum_upstash.protocol import Argument, Command
from continuum_upstash.ratelimit.engine.server_clock import ServerClock

MAX_RESERVED: Final = 100  # jobs in one reply
_MAX_ADDED: Final = 500  # jobs in one ZADD
_PAGE: Final = 100
_CHECK_SECONDS: Final = 1.0  # between two looks for due jobs while others are ready


class QueueKeys(NamedTuple):
    """The keys of a queue; the braces make them one hash slot."""

    jobs: str
    dead: str
    unique: str
    wake: str

    @classmethod
    def make(cls, prefix: str, name: str) -> QueueKeys:
        """Return the keys; the alias's KEY_PREFIX, if there is one, is part of the name."""
        base = QUEUE_KEYS + (f"{prefix}:{name}}}" if prefix else f"{name}}}")
        return cls(base, f"{base}:dead", f"{base}:unique", f"{base}:wake")


class JobOptions(NamedTuple):
    """What `enqueue` is told about a job; the units are those of `Queue.enqueue`."""

    priority: int = 0
    delay: float | None = None
    max_attempts: int = 5
    lifetime: float | None = 86_400.0


class Reservation(NamedTuple):
    """The result of a reserve.

    Attributes:
        jobs: each with its decoded payload.
        lease_end: Unix milliseconds.
        next_due: seconds until the next job is due, 0 if one may be ready, None if there is none.
        is_paused: whether the queue is paused.
        dead: how many jobs became dead letters, because their lifetime or attempts were over.
    """

    jobs: Sequence[tuple[Member, Any]]
    lease_end: int
    next_due: float | None
    is_paused: bool
    dead: int


class _QueueState:
    """What one process keeps for all queues of a database."""

    def __init__(self) -> None:
        self.ids = IdMaker()
        self.clock = ServerClock()
        self.next_checks: dict[str, float] = {}  # by queue, in monotonic seconds


class _Change(NamedTuple):
    """A member, and the score and the job that replace it."""

    old: str
    score: int
    new: str

    def get_text(self) -> str:
        return self.old + self.new


class QueuePlans:
    """The plans of one queue.

    Args:
        database: where the queue is.
        name: of the queue.
        wake: publish a message for each enqueue, so that idle workers start at once.
    """

    def __init__(self, database: FederationDatabase, name: str, *, wake: bool) -> None:
        self.keys = QueueKeys.make(database.prefix, name)
        self._name, self._wake = name, wake
        self._alias = database.config.alias
        self._label = database.config.label
        extras = database.database.extras
        self._payloads = extras.get(
            PayloadEncoder, lambda: PayloadEncoder(database.codec, database.config)
        )
        self._state = extras.get(_QueueState)

    # ---- producers

    def enqueue(
        self, payloads: Iterable[object], options: JobOptions, tokens: str
    ) -> Plan[list[str]]:
        """Enqueue jobs, and return their IDs."""
        texts: list[str] = []
        for payload in payloads:
            texts += [(yield from self._payloads.encode(payload))]
        members = self._make_members(texts, options, tokens)
        requests = [*split_by_size(members, _get_text, _MAX_ADDED)]
        for request in requests:
            score = self._compute_score(options)
            pairs = [part for member in request for part in (score, member.text)]
            commands: list[Command] = [("ZADD", self.keys.jobs, *pairs)]
            if request is requests[-1]:
                commands += self._make_wake_commands()
            yield from call_many(commands, needs_server=True)
        return [member.id for member in members]

    def enqueue_unique(
        self, payload: object, unique: str, options: JobOptions, tokens: str
    ) -> Plan[tuple[str, bool]]:
        """Enqueue a job unless one with the name exists; return the ID, and whether it is new."""
        text = yield from self._payloads.encode(payload)
        (member,) = self._make_members([text], options, tokens)
        member = member._replace(unique=hash_unique_name(unique))
        now = self._read_clock()
        arguments = (
            *(member.unique, member.id, member.expires, now),
            *(self._compute_score(options), member.text),
        )
        keys = (self.keys.jobs, self.keys.unique)
        holder: bytes = yield from call_script(
            ENQUEUE_UNIQUE, keys, arguments, *self._make_wake_commands()
        )
        found = holder.decode("latin-1")
        return found, found == member.id

    def _make_members(self, texts: Sequence[str], options: JobOptions, tokens: str) -> list[Member]:
        now = self._read_clock()
        expires = 0
        if options.lifetime is not None:
            expires = now + _to_ms((options.delay or 0) + options.lifetime)
        rest = options.max_attempts, expires, "-", "-", tokens or "-"
        return [
            Member(job_id, options.priority, 0, *rest, text)
            for job_id, text in zip(self._state.ids.make(now, len(texts)), texts, strict=True)
        ]

    def _compute_score(self, options: JobOptions) -> int:
        if not options.delay:
            return compute_ready_score(options.priority)
        return self._read_clock() + _to_ms(options.delay)

    def _make_wake_commands(self) -> list[Command]:
        return [("PUBLISH", self.keys.wake, "1")] if self._wake else []

    def _read_clock(self) -> int:
        """Return Unix milliseconds, by the database's clock if this process has asked for it."""
        return self._state.clock.get_time() or int(time.time() * 1000)

    # ---- workers

    def reserve(self, count: int, visibility: float, lease: str) -> Plan[Reservation]:
        """Reserve up to `count` jobs for `visibility` seconds; `lease` identifies the call."""
        now = yield from self._get_time()
        lease_end = now + _to_ms(visibility)
        keys = (self.keys.jobs, self.keys.dead, self.keys.unique)
        arguments = (now, lease_end, lease, count, int(self._is_check_due()))
        reply = yield from call_script(RESERVE, keys, arguments)
        is_paused, next_due, dead, _, members = self._parse_reply(reply, count)
        if dead:
            log_once_a_minute(
                self._alias,
                f"queue '{self._name}' has new dead letters: {dead} jobs were not done within "
                "their lifetime or their attempts. Queue.dead() lists them with the reasons.",
            )
        jobs = []
        for member in members:
            try:
                jobs.append((member, self._payloads.decode(member.payload)))
            except DecodeError as error:
                reason = f"undecodable payload: {error}"
                yield from self.fail(member, reason)
        seconds = None if next_due < 0 else max(0.0, (next_due - now) / 1000)
        return Reservation(jobs, lease_end, seconds, is_paused, dead)

    def _is_check_due(self) -> bool:
        now, checks = time.monotonic(), self._state.next_checks
        if now < checks.setdefault(self._name, now + _CHECK_SECONDS):
            return False
        checks[self._name] = now + _CHECK_SECONDS
        return True

    def _parse_reply(self, reply: Any, count: int) -> tuple[bool, int, int, int, list[Member]]:
        if isinstance(reply, list) and 4 <= len(reply) <= 4 + count:
            numbers, texts = reply[:4], reply[4:]
            if all(type(each) is int for each in numbers):
                members = [*filter(None, map(self._parse_member, texts))]
                return bool(numbers[0]), numbers[1], numbers[2], numbers[3], members
        raise Unavailable(
            f"{self._label}: unexpected reply: the script that reserves jobs returns numbers and "
            "jobs. Check the URL, and the proxy in front of the database."
        )

    def _parse_member(self, data: object) -> Member | None:
        try:
            member = Member.parse(data.decode()) if isinstance(data, bytes) else None
        except UnicodeDecodeError:
            member = None
        if member is None:  # it becomes a dead letter after its attempts
            log_once_a_minute(
                self._alias, f"queue '{self._name}' has a job that is not UTF-8 text: skipped"
            )
        return member

    def acknowledge(self, members: Sequence[Member]) -> Plan[int]:
        """Remove jobs that are done; return how many were still leased."""
        plain = [member.text for member in members if member.unique == "-"]
        removed = 0
        for texts in split_by_size(plain, str):
            removed += yield from call("ZREM", self.keys.jobs, *texts, needs_server=True)
        for member in members:
            if member.unique != "-":
                keys = (self.keys.jobs, self.keys.unique)
                arguments = (member.text, member.unique, member.id)
                removed += yield from call_script(ACKNOWLEDGE_UNIQUE, keys, arguments)
        return removed

    def retry(self, member: Member, delay: float) -> Plan[bool]:
        """Make a job due after `delay` seconds; return whether it was still leased."""
        score = member.ready_score
        if delay > 0:
            score = (yield from self._get_time()) + _to_ms(delay)
        commands: list[Command] = [("ZADD", self.keys.jobs, "XX", "CH", score, member.text)]
        if delay <= 0:
            commands += self._make_wake_commands()
        replies = yield from call_many(commands, needs_server=True)
        return bool(replies[0])

    def extend(self, members: Sequence[Member], seconds: float) -> Plan[tuple[int, list[bool]]]:
        """Let leases end in `seconds` from now; return that time and which were still held."""
        end = (yield from self._get_time()) + _to_ms(seconds)
        held: list[bool] = []
        for texts in split_by_size([member.text for member in members], str):
            pairs = [part for text in texts for part in (end, text)]
            changed = yield from call("ZADD", self.keys.jobs, "XX", "CH", *pairs, needs_server=True)
            if changed < len(texts):
                scores = yield from call("ZMSCORE", self.keys.jobs, *texts, needs_server=True)
                held += [score is not None for score in scores]
            else:
                held += [True] * len(texts)
        return end, held

    def release(self, members: Sequence[Member]) -> Plan[int]:
        """Give jobs back without counting the attempt; return how many were still leased."""
        changes = []
        for member in members:
            before = member._replace(attempts=max(0, member.attempts - 1), lease="-")
            changes.append(_Change(member.text, member.ready_score, before.text))
        return (yield from self._replace(self.keys.jobs, changes))

    def _replace(self, source: str, changes: Sequence[_Change]) -> Plan[int]:
        """Replace members of a sorted set by jobs; return how many there were."""
        replaced, requests = 0, [*split_by_size(changes, _Change.get_text)]
        for request in requests:
            arguments: list[Argument] = [part for change in request for part in change]
            wake = self._make_wake_commands() if request is requests[-1] else ()
            keys = (source, self.keys.jobs)
            replaced += yield from call_script(REPLACE, keys, arguments, *wake)
        return replaced

    def fail(self, member: Member, reason: str) -> Plan[bool]:
        """Move a job to the dead letters; return whether it was still leased."""
        now = yield from self._get_time()
        unique = "" if member.unique == "-" else member.unique
        letter = member.make_dead_letter(reason)
        arguments = (member.text, now, letter, member.id, unique)
        keys = (self.keys.jobs, self.keys.dead, self.keys.unique)
        return bool((yield from call_script(FAIL, keys, arguments)))

    def read_next_due(self) -> Plan[float | None]:
        """Return the seconds until a job is due, 0 if one is ready, None if there is none."""
        now = yield from self._get_time()
        reply = yield from call("ZRANGE", self.keys.jobs, 0, 0, "WITHSCORES", needs_server=True)
        if not reply or reply[0] == PAUSED.encode():
            return None
        return max(0.0, (float(reply[1]) - now) / 1000)

    def _get_time(self) -> Plan[int]:
        """Return Unix milliseconds by the database's clock; it is read every five minutes."""
        clock = self._state.clock
        now = clock.get_time()
        if now is None:
            started = clock.start_sync()
            now = clock.sync(started, (yield from call("TIME", needs_server=True)))
        return now

    # ---- operators

    def read_size(self) -> Plan[tuple[int, int, int, bool]]:
        """Return the numbers of ready, waiting and dead jobs, and whether the queue is paused."""
        now = self._read_clock()
        jobs = self.keys.jobs
        commands: list[Command] = [
            ("ZCOUNT", jobs, READY_MIN, now),
            ("ZCARD", jobs),
            ("ZCARD", self.keys.dead),
            ("ZSCORE", jobs, PAUSED),
        ]
        ready, total, dead, paused = yield from call_many(commands, needs_server=True)
        is_paused = paused is not None
        return ready, total - ready - is_paused, dead, is_paused

    def read_oldest(self) -> Plan[float | None]:
        """Return the age in seconds of the oldest job that is ready; None if none is."""
        now = self._read_clock()
        oldest, start = None, str(READY_MIN)
        while True:  # one step per priority in use
            reply = yield from call(
                *("ZRANGEBYSCORE", self.keys.jobs, start, now, "WITHSCORES", "LIMIT", 0, 1),
                needs_server=True,
            )
            if not reply:
                break
            member, score = Member.parse(reply[0].decode("utf-8", "replace")), float(reply[1])
            since = score if score > 0 else _read_id_time(member, now)
            oldest = since if oldest is None else min(oldest, since)
            if score > 0:
                break
            start = f"({int(score)}"
        return None if oldest is None else max(0.0, (now - oldest) / 1000)

    def pause(self) -> Plan[None]:
        yield from call("ZADD", self.keys.jobs, PAUSED_SCORE, PAUSED, needs_server=True)

    def resume(self) -> Plan[None]:
        commands: list[Command] = [("ZREM", self.keys.jobs, PAUSED)]
        yield from call_many(commands + self._make_wake_commands(), needs_server=True)

    def read_dead(self, limit: int, offset: int) -> Plan[list[tuple[str, float]]]:
        """Return dead letters, the newest first, with the Unix seconds since when."""
        letters: list[tuple[str, float]] = []
        while len(letters) < limit:
            start = offset + len(letters)
            stop = start + min(_PAGE, limit - len(letters)) - 1
            reply = yield from call(
                *("ZRANGE", self.keys.dead, start, stop, "REV", "WITHSCORES"), needs_server=True
            )
            for text, score in zip(reply[::2], reply[1::2], strict=True):
                letters.append((text.decode("utf-8", "surrogateescape"), float(score) / 1000))
            if len(reply) < 2 * _PAGE:
                break
        return letters

    def decode_dead(self, letter: DeadLetter) -> Any:
        """Return the payload of a dead letter; None if it cannot be decoded."""
        try:
            return self._payloads.decode(letter.payload)
        except (DecodeError, UnicodeEncodeError):
            return None

    def requeue(self, letters: Sequence[str], lifetime: float | None) -> Plan[int]:
        """Make dead letters ready again, with new attempts; return how many there were."""
        expires = 0 if lifetime is None else self._read_clock() + _to_ms(lifetime)
        changes = []
        for text in letters:
            member = DeadLetter.parse(text).member
            if member is not None and member.max_attempts:
                member = member._replace(attempts=0, expires=expires, lease="-", unique="-")
                changes.append(_Change(text, member.ready_score, member.text))
        return (yield from self._replace(self.keys.dead, changes))

    def discard(self, letters: Sequence[str]) -> Plan[int]:
        """Delete dead letters; return how many there were."""
        count = 0
        for texts in split_by_size(letters, str):
            count += yield from call("ZREM", self.keys.dead, *texts, needs_server=True)
        return count


def compute_backoff(attempts: int) -> float:
    """Return seconds until the next attempt: 5, 10, 20 … up to 3,600, of each 50 to 100 %."""
    longest: float = min(5.0 * 2 ** min(attempts - 1, 20), 3600.0)
    spread = random.uniform(0.5, 1.0)  # noqa: S311 spreads the attempts, no secret
    return longest * spread


def _get_text(member: Member) -> str:
    return member.text


def _read_id_time(member: Member | None, now: int) -> float:
    if member is None or len(member.id) != 24:
        return float(now)
    return float(int(member.id[:12], 16))


def _to_ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
