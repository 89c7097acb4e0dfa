"""Run the tests on each installed Python with each Django version that supports it.

    python3 .ci/matrix.py [pytest arguments]

No packages need to be installed. Each pair has its own virtual environment, for example
.venv-3.12-dj6.0. The tests run on the installed wheel, and tests/conformance on the installed
sdist, too: in build/installed, which has links to everything in the repository but the package.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
INSTALLED = ROOT / "build" / "installed"

# https://docs.djangoproject.com/en/stable/faq/install/
DJANGOS = {
    "3.11": ("5.2",),
    "3.12": ("5.2", "6.0", "6.1"),
    "3.13": ("5.2", "6.0", "6.1"),
    "3.14": ("5.2", "6.0", "6.1"),
    "3.14t": ("6.1",),  # free-threaded
}

# The others are about the repository or about other programs, and need one Python.
TESTS = [f"tests/{name}" for name in ("unit", "contract", "integration", "outage", "conformance")]


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
        run_pip(venv_python, ".[dev]", f"django~={django}.0")
        stamp.touch()
    return venv_python


def run_pip(venv_python: Path, *arguments: str | Path) -> None:
    install = [venv_python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, *arguments], check=True, cwd=ROOT)


def link_tests() -> None:
    """Make the folder in which the tests run; the package is not in it, nor on its path."""
    shutil.rmtree(INSTALLED, ignore_errors=True)
    INSTALLED.mkdir(parents=True)
    for path in ROOT.iterdir():
        if path.name not in {"continuum_upstash", "build"}:
            (INSTALLED / path.name).symlink_to(path)


def build_package(venv_python: Path, target: str) -> Path:
    """Return the file of the wheel or the sdist; each is the same for all Pythons."""
    dist = INSTALLED.parent / f"installed-{target}"
    shutil.rmtree(dist, ignore_errors=True)
    build = [venv_python, "-m", "hatchling", "build", "--target", target, "--directory", dist]
    subprocess.run(build, check=True, cwd=ROOT, capture_output=True)
    (built,) = dist.iterdir()
    return built


def install_package(venv_python: Path, built: Path) -> None:
    run_pip(venv_python, "--force-reinstall", "--no-deps", "--no-build-isolation", built)
    code = "import continuum_upstash; print(continuum_upstash.__file__)"
    find = [venv_python, "-c", code]
    path = subprocess.run(find, check=True, cwd=INSTALLED, capture_output=True, text=True).stdout
    if "site-packages" not in Path(path).parts:
        sys.exit(f"the tests would import {path.strip()} instead of the installed package")
    print(f"--- {built.name} in {Path(path).parent.parent}", flush=True)


def run_tests(venv_python: Path, arguments: list[str]) -> tuple[bool, str]:
    """Return whether the tests passed, and pytest's last line, such as "12 passed in 3.45s"."""
    command = [venv_python, "-m", "pytest", "-n", "auto", "--dist", "loadfile", "-m", "not slow"]
    last = ""
    with subprocess.Popen(
        [*command, *arguments], cwd=INSTALLED, stdout=subprocess.PIPE, text=True
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            last = line.strip("= \n") or last
    return process.returncode == 0, last


def main(arguments: list[str]) -> int:
    selections = {"sdist": ["tests/conformance"], "wheel": arguments or TESTS}
    built: dict[str, Path] = {}
    results: list[tuple[str, bool, str]] = []
    link_tests()
    for version, djangos in DJANGOS.items():
        python = find_python(version)
        if python is None:
            print(f"Python {version} is not installed")
            continue
        for django in djangos:
            pair = f"Python {version}, Django {django}"
            print(f"\n=== {pair}", flush=True)
            venv_python = prepare_environment(python, version, django)
            for target, selected in selections.items():
                if target not in built:
                    built[target] = build_package(venv_python, target)
                install_package(venv_python, built[target])
                results.append((f"{pair}, {target}", *run_tests(venv_python, selected)))
    print()
    for name, passed, summary in results:
        print(f"{name:34} {summary if passed else f'FAILED: {summary}'}")
    return 0 if results and all(passed for _, passed, _ in results) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
