"""The wheel, installed in an empty environment with the settings of the README."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

from continuum_upstash.emulator.process import Emulator

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow

PROGRAM = """
import continuum_upstash, django

django.setup()
from django.core.cache import cache

cache.set("greeting", {"hello": "world"}, timeout=60)
print(cache.get("greeting"), cache.current_backend)
print(continuum_upstash.__file__)
"""


def run(*command: str | Path, **environ: str) -> str:
    plain = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.run(
        command, env=plain | environ, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    readme = (ROOT / "README.md").read_text()
    (arguments,) = re.findall(
        r"^python (-m pip wheel .*) --wheel-dir dist \.$", readme, re.MULTILINE
    )
    run(sys.executable, *arguments.split(), "--quiet", "--wheel-dir", folder, ROOT)
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {name.split("/")[0].split("-")[0] for name in names} == {"continuum_upstash"}
    shipped = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "continuum_upstash").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if ".dist-info/" not in name} == shipped


def test_the_settings_of_the_readme_work_in_an_empty_environment(
    wheel, tmp_path, upstash_emulator: Emulator
):
    venv.create(tmp_path / "venv")
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "--quiet", "--disable-pip-version-check", wheel)

    project = tmp_path / "project"
    project.mkdir()
    run(python, "-m", "django", "startproject", "shop", project)
    readme = (ROOT / "README.md").read_text()
    (snippet,) = re.findall(
        r"^```python\n(# settings\.py\n.*?)^```$", readme, re.DOTALL | re.MULTILINE
    )
    with (project / "shop" / "settings.py").open("a") as settings:
        settings.write(snippet)
    (project / "program.py").write_text(PROGRAM)

    output = run(
        python,
        project / "program.py",
        DJANGO_SETTINGS_MODULE="shop.settings",
        UPSTASH_REDIS_REST_URL=upstash_emulator.rest_url,
        UPSTASH_REDIS_REST_TOKEN=upstash_emulator.token,
    )
    result, path = output.splitlines()
    assert result == "{'hello': 'world'} upstash-rest"
    assert Path(path).is_relative_to(tmp_path)
