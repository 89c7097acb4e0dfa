"""INFO in the service's form, with the figures of Valkey."""

from collections import defaultdict
from typing import Final

from continuum_upstash.emulator.commands.translation import Step, convert_reply
from continuum_upstash.emulator.redis.resp2_wire import Argv, Reply

_MEGABYTE: Final = 1024 * 1024
VERSION: Final = "1.13.3"

_SECTIONS: Final = """\
# Server
upstash_version:{upstash_version}
redis_version:{redis_version_offered}
redis_git_sha1:{redis_git_sha1}
redis_build_id:{redis_build_id}
redis_mode:standalone

# Clients
connected_clients:{connected_clients}
maxclients:{maxclients}

# Memory
used_memory:{used_memory}
used_memory_human:{used_memory_in_mb}
maxmemory:{max_data_size}
maxmemory_human:{max_data_size_in_mb}
maxmemory_policy:{policy}

# Persistence
total_keys:{keys}
total_data_size:{data_size}
total_data_size_human:{data_size_in_mb}
max_data_size:{max_data_size}
max_data_size_human:{max_data_size_in_mb}

# Stats
total_connections_received:{total_connections_received}
total_commands_processed:{total_commands_processed}
instantaneous_ops_per_sec:{instantaneous_ops_per_sec}
max_ops_per_sec:10000
evicted_clients:{evicted_clients}
expired_keys:{expired_keys}
evicted_keys:{evicted_keys}
keyspace_hits:{keyspace_hits}
keyspace_misses:{keyspace_misses}
total_reads_processed:{total_reads_processed}
total_writes_processed:{total_writes_processed}

# Cluster
cluster_enabled:0
local_member:127.0.0.1
primary_member:127.0.0.1

# Keyspace
{keyspace}"""


class InfoRewriter:
    """
    Args:
        baseline: bytes that the empty server uses; they do not count as data.
        max_data_size: bytes.
        evict: whether a full database evicts keys.
        redis_version: the version that INFO reports.
    """

    def __init__(
        self, *, baseline: int, max_data_size: int, evict: bool, redis_version: str
    ) -> None:
        self._baseline = baseline
        self._redis_version = redis_version
        self._max_data_size = max_data_size
        self._policy = "optimistic-volatile" if evict else "noeviction"
        self.translations = {b"info": self._translate_info}

    def _translate_info(self, argv: Argv) -> Step:
        # Names in upper case found no section on the service, as a third party reports.
        section = argv[1].decode(errors="replace") if len(argv) > 1 else "all"

        def rewrite(reply: Reply) -> Reply:
            return self._format(reply.decode(), section) if isinstance(reply, bytes) else reply

        return convert_reply((b"INFO",), rewrite)

    def compute_data_size(self, figures: dict[str, str]) -> int:
        return max(0, int(figures["used_memory"]) - self._baseline)

    def _format(self, original: str, section: str) -> bytes:
        figures = parse_info(original)
        database = figures.get("db0", "")
        data_size = self.compute_data_size(figures)
        text = _SECTIONS.format_map(
            defaultdict(lambda: "0", figures)
            | {
                "upstash_version": VERSION,
                "redis_version_offered": self._redis_version,
                "max_data_size": self._max_data_size,
                "max_data_size_in_mb": _format_megabytes(self._max_data_size),
                "used_memory_in_mb": _format_megabytes(int(figures["used_memory"])),
                "policy": self._policy,
                "keys": database.removeprefix("keys=").partition(",")[0] or "0",
                "data_size": data_size,
                "data_size_in_mb": _format_megabytes(data_size),
                "keyspace": f"db0:{','.join(database.split(',')[:3])}\n" if database else "",
            }
        )
        if section not in {"all", "default"}:
            text = _select_section(text, section)
        return text.replace("\n", "\r\n").encode()


def parse_info(info: str) -> dict[str, str]:
    """Return the fields of a reply of INFO."""
    lines = (line.partition(":") for line in info.splitlines() if line and line[0] != "#")
    return {name: value for name, _, value in lines}


def _select_section(text: str, section: str) -> str:
    """Return one section. For an unknown section, return only its heading."""
    for block in text.split("\n\n"):
        heading, _, body = block.partition("\n")
        if heading.removeprefix("# ").lower() == section:
            return f"{heading}\n{body}\n"
    return f"# {section.capitalize()}\n"


def _format_megabytes(size: int) -> str:
    return f"{size / _MEGABYTE:.3f}MB"
