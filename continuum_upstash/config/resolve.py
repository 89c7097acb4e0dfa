"""One database's configuration: arguments over OPTIONS over environment over defaults.

`resolve` is pure: the environment is an argument, so the whole precedence is a table of tests.
Secrets are wrapped where they enter and unwrapped only where they are sent.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from typing import Any, Final, Literal, cast
from urllib.parse import SplitResult, parse_qs, urlsplit

from continuum_upstash.config.credentials import Environment, Mode, Secret, advice, find
from continuum_upstash.config.hashable import freeze
from continuum_upstash.errors import ConfigurationError, suggest_similar

_PORTS: Final = {"https": 443, "http": 80, "rediss": 6379, "redis": 6379}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a transport, a breaker and a pool are made from, and the key under which they live.

    Attributes:
        alias: the cache alias, or the name of a plain client; in messages and metrics.
        mode: how the database is reached.
        unconfigured: it is local because there are no credentials, and not by choice.
        env_prefix: what the names of its variables begin with.
        rest_url: ``https://…`` without a trailing slash.
        token: the REST token.
        redis_url: ``rediss://…`` with its password.
        fallback: answer from the local store while the database cannot be reached.
        pool_size: most connections of a process (sync) or of an event loop (async).
        connect_timeout, read_timeout: seconds; the second bounds a whole batch.
        health_check_interval: seconds; the longest break before the database is tried again.
        serializer: what new values are written with; every form is read.
        pickle: whether objects that the serializer cannot hold are stored as signed pickle.
        compress_min_bytes: values from this size on are compressed; None: never.
        max_value_bytes: larger values are not sent; None: the server decides.
        ttl_by_prefix: key prefix and seconds, for keys that are set without a timeout.
        coalesce: async commands of one event-loop tick travel together.
        local_max_entries, local_max_bytes: bounds of the local store.
        telemetry: send the SDK headers that tell Upstash about the platform.
        ca_file: PEM file that is trusted instead of the system's store.
        clear: whether clear() deletes the alias's own keys or the whole database.
        redis_options: django-redis' connection options, frozen; TCP only.
        sources: where each credential came from, for the doctor and the panel.
    """

    alias: str = "default"
    mode: Mode = "local"
    unconfigured: bool = False
    env_prefix: str = field(default="", compare=False)
    rest_url: str | None = None
    token: Secret | None = None
    redis_url: Secret | None = None
    fallback: bool = True
    pool_size: int = 10
    connect_timeout: float = 1.0
    read_timeout: float = 2.0
    health_check_interval: float = 30.0
    serializer: Literal["msgpack", "json"] = "msgpack"
    pickle: Literal["signed", "never"] = "signed"
    compress_min_bytes: int | None = None
    max_value_bytes: int | None = None
    ttl_by_prefix: tuple[tuple[str, float | None], ...] = ()
    coalesce: bool = True
    local_max_entries: int = 10_000
    local_max_bytes: int = 64 * 1024 * 1024
    telemetry: bool = False
    ca_file: str | None = None
    clear: Literal["prefix", "flushdb"] = "prefix"
    redis_options: Hashable = field(default=("dict",), repr=False)
    sources: tuple[tuple[str, str], ...] = field(default=(), compare=False)

    @property
    def host(self) -> str:
        """The host that is talked to; empty in local mode."""
        return self._url.hostname or ""

    @property
    def port(self) -> int:
        """The port that is talked to; 0 where there is none."""
        return self._url.port or _PORTS.get(self._url.scheme, 0)

    @property
    def address(self) -> str:
        """The host for messages, with the port where it is not the one of the scheme."""
        host, port = self.host, 0
        with suppress(ValueError):  # of what is no port, which may be half a password
            port = self.port
        if port in {0, _PORTS.get(self._url.scheme)}:
            return host
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def place(self) -> tuple[str, ...]:
        """Which database it is, however its URL is written; empty in local mode.

        REST and TCP are known for one database on Upstash only, where a host is a database.
        """
        if self.host.endswith(".upstash.io"):
            return (self.host,)
        if self.mode == "local":
            return ()
        url = self._url
        if url.scheme == "unix":
            return (url.path, *parse_qs(url.query).get("db", ["0"]))
        if self.mode == "rest":
            return (self.host, str(self.port))
        index = parse_qs(url.query).get("db", [url.path.strip("/") or "0"])
        return (self.host, str(self.port), *index)

    @property
    def _url(self) -> SplitResult:
        redis = self.redis_url.reveal() if self.mode == "redis" and self.redis_url else ""
        return urlsplit(self.rest_url or "" if self.mode == "rest" else redis)

    @property
    def is_upstash(self) -> bool:
        """Whether the server understands Upstash's own commands and script flags.

        Over REST it always is one (or an emulator); over TCP the host tells.
        """
        return self.mode == "rest" or self.host.endswith(".upstash.io")

    @property
    def label(self) -> str:
        """How messages name this database, such as ``cache 'default' (rest, db.upstash.io)``."""
        where = f"{self.mode}, {self.address}" if self.host else self.mode
        return f"cache '{self.alias}' ({where})"

    @property
    def advice(self) -> str:
        """What gives it a database, where it has none."""
        chosen = "" if self.unconfigured else "Remove MODE, or CONTINUUM_CACHE_MODE. "
        return chosen + advice(self.env_prefix)


# django-redis' own, passed on to its connection factory in TCP mode.
REDIS_OPTIONS: Final = frozenset(
    {
        "CONNECTION_FACTORY",
        "CONNECTION_POOL_CLASS",
        "CONNECTION_POOL_KWARGS",
        "PARSER_CLASS",
        "PASSWORD",
        "REDIS_CLIENT_CLASS",
        "REDIS_CLIENT_KWARGS",
        "SENTINELS",
        "SENTINEL_KWARGS",
        "SOCKET_CONNECT_TIMEOUT",
        "SOCKET_TIMEOUT",
        "USERNAME",
    }
)

# What stands in many settings that were written for django-redis, and what to do with it.
_DJANGO_REDIS: Final[Mapping[str, str]] = {
    "CLIENT_CLASS": "delete it",
    "COMPRESSOR": "write COMPRESS_MIN_BYTES = 1024 or the like, and values are compressed",
    "IGNORE_EXCEPTIONS": "write FALLBACK, which is on unless it is False",
    "LOG_IGNORED_EXCEPTIONS": "delete it, an outage is logged once",
}

_DEFAULTS: Final = {f.name: f.default for f in fields(Config)}
_FOUND: Final = {"alias", "unconfigured", "sources", "redis_options"}  # not asked for by name
_OPTIONS: Final = frozenset(name.upper() for name in _DEFAULTS.keys() - _FOUND)
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "serializer": ("msgpack", "json"),
    "pickle": ("signed", "never"),
    "clear": ("prefix", "flushdb"),
}


def resolve(
    options: Mapping[str, Any],
    environ: Mapping[str, str],
    *,
    alias: str = "default",
    location: str = "",
) -> Config:
    """Return the configuration of one database.

    Args:
        options: ``OPTIONS`` of the CACHES entry, or a client's arguments by the same names.
        environ: the environment variables.
        alias: names the database in messages.
        location: ``LOCATION`` of the CACHES entry: an ``https://`` or ``rediss://`` URL, or
            empty: the environment decides.

    Raises:
        ConfigurationError: an unknown option, a wrong value, half a pair of credentials, a URL
            that contradicts the mode, or none where nothing local may answer.
    """
    try:
        return _resolve(dict(options), environ, alias, location)
    except ConfigurationError as error:
        raise ConfigurationError(f"Cache '{alias}': {error}") from None


def _resolve(
    options: dict[str, Any], environ: Mapping[str, str], alias: str, location: str
) -> Config:
    _reject_unknown(options)
    env = Environment(environ, options.pop("ENV_PREFIX", ""))
    if not isinstance(location, str):
        raise ConfigurationError(
            f"LOCATION is a {type(location).__name__}: write one URL, as text. A database of "
            "Upstash has one address, whatever replicas it has."
        )
    found = find(options, env, location.strip())
    redis_options = {name: options.pop(name) for name in REDIS_OPTIONS & options.keys()}
    if found.mode != "redis" and redis_options:
        raise ConfigurationError(
            f"{', '.join(sorted(redis_options))} are options of the TCP mode, but the mode is "
            f"{found.mode}: remove them or set a rediss:// URL."
        )
    settings: dict[str, Any] = {
        "fallback": env.boolean("CONTINUUM_CACHE_FALLBACK"),
        "pool_size": env.integer("UPSTASH_POOL_SIZE"),
        "telemetry": env.boolean("UPSTASH_ENABLE_TELEMETRY"),
    }
    settings = {name: value for name, value in settings.items() if value is not None}
    settings |= {name.lower(): value for name, value in options.items()}
    settings = {name: _checked(name, value) for name, value in settings.items()}
    if found.unconfigured and settings.get("fallback") is False:
        raise ConfigurationError(
            f"FALLBACK is False, but there is no database. {env.advice} For a store in the process "
            "set MODE = 'local'."
        )
    return Config(
        alias=alias,
        mode=found.mode,
        unconfigured=found.unconfigured,
        env_prefix=env.prefix,
        rest_url=found.rest_url,
        token=found.token,
        redis_url=found.redis_url,
        redis_options=freeze(redis_options),
        sources=found.sources,
        **settings,
    )


def _reject_unknown(options: Mapping[str, Any]) -> None:
    for name in options:
        if name in _DJANGO_REDIS:
            raise ConfigurationError(f"{name} is django-redis' own: {_DJANGO_REDIS[name]}.")
        if name not in _OPTIONS and name not in REDIS_OPTIONS:
            hint = suggest_similar(name, _OPTIONS | REDIS_OPTIONS)
            raise ConfigurationError(f"Unknown option {name}.{hint}")


def _checked(name: str, value: Any) -> Any:
    option, default = name.upper(), _DEFAULTS[name]
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            hint = " A class is django-redis' own: delete it." if "." in str(value) else ""
            raise ConfigurationError(f"{option} is one of {', '.join(_CHOICES[name])}.{hint}")
    elif name == "ttl_by_prefix":
        return _checked_ttls(value)
    elif name == "ca_file":
        return None if value is None else str(value)
    elif isinstance(default, bool):
        if not isinstance(value, bool):
            raise ConfigurationError(f"{option} is True or False, not {value!r}.")
    elif isinstance(default, float):
        if not _is_number(value, (int, float)):
            raise ConfigurationError(f"{option} is a number of seconds above 0, not {value!r}.")
        return float(value)
    elif not _is_number(value, (int,)) and not (value is None and default is None):
        raise ConfigurationError(f"{option} is a whole number above 0, not {value!r}.")
    return value


def _is_number(value: object, types: tuple[type, ...]) -> bool:
    # bool is an int, but True seconds are a mistake; infinity would be no deadline at all.
    return type(value) in types and 0 < cast("float", value) < math.inf


def _checked_ttls(value: Any) -> tuple[tuple[str, float | None], ...]:
    if not isinstance(value, Mapping):
        raise ConfigurationError('TTL_BY_PREFIX is a dict, such as {"query:": 300}.')
    for prefix, ttl in value.items():
        number = isinstance(ttl, (int, float)) and not isinstance(ttl, bool) and ttl >= 0
        if not isinstance(prefix, str) or not (ttl is None or number):
            raise ConfigurationError(
                f"TTL_BY_PREFIX maps a key prefix to seconds or None, not {prefix!r} to {ttl!r}."
            )
    return tuple(sorted(value.items()))
