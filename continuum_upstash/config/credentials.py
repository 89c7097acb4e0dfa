"""Where a database's credentials come from, and what makes them plainly wrong."""

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
    """A token or a URL with a password: it hides itself in repr, str, logs and tracebacks."""

    value: str | Callable[[], str] = field(repr=False)

    def reveal(self) -> str:
        """Return the secret; a callable is asked each time, so that tokens may rotate."""
        return self.value if isinstance(self.value, str) else self.value()

    def __str__(self) -> str:
        return "********"


def advice(prefix: str) -> str:
    """Return what to set for a database whose variables have a prefix."""
    return (
        f"Set {prefix}UPSTASH_REDIS_REST_URL and {prefix}UPSTASH_REDIS_REST_TOKEN (REST), or "
        f"{prefix}UPSTASH_REDIS_URL (TCP)."
    )


def unquoted(text: str) -> str:
    """Return `text` without the quotes and white space that pasting leaves around it."""
    return text.strip().strip("'\"").strip()


class Environment:
    """The variables of one database: a prefix selects its credentials, the rest may be shared."""

    def __init__(self, environ: Mapping[str, str], prefix: object) -> None:
        if not isinstance(prefix, str):
            raise ConfigurationError("ENV_PREFIX is text, such as 'SESSIONS_'.")
        self._environ = environ
        self.prefix = prefix
        self.advice = advice(prefix)

    def get(self, name: str) -> str:
        return unquoted(self._environ.get(self.prefix + name, ""))

    def setting(self, name: str) -> str:
        return self.get(name) or unquoted(self._environ.get(name, ""))

    def source(self, name: str) -> str:
        """Return the name of the variable that `setting` reads."""
        return self.prefix + name if self.get(name) else name

    def boolean(self, name: str) -> bool | None:
        text = self.setting(name).lower()
        if not text:
            return None
        if text not in _TRUE | _FALSE:
            raise ConfigurationError(f"{name} is '{text}': write true or false.")
        return text in _TRUE

    def integer(self, name: str) -> int | None:
        text = self.setting(name)
        if not text:
            return None
        if not text.isdecimal():
            raise ConfigurationError(f"{name} is '{text}': write a whole number.")
        return int(text)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What was found.

    Attributes:
        unconfigured: there was nothing to find, and nobody chose the local mode.
        sources: (credential, option or variable that gave it), never the secret itself; and
            the mode, where it was chosen.
    """

    mode: Mode
    rest_url: str | None = None
    token: Secret | None = None
    redis_url: Secret | None = None
    unconfigured: bool = False
    sources: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class _Given:
    """A value and where it came from; an empty value is not there."""

    value: Any = None
    source: str = "OPTIONS"


def find(options: dict[str, Any], env: Environment, location: str) -> Credentials:
    """Take the credentials out of `options`, or from the environment, and choose the mode."""
    chosen = _chosen(options.pop("MODE", ""), env)
    found = _found(chosen.value, options, env, location)
    if chosen.value == "auto":
        return found
    return replace(found, sources=(*found.sources, ("mode", chosen.source)))


def _chosen(option: object, env: Environment) -> _Given:
    name = "CONTINUUM_CACHE_MODE"
    given = _Given(option) if option else _Given(env.setting(name), env.source(name))
    mode = str(given.value or "auto").lower()
    mode = "auto" if mode == "upstash" else mode
    if mode not in {"auto", "rest", "redis", "local"}:
        raise ConfigurationError(f"MODE is '{mode}': write auto, rest, redis or local.")
    return _Given(mode, given.source)


def _found(mode: str, options: dict[str, Any], env: Environment, location: str) -> Credentials:
    given = {name: _Given(options.pop(name, None)) for name in ("REST_URL", "TOKEN", "REDIS_URL")}
    if mode == "local":
        return Credentials("local")
    if location:
        kind = "redis" if urlsplit(location).scheme in _REDIS_SCHEMES else "rest"
        if mode not in {"auto", kind}:
            raise ConfigurationError(f"LOCATION is a {kind} URL, but MODE is {mode}: remove one.")
        mode = kind
        given[f"{kind.upper()}_URL"] = _Given(location, "LOCATION")
    found = None
    if mode != "redis":
        found = _rest(env, given["REST_URL"], given["TOKEN"])
    if mode != "rest" and found is None:
        found = _redis(env, given["REDIS_URL"])
    if mode != "auto" and found is None:
        raise ConfigurationError(f"MODE is {mode}, but there is no URL for it. {env.advice}")
    return found or Credentials("local", unconfigured=True)


def _rest(env: Environment, url: _Given, token: _Given) -> Credentials | None:
    for names in _REST_PAIRS:
        pair = [_Given(env.get(name), env.prefix + name) for name in names]
        if pair[0].value or pair[1].value:
            _reject_foreign(url, token, *pair)
            url, token = (url if url.value else pair[0]), (token if token.value else pair[1])
            break
    if not url.value and not token.value:
        return None
    if not url.value:
        raise ConfigurationError(f"There is a REST token ({token.source}) but no URL. {env.advice}")
    parts = _split(url, _REST_SCHEMES, "https://…", env.advice)
    if not token.value:
        raise ConfigurationError(f"There is a REST URL ({url.source}) but no token. {env.advice}")
    if parts.username or parts.password or parts.query:
        raise ConfigurationError(
            f"The REST URL ({url.source}) is scheme and host only: {env.advice}"
        )
    return Credentials(
        "rest",
        rest_url=parts.geturl().rstrip("/"),
        token=Secret(_checked_token(token.value)),
        sources=(("rest_url", url.source), ("token", token.source)),
    )


def _reject_foreign(url: _Given, token: _Given, env_url: _Given, env_token: _Given) -> None:
    """Keep the environment's token from a host that it was not made for."""
    if not url.value or token.value or not env_url.value:
        return
    if str(url.value).rstrip("/") != env_url.value.rstrip("/"):
        raise ConfigurationError(
            f"{url.source} names another database than {env_url.source}, to which "
            f"{env_token.source} belongs: set TOKEN as well, or an ENV_PREFIX of its own."
        )


def _redis(env: Environment, url: _Given) -> Credentials | None:
    for name in _REDIS_NAMES:
        if not url.value:
            url = _Given(env.get(name), env.prefix + name)
    if not url.value:
        return None
    parts = _split(url, _REDIS_SCHEMES, "rediss://…", env.advice)
    if (parts.hostname or "").endswith(".upstash.io") and parts.path not in {"", "/", "/0"}:
        raise ConfigurationError(
            f"The Redis URL ({url.source}) selects database {parts.path[1:]}, but Upstash has "
            "only database 0: remove the path."
        )
    return Credentials(
        "redis", redis_url=Secret(parts.geturl()), sources=(("redis_url", url.source),)
    )


def _split(url: _Given, schemes: frozenset[str], form: str, advice: str) -> SplitResult:
    if not isinstance(url.value, str):
        raise ConfigurationError(f"The URL ({url.source}) is {type(url.value).__name__}, not text.")
    try:
        parts = urlsplit(url.value.strip())
        parts.port  # noqa: B018 reading it is what checks it
    except ValueError:
        raise ConfigurationError(f"The URL ({url.source}) cannot be parsed. {advice}") from None
    host = "" if "://" in url.value else urlsplit(f"//{url.value}").hostname or ""
    if "." in host:  # a token in the place of a URL has no dot, and is not repeated
        raise ConfigurationError(
            f"The URL ({url.source}) has no scheme. Write https://{host} (REST) or "
            f"rediss://{host} (TCP)."
        )
    if parts.scheme not in schemes or not (parts.hostname or parts.scheme == "unix"):
        raise ConfigurationError(f"The URL ({url.source}) is not of the form {form}. {advice}")
    return parts


def _checked_token(token: Any) -> str | Callable[[], str]:
    if callable(token):
        return cast("Callable[[], str]", token)
    if not isinstance(token, str):
        raise ConfigurationError(f"TOKEN is {type(token).__name__}: give text or a callable.")
    token = unquoted(token)
    if not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigurationError("TOKEN holds characters that no token has: copy it again.")
    return str(token)


def is_loopback(host: str) -> bool:
    """Return whether `host` is this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_private(host: str) -> bool:
    """Return whether plain text may travel to `host`: loopback, private ranges, local names."""
    try:
        address = ip_address(host)
    except ValueError:
        return "." not in host or host.endswith((".local", ".internal", ".localhost"))
    return address.is_private or address.is_loopback or address.is_link_local
