"""A script that fails half-way leaves nothing behind: seen on the service; Valkey keeps the half.

The declared keys are saved in the script's own transaction and put back when it fails. What a
script writes to keys that it did not declare stays, and so does all inside /multi-exec.
"""

from continuum_upstash.emulator.commands.scripts import failed_while_running
from continuum_upstash.emulator.commands.translation import Step, Talk
from continuum_upstash.emulator.redis.connection import Connection
from continuum_upstash.emulator.redis.resp2 import Argv, Error, Reply
from continuum_upstash.emulator.usage import Ledger


def declared_keys(argv: Argv) -> list[bytes]:
    """The keys of EVAL, EVALSHA or FCALL; none where their number makes no sense."""
    if len(argv) < 4 or not argv[2].isdigit():
        return []
    return list(argv[3 : 3 + int(argv[2])])


def undone_on_failure(argv: Argv, ledger: Ledger) -> Step | Talk:
    keys = declared_keys(argv)
    if not keys:
        return Step((argv,))
    save = [command for key in keys for command in ((b"DUMP", key), (b"PEXPIRETIME", key))]

    async def run(connection: Connection) -> Reply:
        _, *queued, results = await connection.send([(b"MULTI",), *save, argv, (b"EXEC",)])
        if isinstance(results, Error):
            return queued[-1]
        ledger.forgive(len(save))
        *saved, reply = results
        if isinstance(reply, Error) and failed_while_running(reply):
            restore = list(map(_restored, keys, saved[::2], saved[1::2]))
            await connection.send([(b"MULTI",), *restore, (b"EXEC",)])
            ledger.forgive(len(restore))
        return reply

    return run


def _restored(key: bytes, dump: bytes | None, expires_at: int) -> Argv:
    if dump is None:
        return (b"DEL", key)
    return (b"RESTORE", key, b"%d" % max(0, expires_at), dump, b"REPLACE", b"ABSTTL")
