"""What the sync and the async client have in common: arguments, configuration, status."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, Literal, TypedDict, Unpack

from continuum_upstash.client.client_plans import ClientPlans
from continuum_upstash.codec.codec import Codec
from continuum_upstash.codec.text import SignedBase64
from continuum_upstash.config.resolve import resolve
from continuum_upstash.errors import ConfigurationError, suggest_similar
from continuum_upstash.observe import BackendStatus
from continuum_upstash.plans.keyvalue import KeyValuePlans
from continuum_upstash.plans.timeouts import Timeouts
from continuum_upstash.transports.registry import Database, get_database


class Backend(Enum):
    """The backend that serves a client's commands."""

    REST = "upstash-rest"
    REDIS = "upstash-redis"
    LOCAL = "local"


class ClientOptions(TypedDict, total=False):
    """Further keyword arguments of the clients: OPTIONS of a CACHES entry, in lower case.

    Attributes:
        env_prefix: the prefix of the environment variables that are read.
        pool_size: maximum number of connections per process (sync) or per event loop (async).
        connect_timeout: seconds to open a connection.
        read_timeout: seconds for a whole batch.
        health_check_interval: longest time in seconds until an unreachable database is tried again.
        compress_min_bytes: values of at least this size are compressed; None: never.
        ttl_by_prefix: seconds by key prefix, for keys set without a `ttl`; None: no expiry.
        max_value_bytes: larger values are not stored; None: the server decides.
        on_full: whether a write is dropped or raises CapacityExceeded if the database is full.
        coalesce: whether async commands of one event-loop tick share a request.
        local_max_entries: maximum number of keys in the local store.
        local_max_bytes: maximum size of the local store in bytes.
        near: seconds by key prefix, for which a copy in the process may be returned.
        near_max_entries: maximum number of keys in the near cache.
        near_max_bytes: maximum size of the near cache in bytes.
        budget: the billed commands of a month, ``{"COMMANDS": 1_000_000}``, and how they are
            limited, see docs/how-to/budget.md.
        telemetry: whether Upstash receives headers with SDK and platform.
        ca_file: PEM file with certificate authorities, instead of the system's.
    """

    env_prefix: str
    pool_size: int
    connect_timeout: float
    read_timeout: float
    health_check_interval: float
    compress_min_bytes: int | None
    ttl_by_prefix: Mapping[str, float | None]
    max_value_bytes: int | None
    on_full: Literal["drop", "raise"]
    coalesce: bool
    local_max_entries: int
    local_max_bytes: int
    near: Mapping[str, float]
    near_max_entries: int
    near_max_bytes: int
    budget: Mapping[str, Any]
    telemetry: bool
    ca_file: str | None


_ARGUMENTS: Final = ("rest_url", "rest_token", "redis_url", "use_msgpack", "pickle_keys")


class ConfiguredClient:
    """A client of the one `Database` of its configuration; creating it opens no connection."""

    def __init__(
        self,
        *,
        rest_url: str | None = None,
        rest_token: str | Callable[[], str | Awaitable[str]] | None = None,
        redis_url: str | None = None,
        mode: Literal["auto", "rest", "redis", "local"] | None = None,
        fallback: bool | None = None,
        use_msgpack: bool = True,
        pickle_keys: Sequence[bytes] = (),
        name: str = "client",
        **options: Unpack[ClientOptions],
    ) -> None:
        """Configure a client; what is not passed comes from the environment.

        Args:
            rest_url: ``https://…`` for REST.
            rest_token: the REST token, which is also the password of a `redis_url` without one. A
                callable is called for each request, over TCP for each new connection; the async
                client awaits a coroutine function.
            redis_url: ``rediss://…`` for TCP.
            mode: the transport; ``auto`` (the default) selects it by the credentials.
            fallback: serve commands from the local store while the database is unreachable
                (the default).
            use_msgpack: False writes JSON, for clients in other languages; JSON supports fewer
                types.
            pickle_keys: secrets for signing pickles of values that the serializer cannot
                represent; without them such values raise NotSerializable. To share values with a
                Django site, pass its SECRET_KEY (as bytes).
            name: the client's name in messages and metrics.
            options: see `ClientOptions`.

        Raises:
            ConfigurationError: an argument or an environment variable is wrong.
        """
        arguments: dict[str, object] = {
            "REST_URL": rest_url,
            "TOKEN": rest_token,
            "REDIS_URL": redis_url,
            "MODE": mode,
            "FALLBACK": fallback,
            "SERIALIZER": None if use_msgpack else "json",
        }
        arguments |= {option.upper(): value for option, value in options.items()}
        arguments = {name: value for name, value in arguments.items() if value is not None}
        keys = tuple(pickle_keys)
        try:
            _reject_unknown(options)
            config = resolve(arguments, os.environ, alias=name, signing_keys=keys)
        except ConfigurationError:
            # A traceback shows local variables, and these contain secrets.
            del rest_url, rest_token, redis_url, pickle_keys, keys, arguments
            raise
        codec = Codec(
            serializer=config.serializer,
            pickle_keys=keys,
            base64=SignedBase64(*config.base64_secrets),
            compress_min_bytes=config.compress_min_bytes,
        )
        self._attach(get_database(config), codec, Timeouts(None, config.ttl_by_prefix))

    def _attach(self, database: Database, codec: Codec, timeouts: Timeouts) -> None:
        config = database.config
        self._database = database
        self._plans = ClientPlans(
            KeyValuePlans(
                codec,
                alias=config.alias,
                max_value_bytes=config.max_value_bytes,
                on_full=config.on_full,
            ),
            timeouts,
        )

    def __repr__(self) -> str:
        if not hasattr(self, "_database"):  # in the traceback of a wrong argument
            return f"<{type(self).__name__}>"
        return f"<{type(self).__name__} {self._database.config.label}>"

    @property
    def current_backend(self) -> Backend:
        """The backend that serves commands now.

        Its ``value`` is ``upstash-rest``, ``upstash-redis`` or ``local``.
        """
        return Backend(self._database.current_backend)

    @property
    def status(self) -> BackendStatus:
        """The state of the circuit breaker in this process, and its reason."""
        return self._database.status


def _reject_unknown(options: Iterable[str]) -> None:
    # An option of a CACHES entry that a client would ignore is unknown, too.
    known = ClientOptions.__annotations__
    for name in options:
        if name not in known:
            hint = suggest_similar(name.lower(), {*known, *_ARGUMENTS})
            raise ConfigurationError(f"{name} is not an option of a client.{hint}")
