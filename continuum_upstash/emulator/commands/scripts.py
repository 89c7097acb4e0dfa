"""Scripts with the service's own flag, `#!lua flags=allow-key-locking`, which Valkey rejects.

The flag is taken off, a check for undeclared keys is put in its place, and the hash of the
original text goes on working.
"""

import re
from hashlib import sha1
from typing import Final

from continuum_upstash.emulator.commands.command_specs import Catalogue
from continuum_upstash.emulator.commands.translation import Step, Talk, Translation, mapped
from continuum_upstash.emulator.redis.connection import Connection
from continuum_upstash.emulator.redis.resp2 import Argv, Error, Reply
from continuum_upstash.emulator.usage import Ledger

_SHEBANG: Final = re.compile(rb"#!lua[ \t]+flags=([\w,\- ]+)\r?\n")
_FLAG: Final = b"allow-key-locking"

# On one line, put before the script's own second line, so that errors name the right line.
_KEY_CHECK: Final = (
    b"local redis=(function() "
    b"local declared={} for _,key in ipairs(KEYS) do declared[key]=true end "
    b"local places={%b} "
    b"local function undeclared(name,...) "
    b"local place=places[string.lower(tostring(name))] "
    b"if place==false then return nil end "
    b"local first,last,step=1,1,1 if place then first,last,step=place[1],place[2],place[3] end "
    b"local count=select('#',...) if last<0 then last=count+1+last end "
    b"for i=first,math.min(last,count),step do local key=tostring((select(i,...))) "
    b'if not declared[key] then return {err="ERR Dynamic keys are not allowed in Lua scripts when '
    b"'allow-key-locking' flag is set. Key was: \"..key} end end end "
    b"local call,pcall=redis.call,redis.pcall "
    b"return setmetatable({"
    b"call=function(...) local e=undeclared(...) if e then error(e) end return call(...) end,"
    b"pcall=function(...) local e=undeclared(...) if e then return e end return pcall(...) end"
    b"},{__index=redis}) end)() "
)


class Scripts:
    def __init__(self, catalogue: Catalogue) -> None:
        self._aliases: dict[bytes, bytes] = {}
        self._check = _KEY_CHECK % b",".join(
            b'["%b"]=%b' % (name, b"{%d,%d,%d}" % place if place[0] else b"false")
            for name, place in sorted(catalogue.key_places().items())
            if place != (1, 1, 1)
        )
        self.translations: dict[bytes, Translation] = {
            b"eval": self._eval,
            b"eval_ro": self._eval,
            b"evalsha": self._evalsha,
            b"evalsha_ro": self._evalsha,
            b"script|exists": self._exists,
            b"script|load": self._load,
        }

    def _eval(self, argv: Argv) -> Step:
        return Step((argv if len(argv) < 2 else (argv[0], self._runnable(argv[1]), *argv[2:]),))

    def _evalsha(self, argv: Argv) -> Step:
        return Step((argv if len(argv) < 2 else (argv[0], self._known(argv[1]), *argv[2:]),))

    def _exists(self, argv: Argv) -> Step:
        return Step(((*argv[:2], *map(self._known, argv[2:])),))

    def _load(self, argv: Argv) -> Step:
        if len(argv) != 3:
            return Step((argv,))
        original = _hash(argv[2])

        def original_hash(reply: Reply) -> Reply:
            return reply if isinstance(reply, Error) else original

        return mapped((*argv[:2], self._runnable(argv[2])), original_hash)

    def _runnable(self, script: bytes) -> bytes:
        shebang = _SHEBANG.match(script)
        flags = [flag.strip() for flag in shebang[1].split(b",")] if shebang else []
        if shebang is None or _FLAG not in flags:
            return script
        flags.remove(_FLAG)
        first_line = b"#!lua flags=%b\n" % b",".join(flags) if flags else b"#!lua\n"
        runnable = first_line + self._check + script[shebang.end() :]
        self._aliases[_hash(script)] = _hash(runnable)
        return runnable

    def _known(self, digest: bytes) -> bytes:
        return self._aliases.get(digest.lower(), digest)


def _hash(script: bytes) -> bytes:
    return sha1(script, usedforsecurity=False).hexdigest().encode()


_SCRIPT_ERROR: Final = (
    b"ERR Error running script: @user_script:%b: %b\n"
    b"stack traceback:\n\t[G]: in function 'call'\n\t@user_script:%b: in main chunk"
)
_POSITION: Final = re.compile(rb" script: .*?on @user_script:(\d+)\.$", re.DOTALL)


def failed_while_running(error: Error) -> bool:
    return _POSITION.search(error) is not None


def in_the_services_words(error: Error) -> Error:
    """A failing script's message, in the form that the service gives it."""
    position = _POSITION.search(error)
    if position is None:
        return error
    message = error[: position.start()]
    if message.startswith(b"ERR Dynamic keys"):
        return Error(message)
    if message == b"ERR Write commands are not allowed from read-only scripts.":
        message = b"READONLY Write commands are not allowed from read-only scripts"
    said = message.removeprefix(b"ERR ").removeprefix(b"user_script:%b: " % position[1])
    return Error(_SCRIPT_ERROR % (position[1], said, position[1]))


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
