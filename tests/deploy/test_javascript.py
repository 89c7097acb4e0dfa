"""The TypeScript of deploy/ reads and writes what Django does; both count one rate limit.

Its packages are installed by `npm ci --prefix tests/deploy/npm --omit=dev`.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.utils.safestring import mark_safe

from continuum_upstash.backend import CacheBackend
from tests.deploy.conftest import DEPLOY, PROJECT
from tests.ports import find_free_port
from tests.waiting import wait_until

NPM = Path(__file__).parent / "npm"
TOOLS = NPM / "node_modules" / ".bin"
WORKER = DEPLOY / "cloudflare-worker"
node = shutil.which("node")

pytestmark = [
    pytest.mark.skipif(node is None, reason="node is not installed"),
    pytest.mark.skipif(
        not (TOOLS / "esbuild").exists(),
        reason="esbuild is not installed: npm ci --prefix tests/deploy/npm --omit=dev",
    ),
]

VALUES: dict[str, Any] = {
    "counter": 42,
    "negative": -1.5,
    "large": 1e21,
    "text": "ä text, 漢字 and 🙂",
    "like-a-number": "42",
    "like-base64": f"~{'A' * 22}==~QUJD",
    "nothing": None,
    "yes": True,
    "empty": "",
    "nested": {"list": [1, "two", None, {"three": 3}], "é": "~"},
}

# Creates a session as the deployed site does, and prints its key.
CREATE_SESSION = """
import json, sys, django
django.setup()
from continuum_upstash.sessions import SessionStore
keys = []
for data in json.loads(sys.argv[1]):
    session = SessionStore()
    session.update(data)
    session.create()
    keys.append(session.session_key)
print(json.dumps(keys))
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> Path:
    """The folders as in a user's project, beside the packages that their code imports."""
    folder = tmp_path_factory.mktemp("javascript")
    for name in ("typescript", "cloudflare-worker"):
        shutil.copytree(DEPLOY / name, folder / name, ignore=shutil.ignore_patterns("node_modules"))
    shutil.copytree(DEPLOY / "vercel" / "nextjs", folder / "nextjs")
    (folder / "nextjs" / "lib").mkdir()
    shutil.copy(DEPLOY / "typescript" / "upstash-cache.ts", folder / "nextjs" / "lib")
    shutil.copy(NPM / "tsconfig.json", folder)
    (folder / "node_modules").symlink_to(NPM / "node_modules")
    return folder


def write_snippets(sources: Path) -> None:
    """Write the TypeScript of the documentation, which is one program, to docs/page.ts."""
    folder = sources / "docs"
    folder.mkdir(exist_ok=True)
    for path in ("typescript/upstash-cache.ts", "cloudflare-worker/src/django-session.ts"):
        shutil.copy(sources / path, folder)
    page = DEPLOY.parent / "docs" / "how-to" / "share-with-javascript.md"
    lines = "".join(
        re.findall(r"^```ts\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    ).splitlines()
    imports = list(dict.fromkeys(line.split(" //")[0] for line in lines if "import " in line))
    given = ["declare const address: string, request: Request, env: { DJANGO_SECRET_KEY: string };"]
    body = [line for line in lines if "import " not in line]
    (folder / "page.ts").write_text("\n".join([*imports, *given, *body]))


def compile_module(sources: Path, path: str, *options: str) -> Path:
    """Compile a TypeScript file and what it imports to one module."""
    output = sources / "build" / f"{path.replace('/', '-').removesuffix('.ts')}.mjs"
    run(
        [TOOLS / "esbuild", path, "--bundle", "--format=esm", f"--outfile={output}", *options],
        sources,
    )
    return output


def run(command: list[Any], folder: Path, **options: Any) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=120, check=False, **options
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_node_tests(file: str, environment: dict[str, str]) -> None:
    output = run([node, "--test", "--test-force-exit", file], NPM, env=environment)
    assert "# fail 0" in output
    assert "# pass 0" not in output


def create_sessions(environment: dict[str, str], *data: dict[str, Any]) -> list[str]:
    command = [sys.executable, "-c", CREATE_SESSION, json.dumps(data)]
    variables = {"DJANGO_SETTINGS_MODULE": "mysite.settings"}
    return json.loads(run(command, PROJECT, env={**environment, **variables}))


@pytest.fixture
def start_script(site_environment, tmp_path):
    """Return a context manager that serves a module by one of the scripts beside this test."""

    @contextmanager
    def start(script: str, module: Path, **variables: str):
        port = find_free_port()
        log = tmp_path / "script.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [node, NPM / script, module, str(port)],
                env={**site_environment, **variables},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
                wait_until(lambda: process.poll() is not None or accepts_connections(port))
                assert process.poll() is None, log.read_text()
                yield client
        finally:
            process.terminate()
            process.wait(timeout=20)

    return start


def accepts_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def start_django(start_site):
    return lambda: start_site(["sh", "-c", "exec gunicorn mysite.wsgi --bind 127.0.0.1:$PORT"])


@pytest.fixture
def start_worker(start_script, sources, site_environment):
    """Return a context manager that runs the Worker in workerd, with the variables it declares."""
    module = compile_module(
        sources, "cloudflare-worker/src/index.ts", "--conditions=workerd,worker,browser"
    )
    configuration = read_wrangler()
    secrets = re.findall(
        r"wrangler secret put (\w+)$", (WORKER / "wrangler.toml").read_text(), re.MULTILINE
    )
    names = [*configuration["vars"], *secrets]
    assert set(names) <= site_environment.keys()
    return lambda: start_script(
        "serve_worker.mjs",
        module,
        WORKER_VARIABLES=",".join(names),
        COMPATIBILITY_DATE=configuration["compatibility_date"],
    )


def read_wrangler() -> dict[str, Any]:
    return tomllib.loads((WORKER / "wrangler.toml").read_text())


@pytest.fixture
def make_cache(emulator):
    """Return a function that makes Django's cache with options."""

    def make(**options: Any) -> CacheBackend:
        parameters = {"KEY_PREFIX": "shared", "OPTIONS": {"TOKEN": emulator.token, **options}}
        return CacheBackend(emulator.rest_url, parameters)

    return make


def test_the_types_are_right(sources):
    write_snippets(sources)
    run([TOOLS / "tsc"], sources)


@pytest.mark.skipif("DEPLOY_INSTALL" not in os.environ, reason="seconds; in make test-deploy")
def test_the_worker_uses_nothing_of_node(sources):
    """Its own configuration has no types of node, which the one of this test has."""
    run([TOOLS / "tsc", "--project", "cloudflare-worker"], sources)


def test_a_cache_is_shared_both_ways(make_cache, sources, site_environment):
    cache = make_cache(SERIALIZER="json")
    cache.set_many(VALUES)
    cache.set("huge", 2**60)
    binary = make_cache()
    binary.set("msgpack", {"a": "value"})
    binary.set("msgpack-text", "é" * 100)
    binary.set("msgpack-yes", True)
    binary.add("base64", (1, 2))
    binary.set("safe", mark_safe("<b>"))
    binary.set("tagged", "a value", tags=["a-tag"])
    make_cache(COMPRESS_MIN_BYTES=100).set("compressed", "x" * 1000)
    run_node_tests(
        "cache.test.mjs",
        {
            **site_environment,
            "UPSTASH_CACHE": str(compile_module(sources, "typescript/upstash-cache.ts")),
            "WRITTEN": json.dumps(VALUES),
            "UNREADABLE": json.dumps(
                {
                    "huge": "an integer",
                    "msgpack": "msgpack",
                    "msgpack-text": "msgpack",
                    "msgpack-yes": "msgpack",
                    "base64": "signed",
                    "safe": "signed",
                    "tagged": "tags",
                    "compressed": "compressed",
                }
            ),
        },
    )
    stored = {name: cache.get(f"js-{name}") for name in VALUES}
    assert stored == VALUES
    assert [type(value) for value in stored.values()] == [type(value) for value in VALUES.values()]
    assert cache.get("counter") == 44
    assert cache.get("lasting") == "kept"
    assert cache.ttl("lasting") is None
    assert 290 < cache.ttl("js-text") <= 300


def test_a_session_is_read_only_with_its_signature(sources, site_environment):
    short = {"_auth_user_id": "42", "cart": ["é"]}
    long = {"visits": 3, "text": "word " * 500}
    keys = create_sessions(site_environment, short, long)
    module = compile_module(sources, "cloudflare-worker/src/django-session.ts")
    run_node_tests(
        "session.test.mjs",
        {
            **site_environment,
            "DJANGO_SESSION": str(module),
            "SESSIONS": json.dumps(list(zip(keys, [short, long], strict=True))),
        },
    )


def test_next_js_and_django_share_a_value_and_a_limit(
    emulator, start_django, start_script, sources
):
    module = compile_module(sources, "nextjs/app/api/greeting/route.ts", "--platform=node")
    with start_django() as site, start_script("serve_route.mjs", module) as route:
        wait_until(is_far_from_the_end_of_a_window)
        address = {"X-Forwarded-For": "127.0.0.1"}
        assert route.put("/", json={"text": "Bonjour"}, headers=address).status_code == 200
        assert json.loads(site.get("/api/greeting/")[2]) == {"text": "Bonjour"}
        assert "<h1>Bonjour</h1>" in site.get("/")[2]
        assert route.put("/", content="no JSON", headers=address).status_code == 400
        assert [site.get("/api/greeting/")[0] for _ in range(3)] == [200] * 3
        replies = [route.get("/", headers=address) for _ in range(6)]
        assert [reply.status_code for reply in replies] == [200] * 4 + [429] * 2
        assert replies[0].json() == {"text": "Bonjour"}
        assert 1 <= int(replies[-1].headers["Retry-After"]) <= 60
        assert site.get("/api/greeting/")[0] == 429
        other = {"X-Forwarded-For": "192.0.2.1"}
        assert route.get("/", headers=other).status_code == 200
        with emulator.fault("quota"):
            assert route.get("/", headers=other).status_code == 503


def test_a_worker_reads_values_sessions_and_limits_of_django(
    emulator, make_cache, start_django, start_worker, site_environment
):
    user, anonymous = create_sessions(site_environment, {"_auth_user_id": "42"}, {"visits": 1})
    make_cache(SERIALIZER="json").set("greeting", {"text": "Bonjour"})
    with start_django() as site, start_worker() as worker:
        wait_until(is_far_from_the_end_of_a_window)
        address = {"CF-Connecting-IP": "127.0.0.1"}
        assert worker.get("/greeting", headers=address).json() == {"text": "Bonjour"}
        for cookie, expected in {
            f"theme=dark; sessionid={user}": {"alive": True, "user": "42"},
            f"sessionid={anonymous}": {"alive": True, "user": None},
            "sessionid=abcdefghijklmnopqrstuvwxyz012345": {"alive": False, "user": None},
            "sessionid=*": {"alive": False, "user": None},
        }.items():
            reply = worker.get("/session", headers={**address, "Cookie": cookie})
            assert reply.json() == expected
            assert reply.headers["Cache-Control"] == "private, no-store"
        statuses = [site.get("/api/greeting/")[0] for _ in range(6)]
        assert statuses == [200] * 5 + [429]
        assert worker.get("/greeting", headers=address).status_code == 429
        other = {"CF-Connecting-IP": "192.0.2.1"}
        assert worker.get("/", headers=other).status_code == 404
        with emulator.fault("refuse"):
            assert worker.get("/greeting", headers=other).status_code == 503


def is_far_from_the_end_of_a_window() -> bool:
    """Requests before and after the end of a minute would count less than together."""
    return time.time() % 60 < 50
