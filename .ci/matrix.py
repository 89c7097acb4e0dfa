"""Run the tests on each installed Python with each Django version that supports it.

    python3 .ci/matrix.py [pytest arguments]

No packages need to be installed. Each pair has its own virtual environment, for example
.venv-3.12-dj6.0.
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
    "3.14t": ("6.1",),  # free-threaded
}


def find_python(version: str) -> str | None:
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    number, threads = version.removesuffix("t"), "t" * version.endswith("t")
    candidates = sorted(map(str, pyenv.glob(f"versions/{number}.*[0-9]{threads}/bin/python")))
    for candidate in (shutil.which(f"python{version}"), *candidates):
        # pyenv puts shims for inactive versions on the PATH; running one fails.
        if candidate and _can_run(candidate):
            return candidate
    return None


def _can_run(python: str) -> bool:
    return subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode == 0


def prepare_environment(python: str, version: str, django: str) -> Path:
    """Return the Python of the pair's environment; reinstall if pyproject.toml has changed."""
    folder = ROOT / f".venv-{version}-dj{django}"
    stamp, project = folder / ".installed", ROOT / "pyproject.toml"
    venv_python = folder / "bin" / "python"
    if not stamp.exists() or stamp.stat().st_mtime < project.stat().st_mtime:
        subprocess.run([python, "-m", "venv", folder], check=True)
        install = [venv_python, "-m", "pip", "install", "--quiet", "--editable", ".[dev]"]
        subprocess.run([*install, f"django~={django}.0"], check=True, cwd=ROOT)
        stamp.touch()
    return venv_python


def main(arguments: list[str]) -> int:
    results: dict[str, str] = {}
    for version, djangos in DJANGOS.items():
        python = find_python(version)
        if python is None:
            results[f"Python {version}"] = "not installed"
            continue
        for django in djangos:
            pair = f"Python {version}, Django {django}"
            print(f"\n=== {pair}", flush=True)
            venv_python = prepare_environment(python, version, django)
            run = [
                venv_python,
                "-m",
                "pytest",
                "-n",
                "auto",
                "--dist",
                "loadfile",
                "-m",
                "not slow",
            ]
            code = subprocess.run([*run, *arguments], check=False, cwd=ROOT).returncode
            results[pair] = "passed" if code == 0 else f"FAILED (pytest exited with code {code})"
    print()
    for pair, result in results.items():
        print(f"{pair:28} {result}")
    ran = [result for result in results.values() if result != "not installed"]
    return 0 if ran and all(result == "passed" for result in ran) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
