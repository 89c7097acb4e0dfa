"""The state of one TCP connection: its user, protocol, transaction and subscriptions."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from continuum_upstash.emulator.commands import error_messages
from continuum_upstash.emulator.commands.engine import Engine
from continuum_upstash.emulator.commands.request import RequestRejected
from continuum_upstash.emulator.faults.command_faults import CommandFaults
from continuum_upstash.emulator.faults.model import Faults, Side
from continuum_upstash.emulator.http.auth import RestTokens
from continuum_upstash.emulator.redis.resp2_wire import (
    OK,
    Aggregate,
    Argv,
    Error,
    Reply,
    Status,
    pack_reply,
)
from continuum_upstash.emulator.redis.upstream import Address, UpstreamConnection, connect
from continuum_upstash.emulator.tcp.request_reader import TcpRequest

_NO_AUTH: Final = Error(b"NOAUTH Authentication required.")
_WRONG_PASSWORD: Final = Error(b"WRONGPASS invalid username-password pair or user is disabled.")
_DISCARDED: Final = Error(b"EXECABORT Transaction discarded because of previous errors.")
_BEFORE_LOGIN: Final = frozenset((b"auth", b"hello", b"quit", b"reset"))
_SUBSCRIPTIONS: Final = frozenset(
    (b"subscribe", b"psubscribe", b"unsubscribe", b"punsubscribe", b"monitor")
)
_WHILE_SUBSCRIBED: Final = _SUBSCRIPTIONS | {b"ping", b"quit", b"reset"}


@dataclass(frozen=True, slots=True)
class SessionFactory:
    """
    Attributes:
        tokens: the passwords of the users `default` and `default_ro`.
    """

    engine: Engine
    redis: Address
    tokens: RestTokens
    faults: Faults

    @property
    def max_request_size(self) -> int:
        return self.engine.limits.request_size

    def create(self, write: Callable[[bytes], None]) -> "Session":
        return Session(self, write)


class Session:
    """Runs the commands of one client connection over its own connection to the server."""

    def __init__(self, factory: SessionFactory, write: Callable[[bytes], None]) -> None:
        self._engine = factory.engine
        self._factory = factory
        self._write = write
        self._output = bytearray()
        self._connection: UpstreamConnection | None = None
        self._messages: asyncio.Task[None] | None = None
        self._set_initial_state()
        self._handlers: dict[bytes, Callable[[Argv], Awaitable[Reply]]] = {
            b"auth": self._authenticate,
            b"discard": self._discard,
            b"exec": self._execute,
            b"hello": self._greet,
            b"multi": self._start_transaction,
            b"quit": self._quit,
            b"reset": self._reset,
            b"unwatch": self._forward,
            b"watch": self._watch,
        }

    def _set_initial_state(self) -> None:
        self.is_finished = False
        self._protocol = 2
        self._is_known = False
        self._is_read_only = False
        self._queue: list[Argv] | None = None  # the commands after MULTI
        self._has_queue_error = False

    def close(self) -> None:
        if self._messages is not None:
            self._messages.cancel()
            self._messages = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def run(self, requests: Sequence[TcpRequest]) -> bytes:
        """Run the commands of one write; return their replies.

        Raises:
            UpstreamError: the connection to the server behind is lost.
        """
        if wait := self._factory.faults.compute_wait(Side.TCP, len(requests)):
            await asyncio.sleep(wait)
        faults = CommandFaults(self._factory.faults, self._engine, Side.TCP)
        commands: list[Argv] = []
        errors: list[Error | None] = []
        for request in requests:
            error = self._find_error(request, faults)
            if error is None and self._needs_state(request.argv):
                await self._run_pipeline(commands, errors)
                commands, errors = [], []
                await self._run_one(request.argv)
            elif self._queue is not None:
                self._add_to_queue(request.argv, error)
            else:
                commands.append(request.argv)
                errors.append(error)
            if self.is_finished:
                break
        await self._run_pipeline(commands, errors)
        output, self._output = bytes(self._output), bytearray()
        return output

    def _find_error(self, request: TcpRequest, faults: CommandFaults) -> Error | None:
        name = request.argv[0].lower()
        if not self._is_known and name not in _BEFORE_LOGIN:
            return _NO_AUTH
        if self._messages is not None and name not in _WHILE_SUBSCRIBED:
            return error_messages.not_while_subscribed(name)
        if request.size > self._factory.max_request_size:
            return error_messages.request_too_large(self._factory.max_request_size, request.size)
        if name in self._handlers or name in _SUBSCRIPTIONS:
            return None
        argv = request.argv
        error = self._engine.find_error(argv, read_only=self._is_read_only, over_tcp=True)
        return error or faults.find_error(argv)

    def _needs_state(self, argv: Argv) -> bool:
        name = argv[0].lower()
        return name in self._handlers or name in _SUBSCRIPTIONS or self._messages is not None

    async def _run_pipeline(self, commands: list[Argv], errors: list[Error | None]) -> None:
        if not commands:
            return
        if all(errors):
            replies: list[Reply] = list(errors)
        else:
            connection = await self._connect()
            replies = await self._engine.run_pipeline(connection, commands, errors, may_block=True)
        for reply in replies:
            self._reply(reply)

    async def _run_one(self, argv: Argv) -> None:
        name = argv[0].lower()
        if name in self._handlers:
            self._reply(await self._handlers[name](argv))
        elif self._queue is not None:
            self._add_to_queue(argv, error_messages.not_available(name))
        else:
            await self._subscribe(argv)

    def _reply(self, reply: Reply) -> None:
        self._output += pack_reply(reply, self._protocol)

    async def _connect(self) -> UpstreamConnection:
        if self._connection is None:
            self._connection = await connect(self._factory.redis)
            if self._protocol != 2:
                await self._connection.send([(b"HELLO", b"%d" % self._protocol)])
        return self._connection

    # Connection

    async def _authenticate(self, argv: Argv) -> Reply:
        match argv[1:]:
            case [password]:
                return self._log_in(b"default", password)
            case [user, password]:
                return self._log_in(user, password)
        return error_messages.wrong_arity(b"auth")

    def _log_in(self, user: bytes, password: bytes) -> Reply:
        text = password.decode(errors="replace")
        tokens = self._factory.tokens
        is_full = user == b"default" and tokens.is_full(text)
        if not is_full and not (user == b"default_ro" and tokens.is_read_only(text)):
            return _WRONG_PASSWORD
        self._is_known, self._is_read_only = True, not is_full
        return OK

    async def _greet(self, argv: Argv) -> Reply:
        """HELLO [protocol [AUTH user password] [SETNAME name]]."""
        protocol, words = self._protocol, list(argv[1:])
        if words:
            if words[0] not in {b"2", b"3"}:
                return Error(b"NOPROTO unsupported protocol version")
            protocol = int(words.pop(0))
        while words:
            match words:
                case [option, user, password, *words] if option.upper() == b"AUTH":
                    if isinstance(error := self._log_in(user, password), Error):
                        return error
                case [option, _, *words] if option.upper() == b"SETNAME":
                    pass
                case _:
                    return Error(b"ERR Syntax error in HELLO")
        if not self._is_known:
            return Error(
                b"NOAUTH HELLO must be called with the client already authenticated, otherwise "
                b"the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the "
                b"client and select the RESP protocol version at the same time"
            )
        if protocol != self._protocol and self._connection is not None:
            await self._connection.send([(b"HELLO", b"%d" % protocol)])
        self._protocol = protocol
        return self._describe_server()

    def _describe_server(self) -> Reply:
        fields: list[Reply] = [b"server", b"redis", b"version"]
        fields += [self._engine.profile.redis_version.encode(), b"proto", self._protocol]
        fields += [b"id", 1, b"mode", b"standalone", b"role", b"master", b"modules", []]
        return fields if self._protocol == 2 else Aggregate.create(b"%", fields)

    async def _quit(self, _: Argv) -> Reply:
        self.is_finished = True
        return OK

    async def _reset(self, _: Argv) -> Reply:
        self.close()
        self._set_initial_state()
        return Status(b"RESET")

    # Transactions

    async def _start_transaction(self, _: Argv) -> Reply:
        if self._queue is not None:
            return Error(b"ERR MULTI calls can not be nested")
        self._queue, self._has_queue_error = [], False
        return OK

    def _add_to_queue(self, argv: Argv, error: Error | None) -> None:
        assert self._queue is not None
        error = error or self._engine.specs.find_arity_error(argv)
        if error is None:
            self._queue.append(argv)
        self._has_queue_error |= error is not None
        self._reply(error or Status(b"QUEUED"))

    async def _execute(self, _: Argv) -> Reply:
        if self._queue is None:
            return Error(b"ERR EXEC without MULTI")
        queue, self._queue = self._queue, None
        connection = await self._connect()
        if self._has_queue_error:
            await connection.send([(b"UNWATCH",)])
            return _DISCARDED
        try:
            return await self._engine.run_transaction(connection, queue)
        except RequestRejected as rejection:
            reason = str(rejection).encode()
            return Error(b"EXECABORT Transaction discarded because of: " + reason)

    async def _discard(self, argv: Argv) -> Reply:
        if self._queue is None:
            return Error(b"ERR DISCARD without MULTI")
        self._queue = None
        return await self._forward((b"UNWATCH", *argv[1:]))

    async def _watch(self, argv: Argv) -> Reply:
        if self._queue is not None:
            return Error(b"ERR WATCH inside MULTI is not allowed")
        return await self._forward(argv)

    async def _forward(self, argv: Argv) -> Reply:
        (reply,) = await (await self._connect()).send([argv])
        return reply

    # Subscriptions

    async def _subscribe(self, argv: Argv) -> None:
        """Send the command; its replies and all messages are written when they come."""
        connection = await self._connect()
        if self._messages is not None:
            connection.write(argv)
            return
        self._write(bytes(self._output))
        self._output.clear()
        self._messages = asyncio.create_task(self._write_messages(connection, argv))

    async def _write_messages(self, connection: UpstreamConnection, argv: Argv) -> None:
        async for message in connection.listen(argv):
            if _is_last_unsubscription(message):
                connection.stop_listening()
                self._messages = None
            self._write(pack_reply(message, self._protocol))
            if self._messages is None:
                return


def _is_last_unsubscription(message: Reply) -> bool:
    match message:
        case [b"unsubscribe" | b"punsubscribe", _, 0]:
            return True
    return False
