"""What stands by for a database: its breaker, its journal, and the local store that answers for it.

A call that meets trouble goes the careful way, a plan that is written once for both colours:

1. Without leave of the breaker the answer is the local store's, at once.
2. A probe knocks first (PING, free of charge), so that a dead database costs no write its
   certainty, and writes that were on their way when it stopped are done before ours.
3. The batch's keys that stand in the journal are unlinked, so that nothing is read that this
   process has since changed.
4. The batch is sent, and how it went is reported.

What must be shared to be right (locks, INFO, SCAN …) is never answered locally: it raises
`Unavailable`, and so does everything where FALLBACK is off.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from time import monotonic, time
from typing import Final
from weakref import ref

from continuum_upstash.config.resolve import Config
from continuum_upstash.errors import (
    AuthenticationFailed,
    CapacityExceeded,
    DeadlineExceeded,
    QuotaExceeded,
    ReplyError,
    Unavailable,
)
from continuum_upstash.observe import StateChange, logger, notify
from continuum_upstash.plans.command_table import ReplyKind, get_spec, list_written_keys
from continuum_upstash.plans.effects import Batch, Plan
from continuum_upstash.protocol import Command, Replies, Reply
from continuum_upstash.transports.failover.breaker import ASKED, Breaker, State, Ticket
from continuum_upstash.transports.failover.journal import Journal
from continuum_upstash.transports.local.transport import Local
from continuum_upstash.transports.network_errors import out_of_time
from continuum_upstash.transports.wrappers.instrumented import Metered

REFUSALS: Final = (AuthenticationFailed, QuotaExceeded)  # of everything, until somebody acts
_OUTAGES: Final = (Unavailable, *REFUSALS)
_TRYING_AGAIN: Final = {State.OPEN, State.HALF_OPEN}
_PRIMARIES: Final = {"rest": "upstash-rest", "redis": "upstash-redis", "local": "local"}


@dataclass(frozen=True, slots=True)
class Status:
    """How a database is doing, as this process sees it.

    Attributes:
        backend: who answers: ``upstash-rest``, ``upstash-redis`` or ``local``.
        state: ``closed``, ``open``, ``half_open``, ``forced_open`` or ``disabled``.
        reason: why, in one line without secrets.
        since: Unix seconds of the last change.
        next_probe: Unix seconds from which on a call tries the database again, or None.
        failures: calls that failed in a row.
        local_answers: batches answered locally in the database's place, since the start.
        journal: keys, or beginnings of keys, that the database has yet to forget.
    """

    backend: str
    state: str
    reason: str
    since: float
    next_probe: float | None
    failures: int
    local_answers: int
    journal: int


class Standby:
    """What the sync side and all loops of one database share, anew in a forked child.

    Attributes:
        breaker: says when the database is asked; a panel may force it.
        journal: says what the database has yet to forget.
        local: answers in its place.
    """

    def __init__(
        self,
        config: Config,
        local: Local,
        clock: Callable[[], float] = monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        # Knock, UNLINK, batch: who takes longer than their deadlines has got lost.
        lease = 3 * config.read_timeout
        self.breaker = Breaker(config.health_check_interval, lease, self._tell, clock, chance)
        self.journal = Journal(lease, self._forget, clock)
        self._config = config
        self._fallback = config.fallback
        self.local = local
        self._metered = Metered(local, config.alias)
        self._clock = clock
        self._lock = threading.RLock()  # re-entrant as the breaker's
        self._answers = 0
        self._counted: Callable[[], Exception | None] = lambda: None

    @property
    def backend(self) -> str:
        """Who answers now."""
        return self._answering(self.breaker.state)

    def status(self) -> Status:
        breaker, ahead = self.breaker, time() - self._clock()
        until = breaker.until
        return Status(
            backend=self.backend,
            state=breaker.state.value,
            reason=breaker.reason,
            since=breaker.since + ahead,
            next_probe=until + ahead if -inf < until < inf else None,
            failures=breaker.failures,
            local_answers=self._answers,
            journal=len(self.journal),
        )

    def hurried(self, batch: Batch) -> bool:
        """Return whether a batch waits for less than the database may take."""
        return batch.deadline_s is not None and batch.deadline_s < self._config.read_timeout

    def careful(self, ticket: Ticket, batch: Batch) -> Plan[Replies]:
        """Ask with care, since something is or was amiss; yields what the database is to do."""
        try:
            if ticket.probe:
                (pong,) = yield Batch((("PING",),), deadline_s=batch.deadline_s)
                if isinstance(pong, REFUSALS):
                    raise pong
            yield from self.journal.unlink_for(batch)
        except (Unavailable, ReplyError) as error:
            return self.failed(ticket.era, batch, error, unlinked=False)
        try:
            replies = yield batch
        except (Unavailable, ReplyError) as error:
            return self.failed(ticket.era, batch, error)
        return self.heard(ticket.era, batch, replies)

    def heard(self, era: int, batch: Batch, replies: Replies) -> Replies:
        """Report an answer; one that turns everything away is as good as none."""
        if isinstance(replies[0], REFUSALS):
            return self.failed(era, batch, replies[0])
        self.breaker.succeeded(era)
        return replies

    def failed(self, era: int, batch: Batch, error: Exception, *, unlinked: bool = True) -> Replies:
        """Report an error, and answer locally if it is an outage.

        Args:
            era: the ticket's.
            batch: what was to be sent.
            error: what came of it.
            unlinked: whether the journal's keys were; else the database must not answer even
                though it could.

        Raises:
            Unavailable, ReplyError: the error, where nobody may answer in the database's place.
        """
        if not isinstance(error, _OUTAGES):
            self.breaker.succeeded(era)
            if unlinked:
                raise error
        elif error is not self._counted() and not self._gave_up(batch, error):
            # One request that many coalesced batches waited for has failed once, not many times.
            self._counted = ref(error)
            self.breaker.failed(
                era,
                str(error).removeprefix(f"{self._config.label}: "),
                refused=isinstance(error, REFUSALS),
                retry_after=error.retry_after if isinstance(error, Unavailable) else None,
            )
        return self.answer(batch, error)

    def _gave_up(self, batch: Batch, error: Exception) -> bool:
        """Return whether time was up here, and not in the database: no sign of an outage.

        A probe's counts nevertheless, since others wait for what it finds out.
        """
        if not self.breaker.passes:
            return False
        if isinstance(error, DeadlineExceeded) and not error.asked:
            return True
        return self.hurried(batch) and out_of_time(error)

    def answer(self, batch: Batch, error: Exception | None = None) -> Replies:
        """Answer locally.

        Args:
            batch: whatever it is.
            error: what came of asking the database, if it was asked.

        Raises:
            Unavailable, ReplyError: the error, or that the database is not asked, where nobody
                may answer in its place.
        """
        written = None
        if self._fallback and not batch.needs_server:
            written = list_written_keys(batch)
        if written is None:
            raise error or self._not_asked()
        replies = self._metered.send(batch)
        if written:
            replies = [*map(self._kept, batch.commands, replies)]
            self.journal.note(written)
        with self._lock:
            self._answers += 1
        return replies

    def _kept(self, command: Command, reply: Reply) -> Reply:
        """Take a value that is larger than the whole local store for one that was evicted."""
        if isinstance(reply, CapacityExceeded) and get_spec(command).reply is ReplyKind.STORED:
            self._forget(list_written_keys(Batch((command,))))
            return b"OK"
        return reply

    def _not_asked(self) -> Unavailable:
        left = self.breaker.until - self._clock()
        when = f"for {max(left, 0):.0f} s more" if left < inf else "until its breaker is reset"
        return Unavailable(f"{self._config.label} is not asked {when}: {self.breaker.reason}")

    def _forget(self, keys: Iterable[str] | None) -> None:
        if keys is None:
            self.local.clear()
        elif keys := tuple(keys):
            self.local.send(Batch((("UNLINK", *keys),)))

    def _answering(self, state: State) -> str:
        if self._fallback and state not in ASKED:
            return self.local.name
        return _PRIMARIES[self._config.mode]

    def _tell(self, old: State, new: State, reason: str) -> None:
        # Logged here and not by an observer: a cache works without the app in INSTALLED_APPS,
        # and a client without Django; neither may fail over in silence.
        backend, label = self._answering(new), self._config.label
        who = backend if self._fallback or new in ASKED else "nobody"
        level = logging.INFO if {old, new} == _TRYING_AGAIN else logging.WARNING
        logger.log(level, "%s: %s -> %s, %s answers: %s", label, old, new, who, reason)
        previous = self._answering(old)
        notify(StateChange(self._config.alias, old.value, new.value, reason, backend, previous))
