"""The configuration of one database.

Arguments and OPTIONS take precedence over the environment, the environment over defaults. `resolve`
is pure: the environment is an argument, so the tests of precedence are one table. Secrets are
wrapped on entry and revealed only where they are sent.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, cast
from urllib.parse import SplitResult, parse_qs, unquote

from continuum_upstash.config import django_redis
from continuum_upstash.config.credentials import Credentials, Mode, resolve_credentials
from continuum_upstash.config.environment import Environment, make_setup_hint
from continuum_upstash.config.frozen_settings import FrozenSettings
from continuum_upstash.config.hashable import to_hashable
from continuum_upstash.config.old_values import validate_old_values
from continuum_upstash.config.proxies import Proxy, find_proxy
from continuum_upstash.config.secrets import Secret
from continuum_upstash.config.urls import is_upstash, remove_root_dot, split_url
from continuum_upstash.errors import ConfigurationError, suggest_similar

if TYPE_CHECKING:
    from continuum_upstash.config.budget import Budget

_PORTS: Final = {"https": 443, "http": 80, "rediss": 6379, "redis": 6379}


class Config(FrozenSettings):
    """The settings of a transport, a breaker and a pool, and their key in the registry.

    Attributes:
        alias: the cache alias, or the name of a plain client; used in messages and metrics.
        mode: how the database is reached.
        unconfigured: the mode is local because there are no credentials, not by choice.
        setup_hint: what to set, for an alias that has no database.
        env_prefix: the prefix of its environment variables.
        rest_url: ``https://…`` without a trailing slash.
        token: the REST token; over TCP the password, if it may change.
        redis_url: ``rediss://…`` with its password.
        proxy: the HTTP or SOCKS proxy for REST requests.
        fallback: reply from the local store while the database cannot be reached.
        pool_size: maximum connections of a process (sync) or of an event loop (async).
        connect_timeout, read_timeout: seconds; `read_timeout` is for a whole batch.
        health_check_interval: seconds; the longest time that the circuit breaker stays open.
        serializer: the format of new values; every format is read.
        pickle: whether objects that the serializer cannot encode are stored as signed pickles.
        compress_min_bytes: values of at least this size are compressed; None: never.
        max_value_bytes: larger values are not sent; None: no limit but the server's.
        ttl_by_prefix: pairs of a key prefix and seconds, for keys set without a timeout.
        coalesce: send async commands of one event-loop tick in one request.
        local_max_entries: the limit of the local store in keys.
        local_max_bytes: its limit in bytes.
        near: pairs of a key prefix and the seconds for which a copy of such a key may be returned.
        near_scope: the regular expression of what precedes a user's key in a full key; set by the
            Django cache, whose `near` has prefixes without KEY_PREFIX and version.
        near_max_entries: the limit of the near cache in keys.
        near_max_bytes: its limit in bytes.
        budget: how much the database may cost in a month; None: no limit.
        telemetry: send the SDK headers that describe the platform to Upstash.
        ca_file: a PEM file to trust instead of the system's certificates.
        clear: whether clear() deletes the alias's own keys or the whole database.
        on_full: whether a cache write is dropped or raises if the database is full.
        old_values: the serializer and compressor of another backend whose values are read, too.
        redis_options: django-redis' connection options as a hashable value; TCP only.
        signing_keys: secrets that sign stored values; the first signs, every one verifies.
        sources: where each credential came from, for the doctor and the panel.
    """

    alias: str = "default"
    mode: Mode = "local"
    unconfigured: bool = False
    setup_hint: str = ""
    env_prefix: str = ""
    rest_url: str | None = None
    token: Secret | None = None
    redis_url: Secret | None = None
    proxy: Proxy | None = None
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
    near: tuple[tuple[str, float], ...] = ()
    near_scope: str = ""
    near_max_entries: int = 10_000
    near_max_bytes: int = 16 * 1024 * 1024
    budget: Budget | None = None
    telemetry: bool = False
    ca_file: str | None = None
    clear: Literal["prefix", "flushdb"] = "prefix"
    on_full: Literal["drop", "raise"] = "drop"
    old_values: tuple[str, str] | None = None
    redis_options: Hashable = ("dict",)
    signing_keys: tuple[bytes, ...] = ()
    sources: tuple[tuple[str, str], ...] = ()

    NOT_COMPARED: ClassVar = frozenset({"setup_hint", "env_prefix", "sources"})
    HIDDEN: ClassVar = frozenset({"redis_options", "signing_keys"})

    @property
    def host(self) -> str:
        """The host of the server; empty in local mode and for a Unix socket."""
        return remove_root_dot(self._url.hostname or "")

    @property
    def port(self) -> int:
        """The port of the server; 0 if there is none."""
        return self._url.port or _PORTS.get(self._url.scheme, 0)

    @property
    def address(self) -> str:
        """The host for messages, with the port if it is not the scheme's default."""
        if self._url.scheme == "unix":
            return self._url.path
        host, port = self.host, self.port
        if port in {0, _PORTS.get(self._url.scheme)}:
            return host
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    @property
    def server_identity(self) -> tuple[str, ...]:
        """Identifies the database, however its URL is written; empty in local mode.

        A REST and a TCP URL are recognized as one database on Upstash only, where each database
        has its own host.
        """
        if is_upstash(self.host):
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
        parts = split_url(self.rest_url or "" if self.mode == "rest" else redis)
        return parts or SplitResult("", "", "", "", "")

    @property
    def base64_secrets(self) -> tuple[tuple[bytes, ...], ...]:
        """The secrets that sign binary values which are sent as text, for `SignedBase64`.

        A client without Django has no SECRET_KEY: it signs and verifies with the token, which is
        also the password over TCP (https://upstash.com/docs/redis/howto/connectclient). The result
        of a callable is not used, since it may be another one when the value is read.
        """
        secret: object = None
        if self.mode == "rest" and self.token:
            secret = self.token.value
        elif self.redis_url and self.redis_url.is_fixed:
            secret = unquote(self._url.password or "")
        token = (secret.encode(),) if isinstance(secret, str) and secret else ()
        return self.signing_keys, token

    @property
    def is_upstash(self) -> bool:
        """Whether the server supports Upstash's own commands and script flags.

        True for every REST URL; over TCP for Upstash's hosts.
        """
        return self.mode == "rest" or is_upstash(self.host)

    @property
    def has_rotating_credentials(self) -> bool:
        """Whether another attempt may use another token or password."""
        secrets = (self.token, self.redis_url)
        return any(secret is not None and not secret.is_fixed for secret in secrets)

    @property
    def label(self) -> str:
        """The name of this database in messages: ``cache 'default' (rest, db.upstash.io)``."""
        where = f"{self.mode}, {self.address}" if self.address else self.mode
        return f"cache '{self.alias}' ({where})"


_DEFAULTS: Final = {name: getattr(Config, name) for name in Config.NAMES}
_DERIVED_FIELDS: Final = {
    "alias",
    "near_scope",
    "proxy",
    "redis_options",
    "setup_hint",
    "signing_keys",
    "sources",
    "unconfigured",
}
_OPTIONS: Final = frozenset(name.upper() for name in _DEFAULTS.keys() - _DERIVED_FIELDS)
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "serializer": ("msgpack", "json"),
    "pickle": ("signed", "never"),
    "clear": ("prefix", "flushdb"),
    "on_full": ("drop", "raise"),
}


def resolve(
    options: Mapping[str, Any],
    environ: Mapping[str, str],
    *,
    alias: str = "default",
    location: object = "",
    signing_keys: tuple[bytes, ...] = (),
) -> Config:
    """Return the configuration of one database.

    Args:
        options: ``OPTIONS`` of the CACHES entry, or a client's arguments by the same names.
        environ: the environment variables.
        alias: the name of the database in messages.
        location: ``LOCATION`` of the CACHES entry: an ``https://`` or ``rediss://`` URL, or a list
            of one. If it is empty, the environment is read.
        signing_keys: see `Config`.

    Raises:
        ConfigurationError: an unknown option, an invalid value, half a pair of credentials, a URL
            that contradicts the mode, or no URL although FALLBACK is False. The message lists all
            that is wrong. Also an empty signing key.
    """
    found, problem = _try_resolve_fields(options, environ, location)
    # A traceback shows local variables. These contain secrets, and so do those of the functions
    # that have found the problem.
    del options, environ, location
    if not problem and not all(signing_keys):
        problem = (
            "a secret that signs stored values is empty. Correct SECRET_KEY and "
            "SECRET_KEY_FALLBACKS (Django), or pickle_keys (a client)."
        )
    if problem:
        del signing_keys
        raise ConfigurationError(f"Cache '{alias}': {problem}")
    return Config(alias=alias, signing_keys=signing_keys, **found)


def _try_resolve_fields(
    options: Mapping[str, Any], environ: Mapping[str, str], location: object
) -> tuple[dict[str, Any], str]:
    """Return the fields of a configuration, or the text of the error with all that is wrong."""
    found, problems = _resolve_fields(dict(options), environ, location)
    if len(problems) > 1:
        numbered = " ".join(f"({number}) {text}" for number, text in enumerate(problems, 1))
        return {}, f"{len(problems)} settings are wrong. {numbered}"
    return found, "".join(problems)


def _resolve_fields(
    options: dict[str, Any], environ: Mapping[str, str], location: object
) -> tuple[dict[str, Any], list[str]]:
    """Return the fields of a configuration, and what is wrong with it."""
    # For the messages: IGNORE_EXCEPTIONS becomes FALLBACK.
    fallback_option = next(
        (name for name in ("FALLBACK", "IGNORE_EXCEPTIONS") if name in options), ""
    )
    problems = [*_remove_unknown(options), *django_redis.replace_options(options)]
    prefix = options.pop("ENV_PREFIX", "")
    try:
        env = Environment(environ, prefix)
        credentials = resolve_credentials(options, env, _get_url(location))
        proxy = find_proxy(environ, credentials.rest_url) if credentials.rest_url else None
    except ConfigurationError as error:
        return {}, [*problems, str(error)]
    redis_options = {
        name: options.pop(name) for name in django_redis.TCP_OPTIONS.keys() & options.keys()
    }
    if credentials.mode == "rest":
        problems += django_redis.replace_tcp_options(options, redis_options)
    settings = _validate_settings(options, env, problems)
    if credentials.unconfigured and settings.get("fallback") is False:
        problems.append(
            f"{fallback_option or 'CONTINUUM_CACHE_FALLBACK'} is False, but no database is "
            f"configured. {env.setup_hint} To use the in-process store, set MODE = 'local'."
        )
    sources = credentials.sources
    if proxy is not None:
        sources = (*sources, ("proxy", proxy.source))
    return settings | {
        "mode": credentials.mode,
        "unconfigured": credentials.unconfigured,
        "setup_hint": _make_setup_hint(credentials, env),
        "env_prefix": env.prefix,
        "rest_url": credentials.rest_url,
        "token": credentials.token,
        "redis_url": credentials.redis_url,
        "proxy": proxy,
        "redis_options": to_hashable(redis_options if credentials.mode == "redis" else {}),
        "sources": sources,
    }, problems


def _get_url(location: object) -> str:
    url = django_redis.select_url(location)
    if url is None:
        kind = "several URLs" if location else f"a {type(location).__name__}"
        raise ConfigurationError(
            f"LOCATION is {kind}. Set it to one URL, as a string: an Upstash "
            "database has one URL, including its replicas."
        )
    return url


def _validate_settings(
    options: Mapping[str, Any], env: Environment, problems: list[str]
) -> dict[str, Any]:
    """Return the fields that options and variables set; append what is wrong to `problems`."""
    readers = {
        "fallback": (env.get_boolean, "CONTINUUM_CACHE_FALLBACK"),
        "pool_size": (env.get_integer, "UPSTASH_POOL_SIZE"),
        "telemetry": (env.get_boolean, "UPSTASH_ENABLE_TELEMETRY"),
    }
    settings: dict[str, Any] = {}
    for name, (read, variable) in readers.items():
        try:
            settings[name] = read(variable)
        except ConfigurationError as error:
            problems.append(str(error))
    settings = {name: value for name, value in settings.items() if value is not None}
    settings |= {name.lower(): value for name, value in options.items()}
    for name, value in settings.items():
        try:
            settings[name] = _validate(name, value)
        except ConfigurationError as error:
            problems.append(str(error))
    return settings


def _make_setup_hint(credentials: Credentials, env: Environment) -> str:
    if credentials.mode != "local":
        return ""
    if credentials.unconfigured:
        return env.setup_hint
    source = dict(credentials.sources)["mode"]
    mode = "MODE" if source == "OPTIONS" else source
    return f"Remove {mode}. {make_setup_hint(env.prefix)}"


def _remove_unknown(options: dict[str, Any]) -> list[str]:
    """Remove the unknown options; return a message for each."""
    known = _OPTIONS | django_redis.OPTIONS
    unknown = [name for name in options if name not in known]
    for name in unknown:
        del options[name]
    return [f"Unknown option {name}.{suggest_similar(name, known)}" for name in unknown]


def _validate(name: str, value: Any) -> Any:
    option, default = name.upper(), _DEFAULTS[name]
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            choices = " or ".join(_CHOICES[name])
            raise ConfigurationError(f"{option} must be {choices}, not {value!r}.")
    elif name in _VALIDATORS:
        return _VALIDATORS[name](value)
    elif isinstance(default, bool):
        if not isinstance(value, bool):
            raise ConfigurationError(f"{option} must be True or False, not {value!r}.")
    elif isinstance(default, float):
        if not _is_number(value, (int, float)):
            raise ConfigurationError(f"{option} must be seconds above 0, not {value!r}.")
        return float(value)
    elif not _is_number(value, (int,)) and not (value is None and default is None):
        raise ConfigurationError(f"{option} must be a whole number above 0, not {value!r}.")
    return value


def _is_number(value: object, types: tuple[type, ...]) -> bool:
    # A bool is an int, but not a number of seconds; infinity would mean no deadline.
    return type(value) in types and 0 < cast("float", value) <= sys.float_info.max


def _validate_ttls(value: Any) -> tuple[tuple[str, float | None], ...]:
    if not isinstance(value, Mapping):
        raise ConfigurationError('TTL_BY_PREFIX must be a dict, for example {"query:": 300}.')
    for prefix, ttl in value.items():
        number = isinstance(ttl, (int, float)) and not isinstance(ttl, bool) and ttl >= 0
        if not isinstance(prefix, str) or not (ttl is None or number):
            raise ConfigurationError(
                f"TTL_BY_PREFIX must map key prefixes to seconds, not {prefix!r} to {ttl!r}."
            )
    return tuple(sorted(value.items()))


def _validate_near(value: Any) -> tuple[tuple[str, float], ...]:
    if not isinstance(value, Mapping):
        raise ConfigurationError('NEAR must be a dict, for example {"query:": 2.0}.')
    for prefix, seconds in value.items():
        if not isinstance(prefix, str) or not prefix:
            raise ConfigurationError(
                f"NEAR must name the first characters of the keys, not {prefix!r}: a near cache "
                "for all keys would include counters and locks."
            )
        if not _is_number(seconds, (int, float)):
            raise ConfigurationError(
                f"NEAR[{prefix!r}] must be seconds above 0, not {seconds!r}. To read such keys "
                "from the database only, remove the entry."
            )
    return tuple(sorted((prefix, float(seconds)) for prefix, seconds in value.items()))


def _parse_budget(value: Any) -> Budget | None:
    from continuum_upstash.config.budget import parse_budget  # noqa: PLC0415 only with BUDGET

    return parse_budget(value)


_VALIDATORS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "budget": _parse_budget,
    "ca_file": lambda path: None if path is None else str(path),
    "near": _validate_near,
    "old_values": validate_old_values,
    "ttl_by_prefix": _validate_ttls,
}
