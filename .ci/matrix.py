"""Run the tests on each Python found here, with each Django that it allows.

    python3 .ci/matrix.py [pytest arguments]

Needs nothing installed; keeps a virtual environment per pair, such as .venv-3.12-dj6.0.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent

# https://docs.djangoproject.com/en/stable/faq/install/
DJANGOS = {
    "3.11": ("5.2",),
    "3.12": ("5.2", "6.0", "6.1"),
    "3.13": ("5.2", "6.0", "6.1"),
    "3.14": ("5.2", "6.0", "6.1"),
}


def find_python(version: str) -> str | None:
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = sorted(map(str, pyenv.glob(f"versions/{version}.*/bin/python")))
    for candidate in (shutil.which(f"python{version}"), *candidates):
        # A shim of pyenv is on the PATH for versions that are not active, and then fails.
        if candidate and _runs(candidate):
            return candidate
    return None


def _runs(python: str) -> bool:
    return subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode == 0


def environment(python: str, version: str, django: str) -> Path:
    """Return the pair's own Python, installed anew when pyproject.toml has changed."""
    folder = ROOT / f".venv-{version}-dj{django}"
    stamp, project = folder / ".installed", ROOT / "pyproject.toml"
    inside = folder / "bin" / "python"
    if not stamp.exists() or stamp.stat().st_mtime < project.stat().st_mtime:
        subprocess.run([python, "-m", "venv", folder], check=True)
        install = [inside, "-m", "pip", "install", "--quiet", "--editable", ".[dev]"]
        subprocess.run([*install, f"django~={django}.0"], check=True, cwd=ROOT)
        stamp.touch()
    return inside


def main(arguments: list[str]) -> int:
    results: dict[str, str] = {}
    for version, djangos in DJANGOS.items():
        python = find_python(version)
        if python is None:
            results[f"Python {version}"] = "not found here"
            continue
        for django in djangos:
            pair = f"Python {version}, Django {django}"
            print(f"\n=== {pair}", flush=True)
            inside = environment(python, version, django)
            run = [inside, "-m", "pytest", "-n", "auto", "--dist", "loadfile", "-m", "not slow"]
            code = subprocess.run([*run, *arguments], check=False, cwd=ROOT).returncode
            results[pair] = "passed" if code == 0 else f"FAILED (pytest ended with {code})"
    print()
    for pair, result in results.items():
        print(f"{pair:28} {result}")
    ran = [result for result in results.values() if result != "not found here"]
    return 0 if ran and all(result == "passed" for result in ran) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
