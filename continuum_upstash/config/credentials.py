"""Finds a database's credentials in options, LOCATION and the environment, and validates them."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Final, Literal, NamedTuple, TypeAlias, cast
from urllib.parse import SplitResult, quote

from continuum_upstash.config.environment import Environment, Sourced
from continuum_upstash.config.secrets import Secret, SecretFile, find_token_problem, strip_quotes
from continuum_upstash.config.urls import is_same_url, is_upstash, split_url
from continuum_upstash.errors import ConfigurationError

Mode: TypeAlias = Literal["rest", "redis", "local"]

_REST_PAIRS: Final = (
    ("UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"),
    ("KV_REST_API_URL", "KV_REST_API_TOKEN"),
)
_REST_SCHEMES: Final = frozenset({"https", "http"})
_REDIS_SCHEMES: Final = frozenset({"rediss", "redis", "unix"})
_REDIS_NAMES: Final = ("UPSTASH_REDIS_URL", "KV_URL", "REDIS_URL")
_REDIS_PORT: Final = 6379


class Credentials(NamedTuple):
    """The mode and the credentials of a database.

    Attributes:
        token: the REST token; over TCP the password, if it may change.
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


def resolve_credentials(options: dict[str, Any], env: Environment, location: str) -> Credentials:
    """Return the mode and the credentials; removes their options from `options`.

    Raises:
        ConfigurationError: half a pair of credentials, a malformed URL, one that contradicts the
            mode, or none for a mode that was set.
    """
    mode = _read_mode(options.pop("MODE", ""), env)
    given = {name: Sourced(options.pop(name, None)) for name in ("REST_URL", "TOKEN", "REDIS_URL")}
    credentials = _select(mode, given, env, location)
    if mode.value == "auto":
        return credentials
    return credentials._replace(sources=(*credentials.sources, ("mode", mode.source)))


def _read_mode(option: object, env: Environment) -> Sourced:
    given = Sourced(option) if option else env.get_setting("CONTINUUM_CACHE_MODE")
    mode = str(given.value or "auto").lower()
    mode = "auto" if mode == "upstash" else mode
    if mode not in {"auto", "rest", "redis", "local"}:
        raise ConfigurationError(
            f"{_name_mode(given)} is {mode!r}. Set it to auto, rest, redis or local."
        )
    return Sourced(mode, given.source)


def _name_mode(mode: Sourced) -> str:
    return "MODE" if mode.source == "OPTIONS" else mode.source


def _select(
    mode: Sourced, given: dict[str, Sourced], env: Environment, location: str
) -> Credentials:
    kind = mode.value
    if kind == "local":
        return Credentials("local")
    if location:
        scheme = location.partition(":")[0].lower()
        located = "redis" if scheme in _REDIS_SCHEMES else "rest"
        if kind not in {"auto", located}:
            raise ConfigurationError(
                f"LOCATION is a {located} URL, but {_name_mode(mode)} is {kind}. "
                "Remove one of them."
            )
        kind = located
        given[f"{kind.upper()}_URL"] = Sourced(location, "LOCATION")
    found = None
    # In auto mode, TOKEN beside REDIS_URL may be the password of that URL.
    may_lack_url = kind == "auto" and bool(given["REDIS_URL"].value and given["TOKEN"].value)
    if kind != "redis":
        found = _select_rest(env, given["REST_URL"], given["TOKEN"], may_lack_url=may_lack_url)
    if kind != "rest" and found is None:
        found = _select_redis(env, given["REDIS_URL"], given["TOKEN"])
    if kind == "redis" and found is None:
        found = _derive_redis(_select_rest(env, given["REST_URL"], given["TOKEN"]))
    if kind != "auto" and found is None:
        raise ConfigurationError(
            f"{_name_mode(mode)} is {kind}, but no URL is set for it. {env.setup_hint}"
        )
    return found or Credentials("local", unconfigured=True)


def _select_rest(
    env: Environment, url: Sourced, token: Sourced, *, may_lack_url: bool = False
) -> Credentials | None:
    for names in _REST_PAIRS:
        pair = [env.get_credential(name) for name in names]
        if pair[0].value or pair[1].value:
            pair[0] = _read_file(pair[0])
            _reject_mismatched_token(url, token, *pair)
            url, token = (url if url.value else pair[0]), (token if token.value else pair[1])
            break
    if not url.value and (may_lack_url or not token.value):
        return None
    if not url.value:
        raise ConfigurationError(
            f"A REST token is set ({token.source}), but no REST URL. {env.setup_hint}"
        )
    parts = _parse_url(url, _REST_SCHEMES, "https://…", env)
    if not token.value:
        raise ConfigurationError(
            f"A REST URL is set ({url.source}), but no REST token. {env.setup_hint}"
        )
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ConfigurationError(
            f"The REST URL ({url.source}) must be a scheme and a host only. {env.setup_hint}"
        )
    return Credentials(
        "rest",
        rest_url=parts.geturl().rstrip("/"),
        token=_make_token(token),
        sources=(("rest_url", url.source), ("token", token.source)),
    )


def _reject_mismatched_token(
    url: Sourced, token: Sourced, env_url: Sourced, env_token: Sourced
) -> None:
    """Do not send the environment's token to the host of another database."""
    if not url.value or token.value or not env_url.value:
        return
    if not is_same_url(str(url.value), env_url.value):
        raise ConfigurationError(
            f"{url.source} and {env_url.source} are different databases, and the token in "
            f"{env_token.source} is for the second. Set TOKEN as well, or set ENV_PREFIX."
        )


def _select_redis(env: Environment, url: Sourced, token: Sourced) -> Credentials | None:
    for name in _REDIS_NAMES:
        if not url.value:
            url = env.get_credential(name)
    if not url.value:
        return None
    parts = _parse_url(_read_file(url), _REDIS_SCHEMES, "rediss://…", env)
    if is_upstash(parts.hostname or "") and parts.path not in {"", "/", "/0"}:
        raise ConfigurationError(
            f"The Redis URL ({url.source}) selects database {parts.path[1:]}, but Upstash has "
            "only database 0. Remove the path."
        )
    sources = (("redis_url", url.source),)
    if isinstance(url.value, SecretFile):
        return Credentials("redis", redis_url=Secret(url.value), sources=sources)
    if token.value and not parts.password and parts.scheme != "unix":
        return _add_password(parts, _make_token(token), (*sources, ("token", token.source)))
    return Credentials("redis", redis_url=Secret(url.value.strip()), sources=sources)


def _derive_redis(rest: Credentials | None) -> Credentials | None:
    """Return the TCP credentials of a database whose REST credentials are known.

    Upstash has one host for both, and the token is the password.
    """
    parts = split_url(rest.rest_url) if rest and rest.rest_url else None
    if rest is None or rest.token is None or parts is None:
        return None
    scheme = "rediss" if parts.scheme == "https" else "redis"
    host = parts.netloc.removesuffix(f":{parts.port}").rstrip(":")
    parts = SplitResult(scheme, f"{host}:{_REDIS_PORT}", "", "", "")
    (_, url_source), (_, token_source) = rest.sources
    return _add_password(parts, rest.token, (("redis_url", url_source), ("token", token_source)))


def _add_password(
    parts: SplitResult, token: Secret, sources: tuple[tuple[str, str], ...]
) -> Credentials:
    if not token.is_fixed:  # the transport reads it for each new connection
        return Credentials("redis", token=token, redis_url=Secret(parts.geturl()), sources=sources)
    host = parts.netloc.rpartition("@")[2]
    password = quote(token.reveal(), safe="")
    parts = parts._replace(netloc=f"{parts.username or 'default'}:{password}@{host}")
    return Credentials("redis", redis_url=Secret(parts.geturl()), sources=sources)


def _parse_url(url: Sourced, schemes: frozenset[str], form: str, env: Environment) -> SplitResult:
    if not isinstance(url.value, str):
        raise ConfigurationError(
            f"The URL ({url.source}) must be a string, not {type(url.value).__name__}."
        )
    text = url.value.strip()
    if text.startswith("/") and "unix" in schemes:
        raise ConfigurationError(
            f"The URL ({url.source}) has no scheme. Write unix:///path/of/the/socket"
        )
    without_scheme = None if "://" in text else split_url(f"//{text}")
    host = without_scheme.hostname or "" if without_scheme else ""
    if "." in host:  # a token that was set instead of a URL has no dot; do not print it
        raise ConfigurationError(
            f"The URL ({url.source}) has no scheme. Write https://{host} (REST) or "
            f"rediss://{host} (TCP)."
        )
    parts = split_url(text)
    if parts is None:
        raise ConfigurationError(
            f"The URL ({url.source}) cannot be parsed. Check its host and port, and "
            f"percent-encode the special characters of its password. {env.setup_hint}"
        )
    if parts.scheme == "unix" and "unix" in schemes:
        form = "unix:///path/of/the/socket"
        is_valid = text.startswith("unix://") and bool(parts.path and not parts.hostname)
    else:
        is_valid = parts.scheme in schemes and bool(parts.hostname)
    if not is_valid:
        raise ConfigurationError(
            f"The URL ({url.source}) must have the form {form}. {env.setup_hint}"
        )
    return parts


def _read_file(given: Sourced) -> Sourced:
    if isinstance(given.value, SecretFile):
        return Sourced(given.value(), given.source)
    return given


def _make_token(token: Sourced) -> Secret:
    name = "TOKEN" if token.source == "OPTIONS" else token.source
    value = _read_file(token).value
    if not isinstance(value, str):
        # The registry finds a database by its configuration, which contains the callable.
        if callable(value) and isinstance(value, Hashable):
            return Secret(cast("Callable[[], Any]", value))
        raise ConfigurationError(
            f"{name} must be a string or a callable that is hashable, such as a function, not "
            f"{type(value).__name__}."
        )
    if problem := find_token_problem(value):
        raise ConfigurationError(f"{name} {problem}")
    return Secret(token.value if isinstance(token.value, SecretFile) else strip_quotes(value))
