"""Which commands the service has, and what each does to the data.

The names are those of the service's command reference (https://upstash.com/docs/redis/overall/
compatibility). What a command does (write, block, add data) and the positions of its keys come from
the COMMAND reply of the server.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from continuum_upstash.emulator.commands.error_messages import (
    not_available,
    not_over_rest,
    wrong_arity,
)
from continuum_upstash.emulator.redis.resp2_wire import Argv, Error, Reply

_REFERENCE: Final = """
append decr decrby get getdel getex getrange getset incr incrby incrbyfloat mget mset msetex msetnx
psetex set setex setnx setrange strlen digest
copy del delex dump exists expire expireat expiretime keys persist pexpire pexpireat pexpiretime
pttl randomkey rename renamenx restore scan touch ttl type unlink wait waitaof memory|usage
bitcount bitfield bitfield_ro bitop bitpos getbit setbit
geoadd geodist geohash geopos georadius georadius_ro georadiusbymember georadiusbymember_ro
geosearch geosearchstore
hdel hexists hexpire hexpireat hexpiretime hget hgetall hgetdel hgetex hincrby hincrbyfloat hkeys
hlen hmget hmset hpersist hpexpire hpexpireat hpexpiretime hpttl hrandfield hscan hset hsetex
hsetnx hstrlen httl hvals
pfadd pfcount pfmerge
blmove blmpop blpop brpop brpoplpush lindex linsert llen lmove lmpop lpop lpos lpush lpushx lrange
lrem lset ltrim rpop rpoplpush rpush rpushx
sadd scard sdiff sdiffstore sinter sintercard sinterstore sismember smembers smismember smove spop
srandmember srem sscan sunion sunionstore
bzmpop bzpopmax bzpopmin zadd zcard zcount zdiff zdiffstore zincrby zinter zintercard zinterstore
zlexcount zmpop zmscore zpopmax zpopmin zrandmember zrange zrangebylex zrangebyscore zrangestore
zrank zrem zremrangebylex zremrangebyrank zremrangebyscore zrevrange zrevrangebylex
zrevrangebyscore zrevrank zscan zscore zunion zunionstore
xack xackdel xadd xautoclaim xclaim xdel xdelex xgroup|create xgroup|createconsumer
xgroup|delconsumer xgroup|destroy xgroup|setid xinfo|consumers xinfo|groups xinfo|stream xlen
xpending xrange xread xreadgroup xrevrange xtrim
eval eval_ro evalsha evalsha_ro script|exists script|flush script|kill script|load
fcall fcall_ro function|delete function|flush function|kill function|list function|load
function|stats
publish pubsub|channels pubsub|numpat pubsub|numsub
echo ping select client|setinfo
command config|get config|set dbsize flushall flushdb info time
"""

_CONNECTION_STATE: Final = """
auth client discard exec hello monitor multi psubscribe punsubscribe quit reset subscribe
unsubscribe unwatch watch
"""

# Documented as "available over native Redis TCP".
_TCP_ONLY: Final = """
client|getname client|id client|info client|list client|setname
"""

_WITHOUT_KEYS: Final = """
ping echo info time command select config|get script
client|getname client|id client|info client|list client|setinfo client|setname script|exists
pubsub|channels pubsub|numpat pubsub|numsub function|list function|stats
"""


def _split_names(text: str) -> frozenset[bytes]:
    return frozenset(text.encode().split())


_AVAILABLE: Final = _split_names(_REFERENCE)
_AVAILABLE_OVER_TCP: Final = _AVAILABLE | _split_names(_TCP_ONLY)
_NOT_OVER_REST: Final = _split_names(_CONNECTION_STATE)
_READ_ONLY_ALLOWED: Final = _split_names(_WITHOUT_KEYS)
# "Some powerful read commands (e.g. SCAN, KEYS) are also restricted" (page of the REST API).
_READ_ONLY_DENIED: Final = frozenset((b"scan", b"keys"))
_SCRIPTS: Final = frozenset((b"eval", b"evalsha", b"fcall"))


@dataclass(frozen=True, slots=True)
class Spec:
    """One command, as COMMAND describes it.

    A negative `arity` is a minimum. A negative `last_key` counts from the end.
    """

    arity: int
    flags: frozenset[bytes]
    first_key: int
    last_key: int
    step: int


# Commands of the service that Valkey or older versions of Redis lack. The emulator translates them.
_EMULATED: Final = {
    b"delex": Spec(-2, frozenset((b"write",)), 1, 1, 1),
    b"client|setinfo": Spec(4, frozenset(), 0, 0, 0),
    b"digest": Spec(2, frozenset((b"readonly",)), 1, 1, 1),
}


class CommandSpecs:
    def __init__(self, commands: Reply, missing: frozenset[bytes] = frozenset()) -> None:
        """
        Args:
            commands: the reply of COMMAND from Redis 7 or later, or from Valkey.
            missing: commands that the simulated database does not have.
        """
        self._missing = missing
        self._specs = dict(_EMULATED)
        for name, arity, flags, first, last, step, _, _, _, subcommands in commands:
            self._specs[name] = Spec(arity, frozenset(flags), first, last, step)
            for subcommand in subcommands:
                self._specs[subcommand[0]] = Spec(
                    subcommand[1], frozenset(subcommand[2]), *subcommand[3:6]
                )
        self._containers = {name.split(b"|")[0] for name in self._specs if b"|" in name}

    def has_command(self, name: bytes) -> bool:
        return name in self._specs

    def get_name(self, argv: Argv) -> bytes:
        """Return the command's name in lower case, such as `get` or `script|load`."""
        name = argv[0].lower()
        if name in self._containers and len(argv) > 1 and name != b"command":
            return name + b"|" + argv[1].lower()
        return name

    def find_error(self, argv: Argv, *, over_tcp: bool) -> Error | None:
        """Return the error of a command that the service does not run, or None."""
        name = self.get_name(argv)
        available = _AVAILABLE_OVER_TCP if over_tcp else _AVAILABLE
        if name in available and name in self._specs and name not in self._missing:
            return None
        if argv[0].lower() in _NOT_OVER_REST and not over_tcp:
            return not_over_rest(argv[0])
        return not_available(name.replace(b"|", b" "))

    def find_arity_error(self, argv: Argv) -> Error | None:
        """Return the error of a known command with a wrong number of arguments, or None."""
        name = self.get_name(argv)
        if (spec := self._specs.get(name)) is None:
            return None
        is_valid = len(argv) == spec.arity if spec.arity > 0 else len(argv) >= -spec.arity
        return None if is_valid else wrong_arity(name)

    def is_write(self, argv: Argv) -> bool:
        """Return whether the command may write. A script counts as a write."""
        name = self.get_name(argv)
        return name in _SCRIPTS or b"write" in self._get_flags(name)

    def changes_data(self, name: bytes) -> bool:
        """Return whether a command, by its name in lower case, changes data itself."""
        return b"write" in self._get_flags(name)

    def is_denied_on_oom(self, argv: Argv) -> bool:
        """Return whether a full database rejects the command. The service rejects every EVAL."""
        name = self.get_name(argv)
        return name in _SCRIPTS or b"denyoom" in self._get_flags(name)

    def is_script(self, argv: Argv) -> bool:
        """Return whether the command runs a script that may write."""
        return self.get_name(argv) in _SCRIPTS

    def is_blocking(self, argv: Argv) -> bool:
        return b"blocking" in self._get_flags(self.get_name(argv))

    def is_allowed_read_only(self, argv: Argv) -> bool:
        """Return whether the read-only token is allowed to run the command."""
        name = self.get_name(argv)
        if name in _READ_ONLY_DENIED:
            return False
        return name in _READ_ONLY_ALLOWED or b"readonly" in self._get_flags(name)

    def find_keys(self, argv: Argv) -> Iterator[bytes]:
        """Yield the arguments that are keys. Commands without fixed key positions yield nothing."""
        spec = self._specs.get(self.get_name(argv))
        if spec is None or spec.first_key == 0:
            return
        last = spec.last_key if spec.last_key >= 0 else len(argv) + spec.last_key
        for position in range(spec.first_key, min(last, len(argv) - 1) + 1, spec.step):
            yield argv[position]

    def list_key_positions(self) -> dict[bytes, tuple[int, int, int]]:
        """Return first key, last key and step by command name.

        The first key is 0 for commands without fixed key positions.
        """
        return {
            name: (spec.first_key, spec.last_key, spec.step)
            for name, spec in self._specs.items()
            if b"|" not in name
        }

    def _get_flags(self, name: bytes) -> frozenset[bytes]:
        spec = self._specs.get(name)
        return spec.flags if spec else frozenset()
