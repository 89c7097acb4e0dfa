"""Runs the commands of one request on Valkey and gives the replies that the service would give."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from continuum_upstash.emulator.commands import differences, error_messages
from continuum_upstash.emulator.commands.command_specs import Catalogue
from continuum_upstash.emulator.commands.compare_and_set import Conditions
from continuum_upstash.emulator.commands.info import Information, read_figures
from continuum_upstash.emulator.commands.scan import Cursors
from continuum_upstash.emulator.commands.scripts import (
    Scripts,
    in_the_services_words,
    undone_on_failure,
)
from continuum_upstash.emulator.commands.translation import Step, Talk, Translation, answer
from continuum_upstash.emulator.http.requests import Form, Kind, Refused
from continuum_upstash.emulator.redis.connection import Connection, Pool
from continuum_upstash.emulator.redis.resp2 import Argv, Error, Reply, size
from continuum_upstash.emulator.usage import Ledger

_KEY_LIMIT: Final = 32 * 1024  # bytes; fixed on every plan
_MULTI: Final = (b"MULTI",)
_EXEC: Final = (b"EXEC",)

Veto: TypeAlias = Callable[[Argv], Error | None]


@dataclass(frozen=True, slots=True)
class Limits:
    """In bytes. `request_size` holds for one command's arguments and for one reply."""

    request_size: int
    data_size: int


class Engine:
    def __init__(
        self,
        catalogue: Catalogue,
        ledger: Ledger,
        information: Information,
        limits: Limits,
    ) -> None:
        self.catalogue = catalogue
        self.limits = limits
        self._information = information
        self._ledger = ledger
        self._translations: dict[bytes, Translation] = {
            **differences.TRANSLATIONS,
            **Conditions(ledger, catalogue).translations,
            **Cursors(ledger).translations,
            **Scripts(catalogue).translations,
            **information.translations,
        }

    def writes(self, commands: Sequence[Argv]) -> bool:
        return any(map(self.catalogue.writes, commands))

    async def run(self, form: Form, pool: Pool, veto: Veto, *, read_only: bool) -> list[Reply]:
        """Raises Refused where the service discards the request as a whole."""
        refusals = [
            self._refusal(argv, read_only=read_only) or veto(argv) for argv in form.commands
        ]
        async with pool.connection() as connection:
            if form.kind is Kind.TRANSACTION:
                for refusal in filter(None, refusals):
                    raise Refused(refusal.decode(errors="replace"), refusal.http_status)
                replies = await self._transaction(connection, form.commands)
            else:
                replies = await self._in_order(connection, form.commands, refusals)
            return [await self._told(connection, reply) for reply in replies]

    def _refusal(self, argv: Argv, *, read_only: bool) -> Error | None:
        if refusal := self.catalogue.refusal(argv):
            return refusal
        if read_only and not self.catalogue.open_to_readers(argv):
            return error_messages.no_permission(argv[0])
        length = sum(map(len, argv))
        if length > self.limits.request_size:
            return error_messages.request_too_large(self.limits.request_size, length)
        if length > _KEY_LIMIT:
            longest = max(map(len, self.catalogue.keys(argv)), default=0)
            if longest > _KEY_LIMIT:
                return error_messages.key_too_large(_KEY_LIMIT, longest)
        return None

    def _translate(self, argv: Argv) -> Step | Talk:
        translation = self._translations.get(self.catalogue.name(argv))
        return translation(argv) if translation else Step((argv,))

    async def _in_order(
        self, connection: Connection, commands: Sequence[Argv], refusals: Sequence[Error | None]
    ) -> list[Reply]:
        """All steps between two talks go up in one write."""
        plan = [
            answer(refusal) if refusal else self._alone(argv)
            for argv, refusal in zip(commands, refusals, strict=True)
        ]
        replies: list[Reply] = []
        steps: list[Step] = []
        for planned in plan:
            if isinstance(planned, Step):
                steps.append(planned)
            else:
                replies += await _in_one_write(connection, steps)
                replies.append(await planned(connection))
                steps = []
        return replies + await _in_one_write(connection, steps)

    def _alone(self, argv: Argv) -> Step | Talk:
        """The plan of a command outside a transaction."""
        planned = self._translate(argv)
        if isinstance(planned, Step) and self.catalogue.runs_a_script(argv):
            return undone_on_failure(planned.sent[0], self._ledger)
        return _unblocked(argv) if self.catalogue.blocks(argv) else planned

    async def _transaction(self, connection: Connection, commands: Sequence[Argv]) -> list[Reply]:
        steps = [_one_round_trip(self._translate(argv), argv) for argv in commands]
        sent = [argv for step in steps for argv in step.sent]
        if not sent:
            return [step.finish([]) for step in steps]
        _, *queued, results = await connection.send([_MULTI, *sent, _EXEC])
        for reply in queued:
            if isinstance(reply, Error):
                told = await self._told(connection, reply)
                raise Refused(told.decode(errors="replace"))
        if isinstance(results, Error):
            raise Refused(results.decode(errors="replace"))
        return _share_out(steps, results)

    async def _told(self, connection: Connection, reply: Reply) -> Reply:
        """The reply, with Valkey's own words turned into the service's."""
        if isinstance(reply, Error):
            if reply.startswith(b"OOM "):
                return await self._capacity_reached(connection)
            return error_messages.WORDED_OTHERWISE.get(reply) or in_the_services_words(reply)
        length = size(reply)
        if length > self.limits.request_size:
            return error_messages.reply_too_large(self.limits.request_size, length)
        return reply

    async def _capacity_reached(self, connection: Connection) -> Error:
        (memory,) = await connection.send([(b"INFO", b"memory")])
        usage = self._information.data_size(read_figures(memory.decode()))
        return error_messages.capacity_reached(
            self.limits.data_size, max(usage, self.limits.data_size)
        )


def _unblocked(argv: Argv) -> Step:
    """A blocking command returns at once over REST, as it does inside a transaction."""

    def only_result(replies: list[Reply]) -> Reply:
        _, queued, results = replies
        return queued if isinstance(queued, Error) else results[0]

    return Step((_MULTI, argv, _EXEC), only_result)


async def _in_one_write(connection: Connection, steps: list[Step]) -> list[Reply]:
    replies = await connection.send([argv for step in steps for argv in step.sent])
    return _share_out(steps, replies)


def _share_out(steps: list[Step], replies: list[Reply]) -> list[Reply]:
    remaining = iter(replies)
    return [step.finish([next(remaining) for _ in step.sent]) for step in steps]


def _one_round_trip(planned: Step | Talk, argv: Argv) -> Step:
    if isinstance(planned, Step):
        return planned
    if argv[0].lower() == b"scan":
        return Step((argv,))
    raise Refused(
        f"ERR the emulator cannot take {argv[0].decode().upper()} with this condition "
        "inside /multi-exec: Valkey has no such command"
    )
