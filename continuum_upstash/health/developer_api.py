"""Upstash's Developer API: what the account says about a database and its bill.

https://upstash.com/docs/devops/developer-api. Only GET requests are sent, so a read-only API key is
sufficient. Requests are not billed. Everything in a response is checked before it is used, and no
credentials of the database are kept.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from continuum_upstash.config.proxies import find_proxy
from continuum_upstash.config.secrets import Secret, find_token_problem, strip_quotes
from continuum_upstash.config.urls import is_loopback, is_private, split_url
from continuum_upstash.errors import ConfigurationError, ContinuumError
from continuum_upstash.stats.conf import get_setting
from continuum_upstash.transports.base import Deadline
from continuum_upstash.transports.tracebacks import HiddenLibraryFrames

if TYPE_CHECKING:
    import httpx

EMAIL: Final = "UPSTASH_EMAIL"
API_KEY: Final = "UPSTASH_API_KEY"
URL: Final = "UPSTASH_API_URL"
_DEFAULT_URL: Final = "https://api.upstash.com"
_DEADLINE_SECONDS: Final = 5.0  # for both requests
_MAX_BYTES: Final = 4 * 1024 * 1024  # of a response; an entry of the list takes about 1 kB
_MAX_TEXT: Final = 200  # characters of a field
_MAX_INTEGER: Final = 2**63
_ADVICE: Final[Mapping[int, str]] = {
    401: f"it rejects the e-mail address or the API key. Correct {EMAIL} and {API_KEY}; the key is "
    "created in the console under Account, Management API.",
    403: "the API key may not read this. Create a key of the account that owns the database; a "
    "read-only key is sufficient.",
    404: "it does not know this address. Accounts that Vercel or Fly created have no Developer "
    "API: look at the usage in their console.",
    429: "too many requests. Try again in a minute.",
}


class AccountUnavailable(ContinuumError):
    """The account's figures cannot be read; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class AccountDatabase:
    """What the account says about a database.

    Attributes:
        database_id, name: of the database.
        plan: ``free``, ``payg`` or another name of Upstash.
        state: ``active``, ``suspended`` or ``passive``.
        created: Unix seconds; 0: unknown.
        evicts: whether a full database evicts keys.
        auto_upgrade: whether it changes to a larger plan at a limit.
        budget: as the console shows it, per month; 0: none.
        primary_region, read_regions: names of regions.
        prod_pack: whether it has the Prod Pack.
        max_commands_per_second, max_commands: the limits; 0: unknown. `max_commands` is per month.
        max_request_bytes, max_record_bytes, max_storage_bytes: the limits; 0: unknown.
    """

    database_id: str
    name: str
    plan: str
    state: str
    created: int
    evicts: bool
    auto_upgrade: bool
    budget: float
    primary_region: str
    read_regions: tuple[str, ...]
    prod_pack: bool
    max_commands_per_second: int
    max_commands: int
    max_request_bytes: int
    max_record_bytes: int
    max_storage_bytes: int


@dataclass(frozen=True, slots=True)
class AccountUsage:
    """What the account says about the use of a database in this month (UTC).

    Attributes:
        commands: billed commands; `reads` and `writes` are parts of them.
        today: billed commands since midnight.
        traffic, storage: bytes.
        dollars: the price so far.
    """

    commands: int
    reads: int
    writes: int
    today: int
    traffic: int
    storage: int
    dollars: float


class DeveloperApi:
    """A client for one account."""

    def __init__(self, email: str, api_key: Secret, url: str = _DEFAULT_URL) -> None:
        """
        Args:
            email: the account's e-mail address.
            api_key: the API key, or a callable that returns it.
            url: without a path; another one than Upstash's is used by tests.

        Raises:
            ConfigurationError: the URL is invalid, or not encrypted and public.
        """
        parts = split_url(url)
        host = (parts.hostname or "") if parts else ""
        is_plain = parts is not None and parts.scheme == "http"
        if parts is None or not host or parts.scheme not in {"http", "https"}:
            raise ConfigurationError(f"The URL of the Developer API is invalid. Correct {URL}.")
        if is_plain and not (is_loopback(host) or is_private(host)):
            raise ConfigurationError(
                f"The URL of the Developer API would send the API key to {host} without TLS. "
                f"Write https:// in {URL}."
            )
        self._email, self._api_key, self._url = email, api_key, url.rstrip("/")
        self._host = host

    def __repr__(self) -> str:
        return f"<DeveloperApi of {self._host}>"

    def read(self, host: str) -> tuple[AccountDatabase, AccountUsage]:
        """Return the database with this host, and its use; three requests, none of them billed.

        Raises:
            AccountUnavailable: the API cannot be used, or the account has no such database.
        """
        with HiddenLibraryFrames():
            key = self._reveal_key()
            import httpx  # noqa: PLC0415 takes 0.1 s, and few processes need it

            from continuum_upstash.transports.rest.httpx_deadline import (  # noqa: PLC0415 as above
                ThreadDeadline,
                install_deadline,
            )

            deadline = ThreadDeadline()
            try:
                with (
                    deadline.apply(Deadline(_DEADLINE_SECONDS)),
                    httpx.Client(auth=(self._email, key), **self._make_settings()) as client,
                ):
                    install_deadline(client, deadline)
                    return self._read(client, host)
            except (httpx.HTTPError, TimeoutError) as error:
                raise AccountUnavailable(
                    f"Developer API: no response from {self._host} ({type(error).__name__}). "
                    "Try again later."
                ) from None
            except (httpx.InvalidURL, UnicodeError):
                raise AccountUnavailable(
                    "Developer API: the e-mail address or the URL has characters that cannot be "
                    f"sent. Correct {EMAIL} and {URL}."
                ) from None

    def _make_settings(self) -> dict[str, Any]:
        import httpx  # noqa: PLC0415 as in `read`

        settings: dict[str, Any] = {
            "timeout": _DEADLINE_SECONDS,
            "trust_env": False,
            "headers": {"Accept-Encoding": "identity"},
        }
        if self._url.startswith("https:"):
            from continuum_upstash.transports.sockets import get_https_context  # noqa: PLC0415 may lack ssl

            settings["verify"] = get_https_context(None)
        if (proxy := find_proxy(os.environ, self._url)) is not None:
            settings["proxy"] = httpx.Proxy(proxy.url, auth=proxy.auth)
        return settings

    def _reveal_key(self) -> str:
        try:
            key = self._api_key.reveal()
        except Exception as error:
            raise AccountUnavailable(
                f"Developer API: the callable API_KEY raised {type(error).__name__}. Correct it."
            ) from error
        if problem := find_token_problem(str(key)):
            raise AccountUnavailable(f"Developer API: {API_KEY} {problem}")
        return key

    def _read(self, client: httpx.Client, host: str) -> tuple[AccountDatabase, AccountUsage]:
        found = self._get(client, "redis/databases")
        if not isinstance(found, list):
            raise _make_malformed_error("the list of databases")
        entry = next((each for each in found if _has_endpoint(each, host)), None)
        if entry is None:
            raise AccountUnavailable(
                f"Developer API: none of the account's {len(found):,} databases has the host "
                f"{host}. Use an API key of the account or team that owns the database. Accounts "
                "that Vercel or Fly created have no Developer API."
            )
        path = quote(_Fields(entry).read_text("database_id"), safe="")
        details = self._get(client, f"redis/database/{path}?credentials=hide")
        return decode_database(details), decode_usage(self._get(client, f"redis/stats/{path}"))

    def _get(self, client: httpx.Client, path: str) -> Any:
        size, parts = 0, []
        with client.stream("GET", f"{self._url}/v2/{path}") as response:
            if response.status_code != 200:
                advice = _ADVICE.get(response.status_code, "Try again later.")
                raise AccountUnavailable(
                    f"Developer API of {self._host}: status {response.status_code}: {advice}"
                )
            for part in response.iter_raw():
                size += len(part)
                if size > _MAX_BYTES:
                    raise _make_malformed_error("a response that is too large")
                parts.append(part)
        try:
            return json.loads(b"".join(parts))
        except (ValueError, RecursionError):
            raise _make_malformed_error("text that is no JSON") from None


def load_developer_api() -> DeveloperApi:
    """Return the client that CONTINUUM_STATS["ACCOUNT"] or the environment configures.

    Raises:
        AccountUnavailable: there is no e-mail address or no API key.
        ConfigurationError: they are invalid.
    """
    account = _get_account()
    email = strip_quotes(str(account.get("EMAIL") or os.environ.get(EMAIL, "")))
    key: str | Callable[[], Any] = account.get("API_KEY") or os.environ.get(API_KEY, "")
    if isinstance(key, str):
        key = strip_quotes(key)
    missing = [name for name, value in ((EMAIL, email), (API_KEY, key)) if not value]
    if missing:
        raise AccountUnavailable(
            f"no key: set {' and '.join(missing)} (a read-only API key of the Upstash console is "
            "sufficient)"
        )
    url = strip_quotes(str(account.get("URL") or os.environ.get(URL, "") or _DEFAULT_URL))
    return DeveloperApi(email, Secret(key), url)


def has_credentials() -> bool:
    """Return whether there are an e-mail address and an API key, or one of them."""
    account = _get_account()
    return any((account.get("EMAIL"), account.get("API_KEY"))) or any(
        os.environ.get(name, "").strip() for name in (EMAIL, API_KEY)
    )


def _get_account() -> Mapping[str, Any]:
    account = get_setting("ACCOUNT")
    return account if isinstance(account, Mapping) else {}  # check E006 reports it


def decode_database(value: object) -> AccountDatabase:
    """
    Raises:
        AccountUnavailable: a field is missing or has an unexpected type.
    """
    fields = _Fields(value)
    return AccountDatabase(
        database_id=fields.read_text("database_id"),
        name=fields.read_text("database_name"),
        plan=fields.read_text("type"),
        state=fields.read_text("state"),
        created=fields.read_count("creation_time", 0),
        evicts=fields.read_bool("eviction"),
        auto_upgrade=fields.read_bool("auto_upgrade"),
        budget=fields.read_amount("budget", 0),
        primary_region=fields.read_text("primary_region", ""),
        read_regions=fields.read_texts("read_regions"),
        prod_pack=fields.read_bool("prod_pack_enabled"),
        max_commands_per_second=fields.read_count("db_max_commands_per_second", 0),
        max_commands=fields.read_count("db_request_limit", 0),
        max_request_bytes=fields.read_count("db_max_request_size", 0),
        max_record_bytes=fields.read_count("db_max_entry_size", 0),
        max_storage_bytes=fields.read_count("db_disk_threshold", 0),
    )


def decode_usage(value: object) -> AccountUsage:
    """
    Raises:
        AccountUnavailable: a field is missing or has an unexpected type.
    """
    fields = _Fields(value)
    return AccountUsage(
        commands=fields.read_count("total_monthly_requests"),
        reads=fields.read_count("total_monthly_read_requests", 0),
        writes=fields.read_count("total_monthly_write_requests", 0),
        today=fields.read_count("daily_net_commands", 0),
        traffic=fields.read_count("total_monthly_bandwidth", 0),
        storage=fields.read_count("current_storage", 0),
        dollars=fields.read_amount("total_monthly_billing"),
    )


def _has_endpoint(entry: object, host: str) -> bool:
    """Return whether an entry of the list has a host, of which it may contain the first label."""
    endpoint = entry.get("endpoint") if isinstance(entry, dict) else None
    if not isinstance(endpoint, str) or not endpoint:
        return False
    endpoint, host = endpoint.lower().rstrip("."), host.lower().rstrip(".")
    return endpoint == host or ("." not in endpoint and host == f"{endpoint}.upstash.io")


def _make_malformed_error(found: str) -> AccountUnavailable:
    return AccountUnavailable(
        f"Developer API: unexpected response, {found}. Try again later, or upgrade this package."
    )


class _Fields:
    """Reads the fields of a JSON object. Without a default, a field is required; null is none."""

    def __init__(self, value: object) -> None:
        if not isinstance(value, dict):
            raise _make_malformed_error("no object")
        self._values = value

    def read_text(self, name: str, default: str | None = None) -> str:
        value = self._values.get(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or len(value) > _MAX_TEXT or not value.isprintable():
            raise _make_malformed_error(f"no text in {name}")
        return value

    def read_texts(self, name: str) -> tuple[str, ...]:
        values = self._values.get(name)
        if values is None:
            return ()
        if not isinstance(values, Sequence) or isinstance(values, str) or len(values) > 100:
            raise _make_malformed_error(f"no list in {name}")
        return tuple(_Fields({name: each}).read_text(name) for each in values)

    def read_bool(self, name: str) -> bool:
        value = self._values.get(name, False)
        if value is not None and not isinstance(value, bool):
            raise _make_malformed_error(f"neither true nor false in {name}")
        return bool(value)

    def read_count(self, name: str, default: int | None = None) -> int:
        return int(self.read_amount(name, default))

    def read_amount(self, name: str, default: float | None = None) -> float:
        value = self._values.get(name)
        if value is None and default is not None:
            return default
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not 0 <= value < _MAX_INTEGER:  # type: ignore[operator]  # a number
            raise _make_malformed_error(f"no number in {name}")
        assert isinstance(value, (int, float))
        return value
