"""redis-py's client over the transport of a database: the raw client of django-redis' users.

It has the commands, arguments, results and errors of `redis.Redis`. Its commands have the deadlines
of the cache, and observers see them. The local store never serves them during an outage, because a
list or a set that is only partly there would be a wrong value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final, NoReturn

import redis
from redis.client import EMPTY_RESPONSE, NEVER_DECODE, Pipeline
from redis.connection import DefaultParser

from continuum_upstash.codec.text import SignedBase64
from continuum_upstash.errors import (
    DeadlineExceeded,
    NotSerializable,
    ReplyError,
    Unavailable,
    escape_unprintable,
)
from continuum_upstash.plans.command_table import get_spec
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Argument, Command, Replies, Reply

# The commands that wait for other clients, longer than the deadline of a batch.
_WAITING: Final = ("BL", "BR", "BZ", "WAIT")

_NO_CONNECTION: Final = (
    "a command that waits, WATCH, publish/subscribe and MONITOR need a connection of their own. "
    "Use TCP: set a rediss:// URL."
)
_NO_BINARY: Final = (
    "the REST API takes one binary value in a request, and no other binary argument. Send one "
    "command at a time, encode the bytes as text, or use TCP (a rediss:// URL)."
)


class NoConnectionPool(redis.ConnectionPool):
    """The pool of a client that has no TCP connections.

    Raises (from the methods that need one):
        NotImplementedError: always.
    """

    def get_connection(self, *_args: Any, **_options: Any) -> NoReturn:
        """Raise NotImplementedError: there is no TCP connection."""
        raise NotImplementedError(_NO_CONNECTION)


class RawRedis(redis.Redis):
    """redis-py's client, except that `send` sends its commands.

    Args:
        send: sends a batch to the database.
        pool: connects for the commands that need a connection of their own.
        find_refusal: returns why a batch cannot be sent as it is, or "".
        options: further arguments of `redis.Redis`.
    """

    def __init__(
        self,
        send: Callable[[Batch], Replies],
        pool: redis.ConnectionPool,
        find_refusal: Callable[[Batch], str] = lambda _: "",
        **options: Any,
    ) -> None:
        self._send_batch = send
        self._find_refusal = find_refusal
        create: Any = super().__init__
        create(connection_pool=pool, **options)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"  # redis-py 7 shows the password

    def execute_command(self, *args: Any, **options: Any) -> Any:
        """Send a command; return its result as redis-py does.

        Raises:
            redis.ConnectionError, redis.TimeoutError: the database did not reply.
            redis.ResponseError: the reply is an error.
        """
        if _needs_own_connection(args):
            execute: Any = super().execute_command
            return execute(*args, **options)
        (reply,) = self.send_commands([args])
        return self.make_result(args[0], reply, options)

    def pipeline(self, transaction: Any = True, shard_hint: Any = None) -> RawPipeline:
        """Return a pipeline; `transaction` runs its commands as one transaction."""
        return RawPipeline(self, transaction, shard_hint)

    def send_commands(self, commands: Iterable[Iterable[Any]], *, atomic: bool = False) -> Replies:
        """Send commands in one round trip; return their replies, in order.

        Args:
            commands: as redis-py writes them: "CONFIG GET" is one argument, scores are floats.
            atomic: run them as one transaction.

        Raises:
            redis.ConnectionError, redis.TimeoutError: the database did not reply.
            redis.DataError: an argument cannot be sent.
        """
        encode = self.get_encoder().encode
        batch = Batch(
            [_to_command(command, encode) for command in commands], atomic, needs_server=True
        )
        refusal = self._find_refusal(batch)
        if refusal:
            raise redis.DataError(refusal)
        try:
            return self._send_batch(batch)
        except DeadlineExceeded as error:
            raise redis.TimeoutError(str(error)) from error
        except Unavailable as error:
            raise redis.ConnectionError(str(error)) from error
        except ReplyError as error:
            raise _to_redis_error(error) from error

    def make_result(self, name: str, reply: Reply, options: dict[str, Any]) -> Any:
        """Return the result of a command, as redis-py makes it from the reply.

        Raises:
            redis.ResponseError: the reply is an error.
        """
        if isinstance(reply, ReplyError):
            if EMPTY_RESPONSE in options:
                return options[EMPTY_RESPONSE]
            raise _to_redis_error(reply)
        arguments = {
            option: value
            for option, value in options.items()
            if option not in {EMPTY_RESPONSE, NEVER_DECODE, "keys"}
        }
        callbacks: Any = self.response_callbacks
        callback = callbacks.get(name)
        return reply if callback is None else callback(reply, **arguments)


class RawPipeline(Pipeline):
    """redis-py's pipeline over the transport of its client.

    After ``watch()``, which needs TCP, it uses a connection of its own.
    """

    def __init__(self, client: RawRedis, transaction: Any, shard_hint: Any) -> None:
        self._client = client
        self._is_atomic = bool(transaction)
        create: Any = super().__init__
        create(client.connection_pool, client.response_callbacks, transaction, shard_hint)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._client!r}>"

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send the commands; return their results.

        Args:
            raise_on_error: raise the first error reply; otherwise it is in its place in the list.
        """
        if self.watching or self.connection:
            return super().execute(raise_on_error)
        stack: list[Any] = self.command_stack
        try:
            if not stack:
                return []
            for script in self.scripts:
                self._client.execute_command("SCRIPT LOAD", script.script)
            atomic = (self._is_atomic or self.explicit_transaction) and len(stack) > 1
            replies = self._client.send_commands([args for args, _ in stack], atomic=atomic)
            results = [
                self._make_result(args[0], reply, options)
                for (args, options), reply in zip(stack, replies, strict=True)
            ]
            if raise_on_error:
                raise_first: Any = self.raise_first_error
                raise_first(stack, results)
            return results
        finally:
            self.reset()

    def _make_result(self, name: str, reply: Reply, options: dict[str, Any]) -> Any:
        try:
            return self._client.make_result(name, reply, options)
        except redis.ResponseError as error:
            return error


@lru_cache(maxsize=16)
def make_client_class(base: type[redis.Redis]) -> type[RawRedis]:
    """Return `RawRedis` with the methods of the class of REDIS_CLIENT_CLASS."""
    return RawRedis if issubclass(RawRedis, base) else type(base.__name__, (RawRedis, base), {})


def find_rest_refusal(batch: Batch, encode_request: Callable[[Batch, SignedBase64], Any]) -> str:
    """Return why the REST API cannot send the bytes of a batch as they are, or "".

    Args:
        batch: a batch.
        encode_request: makes its request, with signed base64 in the place of binary arguments. Here
            they belong to other programs, which do not read it, so there is no secret to sign with.
    """
    if all(_is_text(part) for command in batch.commands for part in command):
        return ""
    try:
        encode_request(batch, SignedBase64())
    except NotSerializable:
        return _NO_BINARY
    return ""


def _is_text(argument: Argument) -> bool:
    if isinstance(argument, bytes):
        try:
            argument.decode()
        except UnicodeDecodeError:
            return False
    return True


def _needs_own_connection(args: tuple[Any, ...]) -> bool:
    name = str(args[0]).upper()
    if name.startswith("XREAD"):
        return any(str(part).upper() == "BLOCK" for part in args)
    return name == "WATCH" or name.startswith(_WAITING)


def _to_command(args: Iterable[Any], encode: Callable[[Any], bytes]) -> Command:
    first, *rest = args
    command: list[Any] = [*str(first).split(), *(_to_argument(part, encode) for part in rest)]
    keys = get_spec(tuple(command[:1])).keys
    # The failover finds keys by their text.
    for at in range(1, len(command)) if keys is None else range(1, len(command))[keys]:
        if isinstance(command[at], bytes):
            command[at] = _decode(command[at])
    return tuple(command)


def _to_argument(part: Any, encode: Callable[[Any], bytes]) -> Argument:
    if isinstance(part, str):
        return str(part)
    if isinstance(part, int) and not isinstance(part, bool):
        return part
    return encode(part)


def _decode(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _to_redis_error(error: ReplyError) -> redis.ResponseError:
    parse: Any = DefaultParser.parse_error
    found = parse(str(error))
    if isinstance(found, redis.ResponseError):
        return found
    return redis.ResponseError(escape_unprintable(str(error)))
