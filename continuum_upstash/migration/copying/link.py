"""Sends the commands of a long job to one database, in an outage several times, and counts them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from continuum_upstash.errors import ReplyError, Unavailable
from continuum_upstash.plans.effects import Batch, Plan, Sleep
from continuum_upstash.protocol import Command, Replies

PAUSES: Final = (1.0, 2.0, 4.0, 8.0, 16.0)  # seconds; an outage that lasts longer ends the job


class Link:
    """
    Attributes:
        commands: sent so far, with those of repeated batches.
        was_repeated: whether the last batch was sent more than once: the server may have run it
            before, so a reply to SET … NX does not say by which client the key was stored.
    """

    def __init__(self) -> None:
        self.commands = 0
        self.was_repeated = False

    def send(
        self, commands: Sequence[Command], *, atomic: bool = False, is_repeatable: bool = True
    ) -> Plan[Replies]:
        """Return the replies to commands of one round trip, errors in their places.

        Args:
            commands: at least one.
            atomic: as in Batch.
            is_repeatable: whether to send them again after an outage.

        Raises:
            Unavailable: the outage lasts longer than the sum of `PAUSES`, or they are not
                repeatable.
            Refused: the server rejects all commands, or the request is too large.
        """
        self.was_repeated = False
        batch = Batch(commands, atomic=atomic, needs_server=True)
        for pause in PAUSES if is_repeatable else ():
            try:
                replies: Replies = yield batch
            except Unavailable:
                self.was_repeated = True
                yield Sleep(pause)
            else:
                self.commands += len(commands)
                return replies
        replies = yield batch
        self.commands += len(commands)
        return replies

    def call(self, *command: Any) -> Plan[Any]:
        """Return the reply to one command.

        Raises:
            ReplyError: the reply is an error.
        """
        (reply,) = yield from self.send([command])
        if isinstance(reply, ReplyError):
            raise reply
        return reply
