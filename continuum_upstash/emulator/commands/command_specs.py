"""Which commands the service has, and what each does to the data.

The names are those of the service's command reference (https://upstash.com/docs/redis/overall/
compatibility); what they do (write, block, grow) and where their keys stand is asked of the server.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from continuum_upstash.emulator.commands.error_messages import not_available, not_over_rest
from continuum_upstash.emulator.redis.resp2 import Argv, Error, Reply

_REFERENCE: Final = """
append decr decrby get getdel getex getrange getset incr incrby incrbyfloat mget mset msetnx psetex
set setex setnx setrange strlen digest
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
xack xadd xautoclaim xclaim xdel xgroup|create xgroup|createconsumer xgroup|delconsumer
xgroup|destroy xgroup|setid xinfo|consumers xinfo|groups xinfo|stream xlen xpending xrange xread
xreadgroup xrevrange xtrim
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

_WITHOUT_KEYS: Final = """
ping echo info time command select config|get client|setinfo script|exists
pubsub|channels pubsub|numpat pubsub|numsub function|list function|stats
"""


def _names(text: str) -> frozenset[bytes]:
    return frozenset(text.encode().split())


_OFFERED: Final = _names(_REFERENCE)
_NOT_OVER_REST: Final = _names(_CONNECTION_STATE)
_READ_ONLY_ALLOWS: Final = _names(_WITHOUT_KEYS)
# "Some powerful read commands (e.g. SCAN, KEYS) are also restricted": the REST API's page.
_READ_ONLY_REFUSES: Final = frozenset((b"scan", b"keys"))
_RUNS_A_SCRIPT: Final = frozenset((b"eval", b"evalsha", b"fcall"))


@dataclass(frozen=True, slots=True)
class Spec:
    """One command as the server's COMMAND describes it."""

    flags: frozenset[bytes]
    first_key: int
    last_key: int
    step: int


# Commands of the service that servers lack, or old ones do: a translation stands in for them.
_EMULATED: Final = {
    b"delex": Spec(frozenset((b"write",)), 1, 1, 1),
    b"client|setinfo": Spec(frozenset(), 0, 0, 0),
    b"digest": Spec(frozenset((b"readonly",)), 1, 1, 1),
}


class Catalogue:
    def __init__(self, commands: Reply) -> None:
        """Read the reply of COMMAND, as Redis 7 and Valkey give it."""
        self._specs = dict(_EMULATED)
        for name, _, flags, first, last, step, _, _, _, subcommands in commands:
            self._specs[name] = Spec(frozenset(flags), first, last, step)
            for subcommand in subcommands:
                self._specs[subcommand[0]] = Spec(frozenset(subcommand[2]), *subcommand[3:6])
        self._containers = {name.split(b"|")[0] for name in self._specs if b"|" in name}

    def has(self, name: bytes) -> bool:
        """Whether the server itself has the command."""
        return name in self._specs

    def name(self, argv: Argv) -> bytes:
        """The command's name in lower case; with the subcommand after `|` where there are any."""
        name = argv[0].lower()
        if name in self._containers and len(argv) > 1 and name != b"command":
            return name + b"|" + argv[1].lower()
        return name

    def refusal(self, argv: Argv) -> Error | None:
        """Why the service would not run this over REST, if it would not."""
        name = self.name(argv)
        if name in _OFFERED and name in self._specs:
            return None
        if argv[0].lower() in _NOT_OVER_REST:
            return not_over_rest(argv[0])
        return not_available(name.replace(b"|", b" "))

    def writes(self, argv: Argv) -> bool:
        name = self.name(argv)
        return name in _RUNS_A_SCRIPT or b"write" in self._flags(name)

    def grows(self, argv: Argv) -> bool:
        """Whether a full database refuses it. The service refuses every EVAL then."""
        name = self.name(argv)
        return name in _RUNS_A_SCRIPT or b"denyoom" in self._flags(name)

    def runs_a_script(self, argv: Argv) -> bool:
        """Whether it runs a script that may write."""
        return self.name(argv) in _RUNS_A_SCRIPT

    def blocks(self, argv: Argv) -> bool:
        return b"blocking" in self._flags(self.name(argv))

    def open_to_readers(self, argv: Argv) -> bool:
        """Whether the read-only token may run it."""
        name = self.name(argv)
        if name in _READ_ONLY_REFUSES:
            return False
        return name in _READ_ONLY_ALLOWS or b"readonly" in self._flags(name)

    def keys(self, argv: Argv) -> Iterator[bytes]:
        """The arguments that are keys, where their places are fixed."""
        spec = self._specs.get(self.name(argv))
        if spec is None or spec.first_key == 0:
            return
        last = spec.last_key if spec.last_key >= 0 else len(argv) + spec.last_key
        for place in range(spec.first_key, min(last, len(argv) - 1) + 1, spec.step):
            yield argv[place]

    def key_places(self) -> dict[bytes, tuple[int, int, int]]:
        """Command name to first key, last key, step; first is 0 where keys have no fixed place."""
        return {
            name: (spec.first_key, spec.last_key, spec.step)
            for name, spec in self._specs.items()
            if b"|" not in name
        }

    def _flags(self, name: bytes) -> frozenset[bytes]:
        spec = self._specs.get(name)
        return spec.flags if spec else frozenset()
