"""Checks of the CACHES entries of this package."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from ssl import CERT_NONE
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qs, unquote, urlsplit

from django.conf import settings
from django.core.cache.backends.base import default_key_func
from django.core.checks import CheckMessage
from django.core.checks.caches import check_file_based_cache_is_absolute
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext, gettext_lazy

from continuum_upstash.cache.django_redis_settings import list_unused_settings
from continuum_upstash.checks.catalogue import check_message
from continuum_upstash.checks.entries import get_entry, get_key_prefix, resolve_entries
from continuum_upstash.config.django_redis import select_url
from continuum_upstash.config.environment import make_setup_hint
from continuum_upstash.config.hashable import from_hashable
from continuum_upstash.config.resolve import Config
from continuum_upstash.config.secrets import SecretFile, strip_quotes
from continuum_upstash.config.urls import is_private, split_url
from continuum_upstash.keys import AliasPattern, make_alias_pattern

_UNVERIFIED: Final = (None, "none", CERT_NONE)  # redis-py's values of ssl_cert_reqs
_PLATFORMS: Final = {"VERCEL": "Vercel", "AWS_LAMBDA_FUNCTION_NAME": "Lambda"}
# Keys whose current value matters: a near cache would return an outdated one.
_UNCOPIED: Final = {
    "session:": gettext_lazy("sessions"),
    "ratelimit:": gettext_lazy("rate limits"),
    "django.contrib.sessions.": gettext_lazy("sessions of Django's engines"),
    "throttle_": gettext_lazy("rate limits of the REST framework"),
}
_LONG_TIMEOUT: Final = 10.0  # seconds: the shortest default limit among serverless platforms

_Messages: TypeAlias = Iterator[CheckMessage]


def check_file_based_caches(**options: Any) -> list[CheckMessage]:
    """Django's check, which creates every cache: E002 reports those that cannot be created."""
    try:
        return list(check_file_based_cache_is_absolute(options.pop("app_configs", None), **options))
    except ImproperlyConfigured:
        return []


def check_caches(**_: Any) -> list[CheckMessage]:
    """Check for what is wrong in development and production."""
    configs, errors = resolve_entries()
    found = [check_message("E002", str(error)) for error in errors]
    for config in configs.values():
        for check in _CHECKS:
            found += check(config)
    found += _check_shared_databases(configs)
    if configs:
        has_tcp = any(config.mode == "redis" for config in configs.values())
        found += [check_message("W022", text) for text in list_unused_settings(has_tcp=has_tcp)]
    return found


def check_caches_in_production(**_: Any) -> list[CheckMessage]:
    """Check for what is wrong in production; ``manage.py check --deploy``."""
    configs, _errors = resolve_entries()  # check_caches reports the errors
    return [
        message
        for config in configs.values()
        for check in _CHECKS_IN_PRODUCTION
        for message in check(config)
    ]


def check_credentials(config: Config) -> _Messages:
    if config.unconfigured:
        others = config.setup_hint.removeprefix(make_setup_hint(config.env_prefix))
        text = gettext("no credentials are set, so each process uses its own local store.")
        # The test runner sets DEBUG to False.
        is_test_run = sys.argv[1:2] == ["test"]
        check_id = "W001" if settings.DEBUG or is_test_run else "E001"
        yield check_message(check_id, text + others, config.alias, config.env_prefix)


def _check_encryption(config: Config) -> _Messages:
    for url in (config.rest_url, config.redis_url and config.redis_url.reveal()):
        scheme = (url or "").partition(":")[0].lower()
        if scheme in {"http", "redis"} and not is_private(config.host):
            text = gettext("the connection to {host} is not encrypted.")
            yield check_message("E004", text.format(host=config.host), config.alias)


def _check_read_only_token(config: Config) -> _Messages:
    name = f"{config.env_prefix}KV_REST_API_READ_ONLY_TOKEN"
    read_only = strip_quotes(os.environ.get(name, ""))
    if read_only and read_only in _list_known_secrets(config):
        text = gettext("the token is the value of {name}.").format(name=name)
        yield check_message("W012", text, config.alias)


def _list_known_secrets(config: Config) -> Iterator[str]:
    """Yield the token and the password, without a call of a user's function."""
    if config.token is not None and isinstance(config.token.value, (str, SecretFile)):
        yield config.token.reveal()
    if config.redis_url is not None and (parts := split_url(config.redis_url.reveal())):
        yield unquote(parts.password or "")


def _check_near(config: Config) -> _Messages:
    limits = getattr(settings, "RATELIMIT_CACHE_PREFIX", "rl:")  # of django-ratelimit
    for prefix, _seconds in config.near:
        families = {**_UNCOPIED, limits: gettext_lazy("rate limits of django-ratelimit")}
        for family, name in families.items():
            if prefix.startswith(family) or family.startswith(prefix):
                text = gettext("{entry} includes the keys {family}…: {name}.").format(
                    entry=f"NEAR[{prefix!r}]", family=family, name=name
                )
                yield check_message("E023", text, config.alias)


def _report_sources(config: Config) -> _Messages:
    name_source = gettext("{name} from {source}")
    sources = ", ".join(
        name_source.format(name=name, source=source) for name, source in config.sources
    )
    text = f"{config.mode}{': ' if sources else ''}{sources}"
    yield check_message("I030", text, config.alias)


def _check_secrets_in_settings(config: Config) -> _Messages:
    entry = get_entry(config.alias)
    token = entry.get("OPTIONS", {}).get("TOKEN")
    if isinstance(token, str) and token not in os.environ.values():
        text = gettext("the token is written in the settings.")
        yield check_message("W010", text, config.alias)
    if urlsplit(select_url(entry.get("LOCATION", "")) or "").password:
        text = gettext("LOCATION contains a password, which Django's error pages show.")
        yield check_message("W011", text, config.alias)


def _check_certificates(config: Config) -> _Messages:
    url = config.redis_url.reveal() if config.redis_url else ""
    pool = from_hashable(config.redis_options).get("CONNECTION_POOL_KWARGS") or {}
    values = [
        *parse_qs(urlsplit(url).query).get("ssl_cert_reqs", ()),
        pool.get("ssl_cert_reqs", "required"),
    ]
    if config.mode == "redis" and any(value in _UNVERIFIED for value in values):
        text = gettext("the certificate of {host} is not verified.")
        yield check_message("W019", text.format(host=config.host), config.alias)


def _check_missing_expiry(config: Config) -> _Messages:
    entry = get_entry(config.alias)
    if entry.get("TIMEOUT", 300) is None and not config.ttl_by_prefix and config.mode != "local":
        text = gettext("keys never expire: TIMEOUT is None and TTL_BY_PREFIX is empty.")
        yield check_message("W014", text, config.alias)


def _check_read_timeout(config: Config) -> _Messages:
    platform = next((name for variable, name in _PLATFORMS.items() if variable in os.environ), None)
    if platform and config.read_timeout >= _LONG_TIMEOUT:
        text = gettext("READ_TIMEOUT is {seconds} s, and {platform} may end the request first.")
        text = text.format(seconds=f"{config.read_timeout:g}", platform=platform)
        yield check_message("W015", text, config.alias)


def _check_local_mode(config: Config) -> _Messages:
    if config.mode == "local" and not config.unconfigured:
        text = gettext("MODE is local, so each process has its own cache.")
        yield check_message("W017", text, config.alias)


def _check_shared_databases(configs: Mapping[str, Config]) -> _Messages:
    for one, other in combinations(configs.values(), 2):
        if one.server_identity != other.server_identity or not one.server_identity:
            continue
        if get_key_prefix(one.alias) != get_key_prefix(other.alias):
            yield from _check_similar_prefixes(one.alias, other.alias)
            continue
        if one.serializer != other.serializer or one.pickle != other.pickle:
            check_id = "E003"
            text = gettext(
                "'{one}' and '{other}' share a database and a KEY_PREFIX, but differ in "
                "SERIALIZER or PICKLE."
            )
        else:
            check_id = "W003"
            text = gettext("'{one}' and '{other}' share a database and a KEY_PREFIX.")
        yield check_message(check_id, text.format(one=one.alias, other=other.alias))


def _check_similar_prefixes(one: str, other: str) -> _Messages:
    """Report a prefix that `clear` cannot distinguish from another one and a version."""
    if any("KEY_FUNCTION" in get_entry(alias) for alias in (one, other)):
        return  # it may accept only its application's own keys
    for alias, nested in ((one, other), (other, one)):
        if _make_pattern(alias).own_versions.fullmatch(_make_pattern(nested).sample):
            prefix = get_key_prefix(nested)
            text = gettext(
                "keys with the KEY_PREFIX '{prefix}' of '{nested}' look like keys of '{alias}', "
                "whose clear() would delete them."
            )
            yield check_message("W024", text.format(prefix=prefix, nested=nested, alias=alias))


def _make_pattern(alias: str) -> AliasPattern:
    version = get_entry(alias).get("VERSION", 1)
    return make_alias_pattern(default_key_func, get_key_prefix(alias), version)


_Check: TypeAlias = Callable[[Config], _Messages]
_CHECKS: Final[tuple[_Check, ...]] = (
    check_credentials,
    _check_encryption,
    _check_read_only_token,
    _check_near,
)
_CHECKS_IN_PRODUCTION: Final[tuple[_Check, ...]] = (
    _check_secrets_in_settings,
    _check_certificates,
    _check_missing_expiry,
    _check_read_timeout,
    _check_local_mode,
    _report_sources,
)
