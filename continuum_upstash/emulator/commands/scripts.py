"""Scripts with the service's flag `#!lua flags=allow-key-locking`, and rollback of failed scripts.

Valkey rejects the flag. The emulator replaces it by Lua code that rejects undeclared keys, and maps
the hash of the original script to the hash of the changed one.
"""

import re
from hashlib import sha1
from typing import Final

from continuum_upstash.emulator.commands.command_specs import CommandSpecs
from continuum_upstash.emulator.commands.translation import (
    Dialogue,
    Step,
    Translation,
    convert_reply,
)
from continuum_upstash.emulator.redis.resp2_wire import Argv, Error, Reply
from continuum_upstash.emulator.redis.upstream import UpstreamConnection
from continuum_upstash.emulator.usage import UsageCounter

_SHEBANG: Final = re.compile(rb"#!lua[ \t]+flags=([\w,\- ]+)\r?\n")
_FLAG: Final = b"allow-key-locking"

# On one line, before the second line of the script, so that errors report the right line number.
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
    def __init__(self, specs: CommandSpecs) -> None:
        self._changed_hashes: dict[bytes, bytes] = {}
        self._key_check = _KEY_CHECK % b",".join(
            b'["%b"]=%b' % (name, b"{%d,%d,%d}" % position if position[0] else b"false")
            for name, position in sorted(specs.list_key_positions().items())
            if position != (1, 1, 1)
        )
        self.translations: dict[bytes, Translation] = {
            b"eval": self._translate_eval,
            b"eval_ro": self._translate_eval,
            b"evalsha": self._translate_evalsha,
            b"evalsha_ro": self._translate_evalsha,
            b"script|exists": self._translate_exists,
            b"script|load": self._translate_load,
        }

    def _translate_eval(self, argv: Argv) -> Step:
        if len(argv) < 2:
            return Step((argv,))
        return Step(((argv[0], self._replace_flag(argv[1]), *argv[2:]),))

    def _translate_evalsha(self, argv: Argv) -> Step:
        if len(argv) < 2:
            return Step((argv,))
        return Step(((argv[0], self._find_hash(argv[1]), *argv[2:]),))

    def _translate_exists(self, argv: Argv) -> Step:
        return Step(((*argv[:2], *map(self._find_hash, argv[2:])),))

    def _translate_load(self, argv: Argv) -> Step:
        if len(argv) != 3:
            return Step((argv,))
        original = _hash(argv[2])

        def restore_hash(reply: Reply) -> Reply:
            return reply if isinstance(reply, Error) else original

        return convert_reply((*argv[:2], self._replace_flag(argv[2])), restore_hash)

    def _replace_flag(self, script: bytes) -> bytes:
        """Return a script that Valkey accepts, and remember its hash."""
        shebang = _SHEBANG.match(script)
        flags = [flag.strip() for flag in shebang[1].split(b",")] if shebang else []
        if shebang is None or _FLAG not in flags:
            return script
        flags.remove(_FLAG)
        first_line = b"#!lua flags=%b\n" % b",".join(flags) if flags else b"#!lua\n"
        changed = first_line + self._key_check + script[shebang.end() :]
        self._changed_hashes[_hash(script)] = _hash(changed)
        return changed

    def _find_hash(self, digest: bytes) -> bytes:
        return self._changed_hashes.get(digest.lower(), digest)


def _hash(script: bytes) -> bytes:
    return sha1(script, usedforsecurity=False).hexdigest().encode()


_SCRIPT_ERROR: Final = (
    b"ERR Error running script: @user_script:%b: %b\n"
    b"stack traceback:\n\t[G]: in function 'call'\n\t@user_script:%b: in main chunk"
)
_POSITION: Final = re.compile(rb" script: .*?on @user_script:(\d+)\.$", re.DOTALL)


def is_runtime_error(error: Error) -> bool:
    return _POSITION.search(error) is not None


def translate_script_error(error: Error) -> Error:
    """Return the error of a failed script in the service's form; other errors unchanged."""
    position = _POSITION.search(error)
    if position is None:
        return error
    message = error[: position.start()]
    if message.startswith(b"ERR Dynamic keys"):
        return Error(message)
    if message == b"ERR Write commands are not allowed from read-only scripts.":
        message = b"READONLY Write commands are not allowed from read-only scripts"
    cause = message.removeprefix(b"ERR ").removeprefix(b"user_script:%b: " % position[1])
    return Error(_SCRIPT_ERROR % (position[1], cause, position[1]))


def read_declared_keys(argv: Argv) -> list[bytes]:
    """Return the keys of EVAL, EVALSHA or FCALL; none if the number of keys is invalid."""
    if len(argv) < 4 or not argv[2].isdigit():
        return []
    return list(argv[3 : 3 + int(argv[2])])


def roll_back_on_failure(argv: Argv, usage: UsageCounter) -> Step | Dialogue:
    """Run a script and restore its declared keys if it fails.

    On the service, a failed script leaves no changes; on Valkey, it does.
    """
    keys = read_declared_keys(argv)
    if not keys:
        return Step((argv,))
    save = [command for key in keys for command in ((b"DUMP", key), (b"PEXPIRETIME", key))]

    async def run(connection: UpstreamConnection) -> Reply:
        _, *queued, results = await connection.send([(b"MULTI",), *save, argv, (b"EXEC",)])
        if isinstance(results, Error):
            return queued[-1]
        usage.subtract(len(save))
        *saved, reply = results
        if isinstance(reply, Error) and is_runtime_error(reply):
            restore = list(map(_build_restore, keys, saved[::2], saved[1::2]))
            await connection.send([(b"MULTI",), *restore, (b"EXEC",)])
            usage.subtract(len(restore))
        return reply

    return run


def _build_restore(key: bytes, dump: bytes | None, expires_at: int) -> Argv:
    if dump is None:
        return (b"DEL", key)
    return (b"RESTORE", key, b"%d" % max(0, expires_at), dump, b"REPLACE", b"ABSTTL")
