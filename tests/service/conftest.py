from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from continuum_upstash import AsyncUpstashCache, UpstashCache
from continuum_upstash.emulator.emulator_options import Addresses
from continuum_upstash.emulator.process import Emulator
from continuum_upstash.observe import CommandDetails, subscribe, unsubscribe
from continuum_upstash.plans.command_table import list_written_keys
from continuum_upstash.plans.effects import Batch
from continuum_upstash.ratelimit.engine.script import CHECK
from continuum_upstash.transports import registry
from tests.service.catalogue import Assumption, get_assumption
from tests.service.counter import CommandCounter, count_billed, declare_calls
from tests.service.rest_client import NoConnection, RestClient
from tests.service.target import Target, describe_emulator, new_prefix
from tests.service.tcp_client import TcpConnection, to_text

NO_REST = "the REST API is not examined: no REST URL"
NO_TCP = "TCP is not examined: set UPSTASH_REDIS_URL"


# ---- the report of a test


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--only", default="", help="ids of assumptions, or their beginnings")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = tuple(filter(None, config.getoption("--only", "").split(",")))
    if wanted:
        items[:] = [item for item in items if _get_id(item).startswith(wanted)]


def _get_id(item: pytest.Item) -> str:
    assumption = get_assumption(getattr(item, "function", None))
    return "" if assumption is None else assumption.id


def pytest_itemcollected(item: pytest.Item) -> None:
    assumption = get_assumption(getattr(item, "function", None))
    if assumption is not None and assumption.alone:
        item.add_marker("alone")


def pytest_assertrepr_compare(op: str, left: object, right: object) -> list[str] | None:
    if op not in {"==", "is"}:
        return None
    return [f"the service returned {left!r}", f"expected {right!r}"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    exchanges = item.stash.get(EXCHANGES, None)
    if report.failed and exchanges:
        report.user_properties.append(("exchanges", list(exchanges)))
    return report


EXCHANGES = pytest.StashKey[Any]()


# ---- the database


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Target:
    """The database that the runner has chosen; under plain pytest, an emulator."""
    chosen = Target.from_variable()
    if chosen is not None:
        return chosen
    emulator: Emulator = request.getfixturevalue("upstash_emulator")
    return describe_emulator(emulator.addresses, "upstash", new_prefix())


@pytest.fixture
def assumption(request: pytest.FixtureRequest) -> Assumption:
    found = get_assumption(request.function)
    assert found is not None, "a test of this folder is decorated with @assume"
    return found


@pytest.fixture(autouse=True)
def _skip_what_is_not_promised(assumption: Assumption, target: Target) -> None:
    if target.profile not in assumption.profiles:
        pytest.skip(f"not promised by the profile {target.profile}")


@pytest.fixture
def counter(
    assumption: Assumption, record_property: Callable[[str, object], None]
) -> Iterator[CommandCounter]:
    counter = CommandCounter(assumption.commands)
    yield counter
    record_property("commands", counter.count)
    counter.check()


# ---- keys


class Keys:
    """The names of the keys of one test. They are deleted after it."""

    def __init__(self, prefix: str, journal: Path | None) -> None:
        self.prefix = prefix
        self.names: list[str] = []
        self._journal = journal

    def __call__(self, suffix: str = "key") -> str:
        """Return the name of a key, which ends in `suffix`."""
        return self.add(self.prefix + suffix)

    def add(self, name: str) -> str:
        """Delete a key at the end of the test, whose name the package has chosen."""
        if name not in self.names:
            self.names.append(name)
            if self._journal is not None:
                with self._journal.open("a", encoding="utf-8") as file:
                    file.write(name + "\n")
        return name


@pytest.fixture
def make_key(
    request: pytest.FixtureRequest,
    target: Target,
    record_property: Callable[[str, object], None],
) -> Iterator[Keys]:
    journal = Path(target.journal, f"{secrets.token_hex(8)}.keys") if target.journal else None
    test = re.sub(r"\W+", "-", request.node.name).removeprefix("test_").strip("-")
    keys = Keys(f"{target.prefix}{test}:", journal)
    rest = request.getfixturevalue("rest_connection") if target.rest_url else None
    yield keys
    if keys.names:
        record_property("deletions", 1)
        with suppress(NoConnection, OSError, ValueError):  # the runner deletes what is left
            _delete(target, rest, keys.names)


def _delete(target: Target, rest: RestClient | None, names: list[str]) -> None:
    counter = CommandCounter(1)
    if rest is not None:
        rest.counter = counter
        rest.call("DEL", *names)
        return
    with TcpConnection(target.redis_url, counter) as connection:
        connection.authenticate()
        connection.call("DEL", *names)


@pytest.fixture
def key(make_key: Keys) -> str:
    return make_key()


# ---- clients that share no code with the package


@pytest.fixture(scope="session")
def rest_connection(target: Target) -> Iterator[RestClient]:
    client = RestClient(target.rest_url, target.token, CommandCounter(0))
    yield client
    client.close()


@pytest.fixture
def rest(request: pytest.FixtureRequest, target: Target, counter: CommandCounter) -> RestClient:
    """The REST API."""
    if not target.rest_url:
        pytest.skip(NO_REST)
    client: RestClient = request.getfixturevalue("rest_connection")
    client.counter = counter
    client.exchanges.clear()
    client.sync_token = ""
    request.node.stash[EXCHANGES] = client.exchanges
    return client


@pytest.fixture
def connect(target: Target, counter: CommandCounter) -> Iterator[Callable[..., TcpConnection]]:
    """Return a function that opens a TCP connection on which nothing has been sent yet."""
    if not target.redis_url or target.profile == "srh":
        pytest.skip(NO_TCP)
    opened: list[TcpConnection] = []

    def connect(url: str = target.redis_url) -> TcpConnection:
        try:
            opened.append(TcpConnection(url, counter))
        except OSError as error:
            pytest.skip(f"no TCP connection: {type(error).__name__}: {error}")
        return opened[-1]

    yield connect
    for connection in opened:
        connection.close()


@pytest.fixture
def tcp(connect: Callable[..., TcpConnection]) -> TcpConnection:
    """An authenticated TCP connection."""
    connection = connect()
    reply = connection.authenticate()
    if reply != "OK":
        pytest.skip(f"the password of TCP is not accepted: {reply!r}")
    return connection


@pytest.fixture(params=["rest", "tcp"])
def call(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """Send a command with ASCII arguments; return text, integers, None, lists or an ErrorReply."""
    if request.param == "rest":
        client: RestClient = request.getfixturevalue("rest")
        return client.call
    connection: TcpConnection = request.getfixturevalue("tcp")
    return lambda *words: to_text(connection.call(*words))


# ---- the package


@pytest.fixture(params=["rest", "tcp"])
def settings_of_client(request: pytest.FixtureRequest, target: Target) -> dict[str, Any]:
    """The arguments of UpstashCache for each transport."""
    if request.param == "rest":
        if not target.rest_url:
            pytest.skip(NO_REST)
        arguments = {"rest_url": target.rest_url, "rest_token": target.token, "mode": "rest"}
    else:
        request.getfixturevalue("tcp")
        arguments = {"redis_url": target.redis_url, "mode": "redis"}
    # A name of its own: no circuit breaker is shared with another test.
    options = {"fallback": False, "read_timeout": 8.0, "connect_timeout": 8.0}
    return {**arguments, **options, "name": request.node.name}


@pytest.fixture
def observe_package(counter: CommandCounter, make_key: Keys) -> Iterator[None]:
    """Count the commands that the package has sent, and note the keys that it has written."""
    _declare_calls_of_limiter()

    def observe(record: object) -> None:
        if isinstance(record, CommandDetails):
            for key in list_written_keys(Batch(record.commands)) or ():
                make_key.add(key)
            counter.count += sum(map(count_billed, map(_reveal_scripts, record.commands)))

    subscribe(observe)
    yield
    unsubscribe(observe)


def _declare_calls_of_limiter() -> None:
    # TIME, a read, and at most two writes for the one policy of a test.
    for source in (CHECK.lua, CHECK.with_key_locking_flag):
        declare_calls(source, 4)


def _reveal_scripts(command: Any) -> list[Any]:
    return [word.source(key_locking=True) if hasattr(word, "source") else word for word in command]


@pytest.fixture
def cache(settings_of_client: dict[str, Any], observe_package: None) -> Iterator[UpstashCache]:
    with UpstashCache(**settings_of_client) as cache:
        yield cache


@pytest.fixture
async def acache(settings_of_client: dict[str, Any], observe_package: None) -> Any:
    async with AsyncUpstashCache(**settings_of_client) as cache:
        yield cache


@pytest.fixture(params=["rest", "tcp"])
def django_site(
    request: pytest.FixtureRequest,
    target: Target,
    make_key: Keys,
    settings: Any,
    observe_package: None,
) -> Iterator[None]:
    """CACHES, sessions and rate limits on the database, over each transport."""
    if request.param == "rest":
        if not target.rest_url:
            pytest.skip(NO_REST)
        entry: dict[str, Any] = {"LOCATION": target.rest_url, "OPTIONS": {"TOKEN": target.token}}
    else:
        request.getfixturevalue("tcp")
        entry = {"LOCATION": target.redis_url, "OPTIONS": {}}
    entry["OPTIONS"] |= {"FALLBACK": False, "READ_TIMEOUT": 8.0, "CONNECT_TIMEOUT": 8.0}
    entry |= {"BACKEND": "continuum_upstash.backend.CacheBackend", "TIMEOUT": 60}
    settings.CACHES = {"default": entry | {"KEY_PREFIX": make_key.prefix.rstrip(":")}}
    settings.SESSION_ENGINE = "continuum_upstash.sessions"
    settings.SESSION_CACHE_ALIAS = "default"
    settings.SESSION_COOKIE_AGE = 60
    settings.SESSION_ALLOW_EVICTION = True
    # The default of 0.25 s is for a database in the region of the site.
    settings.CONTINUUM_RATELIMIT = {"DEADLINE": 8.0}
    yield
    registry.reset()


# ---- what only an emulator can do


@pytest.fixture
def emulator(target: Target) -> Emulator:
    """The emulator, for faults that are never caused on a real database."""
    if target.is_real:
        pytest.skip("never tried on a real database")
    return Emulator(Addresses.parse(target.emulator), process=None)  # type: ignore[arg-type]
