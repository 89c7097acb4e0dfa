"""What must work where Django is not installed, and what must not know of the emulator."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "continuum_upstash"
EMULATOR = PACKAGE / "emulator"


def below_django():
    """Return the names of the floors' modules from the plain client down, as pyproject has them."""
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())
    floors = next(
        contract["layers"]
        for contract in project["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    )
    lower = floors[floors.index("(client)") :]
    return [name.strip("() ") for floor in lower for name in floor.replace("|", ":").split(":")]


def modules_of(name):
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
    names = [module for name in below_django() for module in modules_of(name)]
    assert len(names) > 40
    done = run_without_django("; ".join(f"import {name}" for name in names))
    assert done.returncode == 0, done.stderr


def test_the_plain_client_works_without_django():
    done = run_without_django(
        "from continuum_upstash import UpstashCache\n"
        "cache = UpstashCache(mode='local')\n"
        "cache.set('k', {'n': [1, 2]}, ttl=60)\n"
        "print(cache.get('k'), cache.incr('n'))"
    )
    assert (done.stdout, done.stderr) == ("{'n': [1, 2]} 1\n", "")


def test_django_is_really_hidden_from_these_tests():
    assert "ModuleNotFoundError" in run_without_django("import django.core.cache").stderr


def imported_by(path):
    """Return the full names of what a file imports, wherever in it."""
    package = (PACKAGE.name, *path.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            start = ".".join((*base, *([node.module] if node.module else [])))
            yield from (f"{start}.{alias.name}" for alias in node.names)


def knows(path, prefix):
    return any(f"{name}.".startswith(f"{prefix}.") for name in imported_by(path))


def test_the_emulator_imports_nothing_of_what_it_is_there_to_test():
    ours = {
        f"{path.name}: {name}"
        for path in EMULATOR.rglob("*.py")
        for name in imported_by(path)
        if name.startswith("continuum_upstash")
        and not name.startswith("continuum_upstash.emulator")
    }
    assert ours == set()


def test_only_its_command_imports_the_emulator():
    knowing = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if EMULATOR not in path.parents and knows(path, "continuum_upstash.emulator")
    }
    assert knowing == {"management/commands/upstash_emulator.py"}
