"""Builds, starts and stops an emulator."""

import asyncio
import os
import signal
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import quote

from continuum_upstash.emulator.commands.command_specs import CommandSpecs
from continuum_upstash.emulator.commands.engine import Engine, SizeLimits
from continuum_upstash.emulator.commands.info_rewriter import InfoRewriter, parse_info
from continuum_upstash.emulator.developer_api import DeveloperAccount, DeveloperApi
from continuum_upstash.emulator.emulator_options import (
    Addresses,
    EmulatorOptions,
    InvalidOption,
    generate_secret,
)
from continuum_upstash.emulator.faults.controller import FaultController, PublicPort
from continuum_upstash.emulator.faults.lagging_replica import LaggingReplica
from continuum_upstash.emulator.faults.model import Faults, Side
from continuum_upstash.emulator.faults.read_routing import ReadRouter
from continuum_upstash.emulator.http.app import RestApi
from continuum_upstash.emulator.http.auth import RestTokens
from continuum_upstash.emulator.http.control_api import ControlApi
from continuum_upstash.emulator.listeners import HttpAcceptor, Listener
from continuum_upstash.emulator.redis import embedded_valkey
from continuum_upstash.emulator.redis.resp2_wire import Error
from continuum_upstash.emulator.redis.upstream import Address, UpstreamError, UpstreamPool
from continuum_upstash.emulator.tcp.session import SessionFactory
from continuum_upstash.emulator.tcp.tcp_server import TcpServer
from continuum_upstash.emulator.usage import UsageCounter

if TYPE_CHECKING:
    from continuum_upstash.emulator.qstash.deliveries import Deliveries


@asynccontextmanager
async def run_emulator(options: EmulatorOptions, faults: Faults) -> AsyncIterator[Addresses]:
    """Run an emulator until the block ends.

    Raises:
        PortInUse, ValkeyUnavailable, UpstreamError, InvalidOption: it cannot start.
    """
    async with AsyncExitStack() as cleanup:
        redis = await _start_redis(options, cleanup)
        pool = UpstreamPool(redis)
        cleanup.callback(pool.close)
        usage = UsageCounter()
        engine = await _build_engine(pool, usage, options)
        router = ReadRouter(pool)
        replica = LaggingReplica(redis, router, usage, embedded=not options.redis_url)
        cleanup.push_async_callback(replica.stop_lag)
        tokens = RestTokens(options.token, options.read_only_token)
        tls = _load_tls(options)

        api = RestApi(
            engine=engine, router=router, redis=redis, tokens=tokens, usage=usage, faults=faults
        )
        tcp = TcpServer(SessionFactory(engine, redis, tokens, faults), usage, faults)
        tcp_listener = Listener(options.host, options.redis_port, tcp.accept, tls)
        ports = [PublicPort(Side.TCP, tcp_listener, tcp.reset_all)]
        if options.get_profile().has_rest:
            rest = HttpAcceptor(api, usage, options.keep_alive)
            rest_listener = Listener(options.host, options.port, rest.accept, tls)
            ports.append(PublicPort(Side.REST, rest_listener, rest.reset_all))
        controller = FaultController(faults, ports, replica)
        developer_api = _build_developer_api(options, pool, usage, engine)
        qstash_url, deliveries = await _start_qstash(options, cleanup)
        control_api = ControlApi(
            pool, tokens, usage, controller, developer_api=developer_api, deliveries=deliveries
        )
        control = HttpAcceptor(control_api, None, options.keep_alive)
        control_listener = Listener(options.host, options.control_port, control.accept)
        for port in ports:
            cleanup.callback(port.reset_all)
            cleanup.callback(port.listener.close)
        cleanup.callback(control.reset_all)
        cleanup.callback(control_listener.close)
        await control_listener.open()
        await controller.start()
        yield _build_addresses(options, ports, control_listener, qstash_url)


async def _start_redis(options: EmulatorOptions, cleanup: AsyncExitStack) -> Address:
    if options.redis_url:
        return Address.from_url(options.redis_url)
    embedded = await embedded_valkey.start(generate_secret(), evict=options.eviction)
    cleanup.callback(embedded.stop)
    return embedded.address


async def _start_qstash(
    options: EmulatorOptions, cleanup: AsyncExitStack
) -> tuple[str, "Deliveries | None"]:
    """Return the URL of QStash and its state; without the option, "" and None."""
    if options.qstash_port is None:
        return "", None
    # By option: they bring httpx, which delivers the messages.
    from continuum_upstash.emulator.qstash.api import QStashApi  # noqa: PLC0415
    from continuum_upstash.emulator.qstash.deliveries import Deliveries  # noqa: PLC0415
    from continuum_upstash.emulator.qstash.signing import TEST_TOKEN  # noqa: PLC0415

    deliveries = Deliveries()
    cleanup.push_async_callback(deliveries.stop)
    http = HttpAcceptor(QStashApi(deliveries, TEST_TOKEN), None, options.keep_alive)
    listener = Listener(options.host, options.qstash_port, http.accept)
    cleanup.callback(http.reset_all)
    cleanup.callback(listener.close)
    await listener.open()
    deliveries.start()
    return f"http://{_format_host(options)}:{listener.port}", deliveries


async def _build_engine(
    pool: UpstreamPool, usage: UsageCounter, options: EmulatorOptions
) -> Engine:
    async with pool.connection() as connection:
        commands, memory = await connection.send([(b"COMMAND",), (b"INFO", b"memory")])
        if isinstance(commands, Error) or not commands:
            reason = commands.decode() if commands else "it returns an empty list"
            raise UpstreamError(f"the Redis server must describe its commands (COMMAND): {reason}")
        baseline = int(parse_info(memory.decode())["used_memory"])
        if not options.redis_url:
            limit = b"%d" % (baseline + options.max_data_size)
            await connection.send([(b"CONFIG", b"SET", b"maxmemory", limit)])
        await usage.reset(connection)
    profile = options.get_profile()
    info = InfoRewriter(
        baseline=baseline,
        max_data_size=options.max_data_size,
        evict=options.eviction,
        redis_version=profile.redis_version,
    )
    limits = SizeLimits(
        options.max_request_size, options.max_data_size, options.refuse_getex_when_full
    )
    specs = CommandSpecs(commands, profile.missing_commands)
    return Engine(specs, usage, info, limits, profile)


def _build_developer_api(
    options: EmulatorOptions, pool: UpstreamPool, usage: UsageCounter, engine: Engine
) -> DeveloperApi:
    account = None
    if options.developer_api:
        try:
            account = DeveloperAccount.parse(options.developer_api)
        except ValueError as error:
            raise InvalidOption(f"--developer-api: {error}") from error
    database = {
        "endpoint": options.host,
        "eviction": options.eviction,
        "db_max_request_size": options.max_request_size,
        "db_disk_threshold": options.max_data_size,
    }
    return DeveloperApi(
        account,
        pool=pool,
        usage=usage,
        specs=engine.specs,
        measure_data=engine.measure_data,
        database=database,
    )


def _load_tls(options: EmulatorOptions) -> ssl.SSLContext | None:
    if not options.ssl_certfile:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(options.ssl_certfile, options.ssl_keyfile or None)
    except OSError as error:  # includes ssl.SSLError
        files = " and ".join(filter(None, (options.ssl_certfile, options.ssl_keyfile)))
        raise InvalidOption(f"cannot load the certificate from {files}: {error}") from error
    return context


def _build_addresses(
    options: EmulatorOptions, ports: list[PublicPort], control: Listener, qstash_url: str
) -> Addresses:
    host = _format_host(options)
    secure = "s" if options.ssl_certfile else ""
    listening = {port.side: port.listener.port for port in ports}
    login = f"default:{quote(options.token, safe='')}"
    has_rest = Side.REST in listening
    return Addresses(
        rest_url=f"http{secure}://{host}:{listening[Side.REST]}" if has_rest else "",
        token=options.token,
        read_only_token=options.read_only_token,
        redis_url=f"redis{secure}://{login}@{host}:{listening[Side.TCP]}",
        control_url=f"http://{host}:{control.port}",
        qstash_url=qstash_url,
    )


def _format_host(options: EmulatorOptions) -> str:
    return f"[{options.host}]" if ":" in options.host else options.host


async def serve(options: EmulatorOptions, faults: Faults, *, until_stdin_closes: bool) -> None:
    """Run the emulator until SIGTERM, SIGINT or, if requested, the end of standard input."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        # loop.add_signal_handler is not available on Windows.
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopped.set))
    if until_stdin_closes:
        watch = threading.Thread(target=_watch_stdin, args=(loop, stopped), daemon=True)
        watch.start()
    async with run_emulator(options, faults) as addresses:
        exports = "" if until_stdin_closes else f"\n{addresses.format_exports()}"
        print(addresses.format_line() + exports, flush=True)  # noqa: T201 - read by the parent process
        await stopped.wait()


def _watch_stdin(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    # os.read, because a thread that waits in sys.stdin aborts the interpreter's shutdown.
    while os.read(0, 1024):
        pass
    with suppress(RuntimeError):  # the loop has already stopped
        loop.call_soon_threadsafe(stopped.set)
