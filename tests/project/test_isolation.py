"""The floors below Django work without it, and the emulator is apart from the package."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import grimp

PACKAGE = Path(__file__).parents[2] / "continuum_upstash"
EMULATOR = PACKAGE / "emulator"


def list_lower_floors():
    """Return the entries of the floors from the plain client down, as in pyproject.toml."""
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
    floors = next(
        contract["layers"]
        for contract in project["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    )
    lower = floors[floors.index("(client)") :]
    return [name.strip("() ") for floor in lower for name in floor.replace("|", ":").split(":")]


def list_modules(name):
    if (PACKAGE / f"{name}.py").exists():
        return [f"continuum_upstash.{name}"]
    files = sorted((PACKAGE / name).rglob("*.py"))
    return [
        ".".join(("continuum_upstash", *f.relative_to(PACKAGE).with_suffix("").parts))
        for f in files
    ]


def run_without_django(script):
    hidden = "import sys; sys.modules.update(dict.fromkeys(['django', 'django_redis', 'asgiref']));"
    return subprocess.run(
        [sys.executable, "-c", hidden + script], capture_output=True, text=True, check=False
    )


def test_every_module_below_the_django_floor_can_be_imported_without_django():
    names = [module for name in list_lower_floors() for module in list_modules(name)]
    assert len(names) > 40
    run = run_without_django("; ".join(f"import {name}" for name in names))
    assert run.returncode == 0, run.stderr


def test_the_plain_client_works_without_django():
    run = run_without_django(
        "from continuum_upstash import UpstashCache\n"
        "cache = UpstashCache(mode='local')\n"
        "cache.set('k', {'n': [1, 2]}, ttl=60)\n"
        "print(cache.get('k'), cache.incr('n'))"
    )
    assert (run.stdout, run.stderr) == ("{'n': [1, 2]} 1\n", "")


def test_django_is_hidden_from_these_tests():
    assert "ModuleNotFoundError" in run_without_django("import django.core.cache").stderr


def find_imports(path):
    """Yield the full names of all imports of a file, including those in functions."""
    package = (PACKAGE.name, *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            start = ".".join((*base, *([node.module] if node.module else [])))
            yield from (f"{start}.{alias.name}" for alias in node.names)


def is_importing(path, prefix):
    return any(f"{name}.".startswith(f"{prefix}.") for name in find_imports(path))


def test_the_emulator_imports_nothing_of_the_package():
    imports = {
        f"{path.name}: {name}"
        for path in EMULATOR.rglob("*.py")
        for name in find_imports(path)
        if name.startswith("continuum_upstash")
        and not name.startswith("continuum_upstash.emulator")
    }
    assert imports == set()


def test_only_the_management_command_imports_the_emulator():
    importing = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if EMULATOR not in path.parents and is_importing(path, "continuum_upstash.emulator")
    }
    assert importing == {"management/commands/upstash_emulator.py"}


def test_the_emulator_shares_no_code_with_the_package():
    """A wrong assumption about the service must not be on both sides of a test."""
    graph = grimp.build_graph("continuum_upstash", cache_dir=None)
    emulator = "continuum_upstash.emulator"
    modules = {emulator, *graph.find_descendants(emulator)}
    imported = {
        module for name in modules for module in graph.find_modules_directly_imported_by(name)
    }
    assert len(modules) > 20
    assert imported - modules == set()


def test_the_pytest_plugin_imports_only_the_emulator_package():
    program = (
        "import sys, pytest; before = set(sys.modules);"
        "import continuum_upstash.emulator.pytest_plugin;"
        "print(*sorted(set(sys.modules) - before))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == [
        "continuum_upstash",
        "continuum_upstash.emulator",
        "continuum_upstash.emulator.pytest_plugin",
    ]
