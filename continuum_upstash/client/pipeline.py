"""Many commands of a plain client in one round trip; each command is billed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, Self, TypeVar, cast

from continuum_upstash.client.client_plans import ClientPlans
from continuum_upstash.errors import ReplyError
from continuum_upstash.plans.effects import AsyncPlanRunner, Batch, Encode, Plan, PlanRunner
from continuum_upstash.plans.timeouts import DEFAULT_TTL, Ttl, to_ms
from continuum_upstash.protocol import Argument, Command, Replies, Reply

R = TypeVar("R")


class _Encoded:
    """A value among a command's arguments; it is encoded when the pipeline is executed."""

    __slots__ = ("value",)

    def __init__(self, value: object) -> None:
        self.value = value


class _CommandQueue(Generic[R]):
    """Collects commands until they are executed.

    Args:
        runner: the client.
        plans: its plans, which decode values.
        atomic: run the commands as one transaction (MULTI/EXEC).
    """

    def __init__(self, runner: R, plans: ClientPlans, *, atomic: bool = False) -> None:
        self._runner = runner
        self._plans = plans
        self._atomic = atomic
        self._commands: list[tuple[Argument | _Encoded, ...]] = []
        self._decoders: list[Callable[[Any], Any]] = []

    def __len__(self) -> int:
        return len(self._commands)

    def command(self, *parts: Argument) -> Self:
        """Add any command; its result is the raw reply: bytes, int, list or None."""
        return self._add(_keep, *parts)

    def get(self, key: str) -> Self:
        """Add a GET; its result is the value, or None."""
        return self._add(self._decode, "GET", key)

    def set(
        self, key: str, value: Any, *, ex: Ttl = DEFAULT_TTL, nx: bool = False, xx: bool = False
    ) -> Self:
        """Add a SET; its result is whether the value was stored. See `UpstashCache.set`.

        Args:
            key: the full key.
            value: any value that has a stored format.
            ex: seconds to live; None: no expiry, 0 or less: 1 ms. Without it, `ttl_by_prefix`
                applies, else there is no expiry.
            nx: store only if the key does not exist.
            xx: store only if the key exists.

        Raises:
            ValueError: both `nx` and `xx` are given.
        """
        if nx and xx:
            raise ValueError("nx and xx exclude each other. Pass one of them.")
        ttl_ms = self._plans.get_ttl_ms(key, ex)
        expiry = () if ttl_ms is None else ("PX", max(ttl_ms, 1))  # Redis rejects 0
        condition = ("NX",) if nx else ("XX",) if xx else ()
        return self._add(_is_stored, "SET", key, _Encoded(value), *expiry, *condition)

    def delete(self, *keys: str) -> Self:
        """Add an UNLINK; its result is how many keys existed.

        Raises:
            ValueError: there is no key: the server would reject the command, and a transaction.
        """
        if not keys:
            raise ValueError("Pass at least one key to delete.")
        return self._add(_keep, "UNLINK", *keys)

    def incr(self, key: str, delta: int = 1) -> Self:
        """Add an INCRBY; its result is the new value. A missing key counts as 0."""
        return self._add(_keep, "INCRBY", key, delta)

    def expire(self, key: str, ttl: float) -> Self:
        """Add a PEXPIRE of `ttl` seconds; its result is whether the key exists."""
        return self._add(bool, "PEXPIRE", key, to_ms(ttl))

    def _execute(self, *, raise_on_error: bool) -> Plan[list[Any]]:
        commands, decoders = self._commands, self._decoders
        self._commands, self._decoders = [], []
        if not commands:
            return []
        batch: list[Command] = []
        for at, parts in enumerate(commands):
            command = yield from _encode(parts)
            is_set = decoders[at] is _is_stored
            if is_set and self._plans.exceeds_max_size(cast("bytes", command[2])):
                # In the place of the SET, so that a later GET does not find the outdated value.
                command = ("EXISTS" if "NX" in command[3:] else "UNLINK", command[1])
                decoders[at] = _is_not_stored
            batch.append(command)
        replies: Replies = yield Batch(batch, atomic=self._atomic)
        yield from self._drop_unstored(batch, replies, decoders)
        results: list[Any] = []
        for reply, decode in zip(replies, decoders, strict=True):
            if not isinstance(reply, ReplyError):
                if decode == self._decode and isinstance(reply, bytes):
                    results.append(decode((yield from self._plans.open_value(reply))))
                else:
                    results.append(decode(reply))
            elif decode is _is_stored and isinstance(reply, self._plans.unstorable):
                results.append(False)
            elif raise_on_error:
                raise reply
            else:
                results.append(reply)
        return results

    def _drop_unstored(
        self, batch: Sequence[Command], replies: Replies, decoders: Sequence[Callable[[Any], Any]]
    ) -> Plan[None]:
        """Delete the old values of keys whose new ones were not stored, as `set` does."""
        unstored = [
            (command, reply)
            for command, reply, decode in zip(batch, replies, decoders, strict=True)
            if decode is _is_stored and isinstance(reply, self._plans.unstorable)
        ]
        if unstored:
            outdated = [str(command[1]) for command, _ in unstored if "NX" not in command[3:]]
            yield from self._plans.drop(unstored[0][1], outdated)

    def _add(self, decode: Callable[[Any], Any], *parts: Argument | _Encoded) -> Self:
        self._commands.append(parts)
        self._decoders.append(decode)
        return self

    def _decode(self, raw: bytes | None) -> Any:
        return None if raw is None else self._plans.load(raw)


class Pipeline(_CommandQueue[PlanRunner]):
    """Commands that `UpstashCache` sends in one round trip, in order.

    The methods return the pipeline, so that calls can be chained.
    """

    def execute(self, *, raise_on_error: bool = True) -> list[Any]:
        """Send the commands; return their results in order and empty the pipeline.

        Billed: each command as if it were sent alone.

        Args:
            raise_on_error: raise the first error reply, after all commands have run. With False,
                each error stays in its place among the results.

        Raises:
            NotSerializable: a value has no stored format; nothing was sent.
            Unavailable: the database did not reply.
            ReplyError: an error reply.
        """
        return self._runner.run(self._execute(raise_on_error=raise_on_error))


class AsyncPipeline(_CommandQueue[AsyncPlanRunner]):
    """Commands that `AsyncUpstashCache` sends in one round trip, in order. See `Pipeline`."""

    async def execute(self, *, raise_on_error: bool = True) -> list[Any]:
        """Send the commands; return their results in order and empty the pipeline.

        Billed: each command as if it were sent alone.

        Args:
            raise_on_error: raise the first error reply, after all commands have run. With False,
                each error stays in its place among the results.

        Raises:
            NotSerializable: a value has no stored format; nothing was sent.
            Unavailable: the database did not reply.
            ReplyError: an error reply.
        """
        return await self._runner.arun(self._execute(raise_on_error=raise_on_error))


def _encode(command: tuple[Argument | _Encoded, ...]) -> Plan[Command]:
    parts: list[Argument] = []
    for part in command:
        # A plan cannot yield inside a comprehension.
        data = (yield Encode(part.value)) if isinstance(part, _Encoded) else part
        parts.append(data)
    return tuple(parts)


def _keep(reply: Reply) -> Reply:
    return reply


def _is_stored(reply: Reply) -> bool:
    return reply is not None


def _is_not_stored(_: Reply) -> bool:
    return False
