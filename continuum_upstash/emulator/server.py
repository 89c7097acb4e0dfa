"""Puts the emulator together and takes it down again."""

import asyncio
import os
import signal
import ssl
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from urllib.parse import quote

from continuum_upstash.emulator.commands.command_specs import Catalogue
from continuum_upstash.emulator.commands.engine import Engine, Limits
from continuum_upstash.emulator.commands.info import Information, read_figures
from continuum_upstash.emulator.faults.controller import Entrance, Switchboard
from continuum_upstash.emulator.faults.lagging_replica import Replica
from continuum_upstash.emulator.faults.model import Faults, Side
from continuum_upstash.emulator.faults.read_routing import Views
from continuum_upstash.emulator.http.app import RestApi
from continuum_upstash.emulator.http.auth import Tokens
from continuum_upstash.emulator.http.control_api import Control
from continuum_upstash.emulator.listeners import Door, HttpSide
from continuum_upstash.emulator.options import Addresses, BadOption, Options, new_secret
from continuum_upstash.emulator.redis import embedded_valkey
from continuum_upstash.emulator.redis.connection import Address, Pool, UpstreamError
from continuum_upstash.emulator.redis.resp2 import Error
from continuum_upstash.emulator.tcp_proxy import TcpProxy
from continuum_upstash.emulator.usage import Ledger


@asynccontextmanager
async def emulator(options: Options, faults: Faults) -> AsyncIterator[Addresses]:
    """Run an emulator until the block ends.

    Raises PortTaken, ValkeyUnavailable, UpstreamError, BadOption.
    """
    async with AsyncExitStack() as cleanup:
        redis = await _redis(options, cleanup)
        pool = Pool(redis)
        cleanup.callback(pool.close)
        ledger = Ledger()
        engine = await _engine(pool, ledger, options)
        views = Views(pool)
        replica = Replica(redis, views, ledger, embedded=not options.redis_url)
        cleanup.push_async_callback(replica.catch_up)
        tokens = Tokens(options.token, options.read_only_token)
        tls = _tls(options)

        api = RestApi(
            engine=engine, views=views, redis=redis, tokens=tokens, ledger=ledger, faults=faults
        )
        rest = HttpSide(api, ledger, options.keep_alive)
        proxy = TcpProxy(redis, ledger, faults)
        entrances = [
            Entrance(Side.REST, Door(options.host, options.port, rest.accept, tls), rest.reset_all),
            Entrance(
                Side.TCP, Door(options.host, options.redis_port, proxy.accept, tls), proxy.reset_all
            ),
        ]
        switchboard = Switchboard(faults, entrances, replica)
        private = HttpSide(Control(pool, tokens, ledger, switchboard), None, options.keep_alive)
        control = Entrance(
            Side.REST, Door(options.host, options.control_port, private.accept), private.reset_all
        )
        for entrance in (*entrances, control):
            cleanup.callback(entrance.reset_all)
            cleanup.callback(entrance.door.close)
        await control.door.open()
        await switchboard.start()
        yield _addresses(options, redis, *(entrance.door for entrance in (*entrances, control)))


async def _redis(options: Options, cleanup: AsyncExitStack) -> Address:
    if options.redis_url:
        return Address.from_url(options.redis_url)
    embedded = await embedded_valkey.start(
        new_secret(), options.read_only_token, evict=options.eviction
    )
    cleanup.callback(embedded.stop)
    return embedded.address


async def _engine(pool: Pool, ledger: Ledger, options: Options) -> Engine:
    async with pool.connection() as connection:
        commands, memory = await connection.send([(b"COMMAND",), (b"INFO", b"memory")])
        if isinstance(commands, Error):
            raise UpstreamError(f"the Redis behind must allow COMMAND: {commands.decode()}")
        baseline = int(read_figures(memory.decode())["used_memory"])
        if not options.redis_url:
            limit = b"%d" % (baseline + options.max_data_size)
            await connection.send([(b"CONFIG", b"SET", b"maxmemory", limit)])
        await ledger.reset(connection)
    information = Information(
        baseline=baseline, max_data_size=options.max_data_size, evict=options.eviction
    )
    limits = Limits(options.max_request_size, options.max_data_size)
    return Engine(Catalogue(commands), ledger, information, limits)


def _tls(options: Options) -> ssl.SSLContext | None:
    if not options.ssl_certfile:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(options.ssl_certfile, options.ssl_keyfile or None)
    except OSError as error:  # ssl.SSLError is one too
        files = " and ".join(filter(None, (options.ssl_certfile, options.ssl_keyfile)))
        raise BadOption(f"cannot use the certificate in {files}: {error}") from error
    return context


def _addresses(options: Options, redis: Address, rest: Door, tcp: Door, control: Door) -> Addresses:
    host = f"[{options.host}]" if ":" in options.host else options.host
    secure = "s" if options.ssl_certfile else ""
    login = f"{redis.username or 'default'}:{quote(redis.password, safe='')}@"
    return Addresses(
        rest_url=f"http{secure}://{host}:{rest.port}",
        token=options.token,
        read_only_token=options.read_only_token,
        redis_url=f"redis{secure}://{login if redis.password else ''}{host}:{tcp.port}",
        control_url=f"http://{host}:{control.port}",
    )


async def serve(options: Options, faults: Faults, *, until_stdin_closes: bool) -> None:
    """Run the emulator until it is told to stop."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        # Not by the loop's add_signal_handler, which Windows lacks.
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopped.set))
    if until_stdin_closes:
        watch = threading.Thread(target=_watch_stdin, args=(loop, stopped), daemon=True)
        watch.start()
    async with emulator(options, faults) as addresses:
        print(addresses.line(), flush=True)  # noqa: T201 - the contract with whoever started us
        await stopped.wait()


def _watch_stdin(loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    # Not by sys.stdin: a thread that waits inside it aborts the interpreter's shutdown.
    while os.read(0, 1024):
        pass
    with suppress(RuntimeError):  # the loop has ended for another reason
        loop.call_soon_threadsafe(stopped.set)
