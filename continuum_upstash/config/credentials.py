"""Finds a database's credentials in options, LOCATION and the environment, and validates them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Any, Final, Literal, TypeAlias, cast
from urllib.parse import SplitResult, urlsplit

from continuum_upstash.errors import ConfigurationError

Mode: TypeAlias = Literal["rest", "redis", "local"]

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_REST_PAIRS: Final = (
    ("UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"),
    ("KV_REST_API_URL", "KV_REST_API_TOKEN"),
)
_REST_SCHEMES: Final = frozenset({"https", "http"})
_REDIS_SCHEMES: Final = frozenset({"rediss", "redis", "unix"})
_REDIS_NAMES: Final = ("UPSTASH_REDIS_URL", "KV_URL", "REDIS_URL")


@dataclass(frozen=True, slots=True)
class Secret:
    """A token, or a URL with a password; hidden in repr, str, logs and tracebacks."""

    value: str | Callable[[], str] = field(repr=False)

    def reveal(self) -> str:
        """Return the secret. A callable is called each time, so tokens can be rotated."""
        return self.value if isinstance(self.value, str) else self.value()

    def __str__(self) -> str:
        return "********"


def make_setup_hint(prefix: str) -> str:
    """Return which environment variables to set, for variables with this prefix."""
    return (
        f"Set {prefix}UPSTASH_REDIS_REST_URL and {prefix}UPSTASH_REDIS_REST_TOKEN (REST), or "
        f"{prefix}UPSTASH_REDIS_URL (TCP)."
    )


def strip_quotes(text: str) -> str:
    """Return `text` without surrounding white space and quotes, which are often pasted with it."""
    return text.strip().strip("'\"").strip()


class Environment:
    """The environment variables of one database.

    Credentials are read with the prefix only, settings first with it and then without.
    """

    def __init__(self, environ: Mapping[str, str], prefix: object) -> None:
        if not isinstance(prefix, str):
            raise ConfigurationError("ENV_PREFIX must be a string, for example 'SESSIONS_'.")
        self._environ = environ
        self.prefix = prefix
        self.setup_hint = make_setup_hint(prefix)

    def get(self, name: str) -> str:
        return strip_quotes(self._environ.get(self.prefix + name, ""))

    def get_setting(self, name: str) -> str:
        return self.get(name) or strip_quotes(self._environ.get(name, ""))

    def get_source(self, name: str) -> str:
        """Return the name of the variable whose value `get_setting` returns."""
        return self.prefix + name if self.get(name) else name

    def get_boolean(self, name: str) -> bool | None:
        text = self.get_setting(name).lower()
        if not text:
            return None
        if text not in _TRUE | _FALSE:
            raise ConfigurationError(f"{name} is '{text}'. Set it to true or false.")
        return text in _TRUE

    def get_integer(self, name: str) -> int | None:
        text = self.get_setting(name)
        if not text:
            return None
        if not text.isdecimal():
            raise ConfigurationError(f"{name} is '{text}'. Set it to a whole number.")
        return int(text)


@dataclass(frozen=True, slots=True)
class Credentials:
    """The mode and the credentials of a database.

    Attributes:
        unconfigured: there are no credentials, and the local mode was not selected.
        sources: pairs of a credential and the option or variable it came from, never the secret
            itself; also ("mode", source) if the mode was set.
    """

    mode: Mode
    rest_url: str | None = None
    token: Secret | None = None
    redis_url: Secret | None = None
    unconfigured: bool = False
    sources: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Sourced:
    """A value and where it came from. An empty value means that there is none."""

    value: Any = None
    source: str = "OPTIONS"


def resolve_credentials(options: dict[str, Any], env: Environment, location: str) -> Credentials:
    """Return the mode and the credentials; removes their options from `options`.

    Raises:
        ConfigurationError: half a pair of credentials, a malformed URL, one that contradicts the
            mode, or none for a mode that was set.
    """
    mode = _read_mode(options.pop("MODE", ""), env)
    credentials = _select(mode.value, options, env, location)
    if mode.value == "auto":
        return credentials
    return replace(credentials, sources=(*credentials.sources, ("mode", mode.source)))


def _read_mode(option: object, env: Environment) -> _Sourced:
    name = "CONTINUUM_CACHE_MODE"
    given = _Sourced(option) if option else _Sourced(env.get_setting(name), env.get_source(name))
    mode = str(given.value or "auto").lower()
    mode = "auto" if mode == "upstash" else mode
    if mode not in {"auto", "rest", "redis", "local"}:
        raise ConfigurationError(f"MODE is '{mode}'. Set it to auto, rest, redis or local.")
    return _Sourced(mode, given.source)


def _select(mode: str, options: dict[str, Any], env: Environment, location: str) -> Credentials:
    given = {name: _Sourced(options.pop(name, None)) for name in ("REST_URL", "TOKEN", "REDIS_URL")}
    if mode == "local":
        return Credentials("local")
    if location:
        kind = "redis" if urlsplit(location).scheme in _REDIS_SCHEMES else "rest"
        if mode not in {"auto", kind}:
            raise ConfigurationError(
                f"LOCATION is a {kind} URL, but MODE is {mode}. Remove one of them."
            )
        mode = kind
        given[f"{kind.upper()}_URL"] = _Sourced(location, "LOCATION")
    found = None
    if mode != "redis":
        found = _select_rest(env, given["REST_URL"], given["TOKEN"])
    if mode != "rest" and found is None:
        found = _select_redis(env, given["REDIS_URL"])
    if mode != "auto" and found is None:
        raise ConfigurationError(f"MODE is {mode}, but no URL is set for it. {env.setup_hint}")
    return found or Credentials("local", unconfigured=True)


def _select_rest(env: Environment, url: _Sourced, token: _Sourced) -> Credentials | None:
    for names in _REST_PAIRS:
        pair = [_Sourced(env.get(name), env.prefix + name) for name in names]
        if pair[0].value or pair[1].value:
            _reject_mismatched_token(url, token, *pair)
            url, token = (url if url.value else pair[0]), (token if token.value else pair[1])
            break
    if not url.value and not token.value:
        return None
    if not url.value:
        raise ConfigurationError(
            f"A REST token is set ({token.source}), but no REST URL. {env.setup_hint}"
        )
    parts = _parse_url(url, _REST_SCHEMES, "https://…", env.setup_hint)
    if not token.value:
        raise ConfigurationError(
            f"A REST URL is set ({url.source}), but no REST token. {env.setup_hint}"
        )
    if parts.username or parts.password or parts.query:
        raise ConfigurationError(
            f"The REST URL ({url.source}) must be a scheme and a host only. {env.setup_hint}"
        )
    return Credentials(
        "rest",
        rest_url=parts.geturl().rstrip("/"),
        token=Secret(_validate_token(token.value)),
        sources=(("rest_url", url.source), ("token", token.source)),
    )


def _reject_mismatched_token(
    url: _Sourced, token: _Sourced, env_url: _Sourced, env_token: _Sourced
) -> None:
    """Do not send the environment's token to the host of another database."""
    if not url.value or token.value or not env_url.value:
        return
    if str(url.value).rstrip("/") != env_url.value.rstrip("/"):
        raise ConfigurationError(
            f"{url.source} and {env_url.source} are different databases, and the token in "
            f"{env_token.source} is for the second. Set TOKEN as well, or set ENV_PREFIX."
        )


def _select_redis(env: Environment, url: _Sourced) -> Credentials | None:
    for name in _REDIS_NAMES:
        if not url.value:
            url = _Sourced(env.get(name), env.prefix + name)
    if not url.value:
        return None
    parts = _parse_url(url, _REDIS_SCHEMES, "rediss://…", env.setup_hint)
    if (parts.hostname or "").endswith(".upstash.io") and parts.path not in {"", "/", "/0"}:
        raise ConfigurationError(
            f"The Redis URL ({url.source}) selects database {parts.path[1:]}, but Upstash has "
            "only database 0. Remove the path."
        )
    return Credentials(
        "redis", redis_url=Secret(parts.geturl()), sources=(("redis_url", url.source),)
    )


def _parse_url(url: _Sourced, schemes: frozenset[str], form: str, hint: str) -> SplitResult:
    if not isinstance(url.value, str):
        raise ConfigurationError(
            f"The URL ({url.source}) must be a string, not {type(url.value).__name__}."
        )
    try:
        parts = urlsplit(url.value.strip())
        parts.port  # noqa: B018 reading it validates it
    except ValueError:
        raise ConfigurationError(f"The URL ({url.source}) cannot be parsed. {hint}") from None
    host = "" if "://" in url.value else urlsplit(f"//{url.value}").hostname or ""
    if "." in host:  # a token that was set instead of a URL has no dot; do not print it
        raise ConfigurationError(
            f"The URL ({url.source}) has no scheme. Write https://{host} (REST) or "
            f"rediss://{host} (TCP)."
        )
    if parts.scheme not in schemes or not (parts.hostname or parts.scheme == "unix"):
        raise ConfigurationError(f"The URL ({url.source}) must have the form {form}. {hint}")
    return parts


def _validate_token(token: Any) -> str | Callable[[], str]:
    if callable(token):
        return cast("Callable[[], str]", token)
    if not isinstance(token, str):
        raise ConfigurationError(
            f"TOKEN must be a string or a callable, not {type(token).__name__}."
        )
    token = strip_quotes(token)
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError(
            "TOKEN has characters that tokens do not have. Copy it again from the console."
        )
    return str(token)


def is_loopback(host: str) -> bool:
    """Return whether `host` is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_private(host: str) -> bool:
    """Return whether unencrypted traffic to `host` is acceptable.

    That is the case for loopback, private address ranges and local names.
    """
    try:
        address = ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".localhost"))
    return address.is_private or address.is_loopback or address.is_link_local
