"""docs/how-to/troubleshooting.md: it has every error, and its messages are those of the code."""

from __future__ import annotations

import ast
import inspect
import os
import re
import shutil
import subprocess
from importlib import import_module
from pathlib import Path

import pytest

from continuum_upstash import errors
from continuum_upstash.transports.service_errors import SERVICE_TEXTS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "how-to" / "troubleshooting.md").read_text()
ONE_LINE = " ".join(PAGE.split())
CAUSED_ELSEWHERE = {"ContinuumError", "Unavailable", "ReplyError", "Refused"}  # base classes
# Messages of the system and of servers; all others are compared with the code.
FOREIGN = re.compile(r"value is not an int|Name or service|nodename|No address")

INSERTED = r"…|closed -> open; |Connection refused"


def read_messages() -> str:
    """Every text of the package's code, with … for what is inserted."""
    texts: list[str] = []
    for path in (ROOT / "continuum_upstash").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = [getattr(part, "value", "…") for part in node.values]
                texts.append("".join(part if isinstance(part, str) else "…" for part in parts))
    return "\n".join(texts)


CODE = read_messages()


def list_messages() -> list[str]:
    """The messages of the page: headings, and the first cells of its tables."""
    headings = re.findall(r"^### (.*)$", PAGE, re.MULTILINE)
    cells = re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
    quoted = [text for cell in cells for text in re.findall(r"`([^`]+)`", cell)]
    prose = "The fallback stays, although the database works again"
    return [*(each for each in headings if each != prose), *quoted]


def test_the_page_has_every_text_of_the_service():
    texts = [example for row in SERVICE_TEXTS for example in row.examples]
    assert [text for text in texts if text not in ONE_LINE] == []


def test_the_page_has_every_error():
    modules = ("errors", "federation.errors", "federation.tasks.push", "cache.base")
    modules += ("migration.conf", "migration.stored_rollout", "sessions.session_runner")
    names = {
        error.__name__
        for module in (*modules, "ratelimit.engine.limiter")
        for error in vars(import_module(f"continuum_upstash.{module}")).values()
        if inspect.isclass(error) and issubclass(error, errors.ContinuumError)
    }
    assert {name for name in names - CAUSED_ELSEWHERE if f"`{name}`" not in PAGE} == set()


@pytest.mark.parametrize("message", list_messages())
def test_a_message_of_the_page_is_one_of_the_code(message):
    if FOREIGN.search(message):
        return
    fragments = [part.strip(" ,:()") for part in re.split(INSERTED, message)]
    assert [part for part in fragments if part and part not in CODE] == []


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_lines_of_the_page_work(emulator):
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    script = "".join(block for block in blocks if "curl" in block)
    environment = os.environ | {
        "UPSTASH_REDIS_REST_URL": emulator.rest_url,
        "UPSTASH_REDIS_REST_TOKEN": emulator.token,
        "NO_PROXY": "*",
    }
    done = subprocess.run(
        ["sh", "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith('{"result":"PONG"}')
    assert "maxmemory_policy:noeviction" in done.stdout
    assert re.search(r"connect [\d.]+s, reply [\d.]+s\n$", done.stdout)
    assert emulator.read_usage().billed == 0, "the page says that the lines are free"


def test_the_page_explains_a_local_cache_without_export(tmp_path):
    """`source .env` alone passes no variable on; the page's line does."""
    (tmp_path / ".env").write_text("UPSTASH_REDIS_REST_URL=https://example.upstash.io\n")
    fix = re.search(r"^set -a; source .env; set \+a$", PAGE, re.MULTILINE)[0]
    show = "python3 -c \"import os; print(os.environ.get('UPSTASH_REDIS_REST_URL'))\""
    environment = {"PATH": os.environ["PATH"]}

    def run(line: str) -> str:
        done = subprocess.run(
            ["sh", "-c", f"{line}; {show}".replace("source .env", ". ./.env")],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    assert run("source .env") == "None"
    assert run(fix) == "https://example.upstash.io"
