"""Runs the commands of one request on Valkey and returns the replies of the service."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from continuum_upstash.emulator.commands import differences, error_messages, far_expiry
from continuum_upstash.emulator.commands.bit_operations import BitOperations
from continuum_upstash.emulator.commands.command_specs import CommandSpecs
from continuum_upstash.emulator.commands.compare_and_set import CompareAndSet
from continuum_upstash.emulator.commands.info_rewriter import InfoRewriter, parse_info
from continuum_upstash.emulator.commands.rank_limits import RankLimits
from continuum_upstash.emulator.commands.request import ParsedRequest, RequestRejected, RequestType
from continuum_upstash.emulator.commands.scan_cursors import ScanCursors
from continuum_upstash.emulator.commands.scripts import (
    Scripts,
    roll_back_on_failure,
    translate_script_error,
)
from continuum_upstash.emulator.commands.translation import Dialogue, Step, Translation, reply_with
from continuum_upstash.emulator.profiles import Profile
from continuum_upstash.emulator.redis.resp2_wire import (
    NULL_ARRAY,
    Argv,
    Error,
    NullArray,
    Reply,
    measure_size,
)
from continuum_upstash.emulator.redis.upstream import UpstreamConnection, UpstreamPool
from continuum_upstash.emulator.usage import UsageCounter

_MAX_KEY_BYTES: Final = 32 * 1024  # the same on every pricing plan
_MULTI: Final = (b"MULTI",)
_EXEC: Final = (b"EXEC",)

# Returns the error that an active fault causes for a command, or None.
FindFault: TypeAlias = Callable[[Argv], Error | None]


@dataclass(frozen=True, slots=True)
class SizeLimits:
    """In bytes. `request_size` limits the arguments of one command, and one reply.

    `refuse_getex`: a full database rejects GETEX, too.
    """

    request_size: int
    data_size: int
    refuse_getex: bool = False


class Engine:
    def __init__(
        self,
        specs: CommandSpecs,
        usage: UsageCounter,
        info: InfoRewriter,
        limits: SizeLimits,
        profile: Profile,
    ) -> None:
        self.specs = specs
        self.limits = limits
        self.profile = profile
        self._info = info
        self._usage = usage
        self._translations: dict[bytes, Translation] = {}
        if profile.is_upstash:
            self._translations = {
                **differences.TRANSLATIONS,
                **far_expiry.make_translations(specs),
                **RankLimits(usage).translations,
                **BitOperations(usage, specs).translations,
                **CompareAndSet(usage, specs, has_conditions=profile.has_conditions).translations,
                **ScanCursors(usage).translations,
                **Scripts(specs).translations,
                **info.translations,
            }
        if limits.refuse_getex:
            self._translations[b"getex"] = self._translate_getex

    def measure_data(self, memory: str) -> int:
        """Return the bytes of data, by the reply to INFO memory."""
        return self._info.compute_data_size(parse_info(memory))

    def has_write(self, commands: Sequence[Argv]) -> bool:
        return any(map(self.specs.is_write, commands))

    async def run(
        self,
        request: ParsedRequest,
        pool: UpstreamPool,
        find_fault: FindFault,
        *,
        read_only: bool,
    ) -> list[Reply]:
        """Run a request of the REST API. Errors of single commands are in their place.

        Raises:
            RequestRejected: the service rejects the request as a whole.
        """
        errors = [
            self.find_error(argv, read_only=read_only) or find_fault(argv)
            for argv in request.commands
        ]
        async with pool.connection() as connection:
            if request.type is not RequestType.TRANSACTION:
                return await self.run_pipeline(connection, request.commands, errors)
            for error in filter(None, errors):
                raise RequestRejected(error.decode(errors="replace"), error.http_status)
            replies: list[Reply] = await self.run_transaction(connection, request.commands)
            return replies

    def find_error(self, argv: Argv, *, read_only: bool, over_tcp: bool = False) -> Error | None:
        """Return the error of a command that is rejected before it runs, or None."""
        if self.profile.is_upstash and (error := self.specs.find_error(argv, over_tcp=over_tcp)):
            return error
        if read_only and not self.specs.is_allowed_read_only(argv):
            return error_messages.no_permission(argv[0])
        length = sum(map(len, argv))
        if length > self.limits.request_size:
            return error_messages.request_too_large(self.limits.request_size, length)
        if length > _MAX_KEY_BYTES:
            longest = max(map(len, self.specs.find_keys(argv)), default=0)
            if longest > _MAX_KEY_BYTES:
                return error_messages.key_too_large(_MAX_KEY_BYTES, longest)
        return None

    def _translate(self, argv: Argv) -> Step | Dialogue:
        translation = self._translations.get(self.specs.get_name(argv))
        return translation(argv) if translation else Step((argv,))

    async def run_pipeline(
        self,
        connection: UpstreamConnection,
        commands: Sequence[Argv],
        errors: Sequence[Error | None],
        *,
        may_block: bool = False,
    ) -> list[Reply]:
        """Run the commands that have no error in order.

        All steps between two dialogues share a round trip.
        """
        translated = [
            reply_with(error) if error else self._translate_standalone(argv, may_block=may_block)
            for argv, error in zip(commands, errors, strict=True)
        ]
        replies: list[Reply] = []
        steps: list[Step] = []
        for each in translated:
            if isinstance(each, Step):
                steps.append(each)
            else:
                replies += await _send_steps(connection, steps)
                replies.append(await each(connection))
                steps = []
        replies += await _send_steps(connection, steps)
        return [await self._translate_reply(connection, reply) for reply in replies]

    def _translate_standalone(self, argv: Argv, *, may_block: bool) -> Step | Dialogue:
        """Translate a command outside a transaction."""
        translated = self._translate(argv)
        if not self.profile.is_upstash:
            return translated
        if isinstance(translated, Step) and self.specs.is_script(argv):
            return roll_back_on_failure(translated.commands[0], self._usage)
        blocks = self.specs.is_blocking(argv) and not may_block
        return _make_non_blocking(argv) if blocks else translated

    async def run_transaction(
        self, connection: UpstreamConnection, commands: Sequence[Argv]
    ) -> Reply:
        """Return the list of replies, or NULL_ARRAY if a watched key has changed.

        Raises:
            RequestRejected: no command has run.
        """
        steps = [_require_step(self._translate(argv), argv) for argv in commands]
        sent = [argv for step in steps for argv in step.commands]
        _, *queued, results = await connection.send([_MULTI, *sent, _EXEC])
        for reply in queued:
            if isinstance(reply, Error):
                error = await self._translate_reply(connection, reply)
                raise RequestRejected(error.decode(errors="replace"))
        if isinstance(results, Error):
            raise RequestRejected(results.decode(errors="replace"))
        if results is None or isinstance(results, NullArray):
            return NULL_ARRAY
        replies = _distribute(steps, results)
        return [await self._translate_reply(connection, reply) for reply in replies]

    async def _translate_reply(self, connection: UpstreamConnection, reply: Reply) -> Reply:
        """Return the reply with Valkey's error texts replaced by those of the service."""
        if not self.profile.is_upstash:
            return reply
        if isinstance(reply, Error):
            if reply.startswith(b"OOM "):
                return await self._build_capacity_error(connection)
            return error_messages.REWORDED.get(reply) or translate_script_error(reply)
        size = measure_size(reply)
        if size > self.limits.request_size:
            return error_messages.reply_too_large(self.limits.request_size, size)
        return reply

    async def _build_capacity_error(self, connection: UpstreamConnection) -> Error:
        (memory,) = await connection.send([(b"INFO", b"memory")])
        data_size = self.measure_data(memory.decode())
        return error_messages.capacity_reached(
            self.limits.data_size, max(data_size, self.limits.data_size)
        )

    def _translate_getex(self, argv: Argv) -> Dialogue:
        async def run_unless_full(connection: UpstreamConnection) -> Reply:
            # SETRANGE of nothing changes nothing, and Valkey rejects it if the database is full.
            (probe,) = await connection.send([(b"SETRANGE", b"", b"0", b"")])
            if isinstance(probe, Error):
                return probe
            self._usage.subtract(1)
            (reply,) = await connection.send([argv])
            return reply

        return run_unless_full


def _make_non_blocking(argv: Argv) -> Step:
    """Run a blocking command in MULTI, where it returns at once, as it does over REST."""

    def take_result(replies: list[Reply]) -> Reply:
        _, queued, results = replies
        return queued if isinstance(queued, Error) else results[0]

    return Step((_MULTI, argv, _EXEC), take_result)


async def _send_steps(connection: UpstreamConnection, steps: list[Step]) -> list[Reply]:
    replies = await connection.send([argv for step in steps for argv in step.commands])
    return _distribute(steps, replies)


def _distribute(steps: list[Step], replies: list[Reply]) -> list[Reply]:
    remaining = iter(replies)
    return [step.convert([next(remaining) for _ in step.commands]) for step in steps]


def _require_step(translated: Step | Dialogue, argv: Argv) -> Step:
    if isinstance(translated, Step):
        return translated
    if argv[0].lower() in {b"scan", b"getex"}:
        return Step((argv,))
    raise RequestRejected(
        f"ERR the emulator does not support {argv[0].decode().upper()} with this condition "
        "inside /multi-exec, because Valkey has no such command"
    )
