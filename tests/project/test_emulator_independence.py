import subprocess
import sys

import grimp


def test_the_emulator_shares_no_code_with_the_package():
    """A misunderstanding of the service must not stand on both sides of a test."""
    graph = grimp.build_graph("continuum_upstash", cache_dir=None)
    emulator = "continuum_upstash.emulator"
    inside = {emulator, *graph.find_descendants(emulator)}
    imported = {
        module for name in inside for module in graph.find_modules_directly_imported_by(name)
    }
    assert len(inside) > 20
    assert imported - inside == set()


def test_the_pytest_plugin_imports_nothing_heavy():
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
