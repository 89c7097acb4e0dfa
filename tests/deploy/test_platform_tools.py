"""Vercel and Cloudflare build what deploy/ contains, by their own tools; in make test-deploy."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest

from tests.deploy.conftest import DEPLOY, PROJECT

NPM = Path(__file__).parent / "npm"
TOOLS = NPM / "node_modules" / ".bin"
VERCEL = DEPLOY / "vercel"


# Sends a request to a function as Vercel's runtime does.
REQUEST_FUNCTION = """
import base64, json, sys
from vc__handler__python import vc_handler
request = {"method": "GET", "path": sys.argv[1], "headers": {"host": "localhost"}, "body": ""}
response = vc_handler({"body": json.dumps(request)}, None)
print(response["statusCode"], base64.b64decode(response["body"]).decode())
"""


def find_python_of_vercel() -> str | None:
    """The folder of a Python that Vercel supports: 3.12 or newer."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    for version in ("3.14", "3.13", "3.12"):
        found = sorted(map(str, pyenv.glob(f"versions/{version}.*[0-9]/bin/python{version}")))
        for candidate in (*found, shutil.which(f"python{version}")):
            # A shim of pyenv for an inactive version fails.
            if candidate and not subprocess.run([candidate, "-c", ""], check=False).returncode:
                return str(Path(candidate).parent)
    return None


def read_setting(expression: str, **variables: str) -> str:
    """Print a setting of the site in a process that has no other variables."""
    code = f"from django.conf import settings; print(settings.{expression})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT,
        env={"DJANGO_SETTINGS_MODULE": "mysite.settings", **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def run(command: list[str | Path], folder: Path, **variables: str) -> str:
    inherited = {key: os.environ[key] for key in os.environ if key != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        command,
        cwd=folder,
        env={**inherited, **variables},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_the_entry_point_of_vercel_is_the_one_with_the_maximum_duration():
    entry_point = tomllib.loads((VERCEL / "pyproject.toml").read_text())["tool"]["vercel"]
    module, _ = entry_point["entrypoint"].split(":")
    path = f"{module.replace('.', '/')}.py"
    assert (PROJECT / path).exists()
    configuration = json.loads((VERCEL / "vercel.json").read_text())
    assert set(configuration["functions"]) == {path}
    assert [cron["path"] for cron in configuration["crons"]] == ["/health/ready/"]


def test_vercel_may_import_the_settings_without_secrets():
    assert read_setting("ASGI_APPLICATION") == "mysite.asgi.application\n"


def test_the_variables_of_vercel_select_a_second_database_for_sessions():
    assert read_setting("CACHES['sessions']['OPTIONS']") == "{}\n"
    options = read_setting("CACHES['sessions']['OPTIONS']", SESSIONS_KV_REST_API_URL="https://a")
    assert options == "{'ENV_PREFIX': 'SESSIONS_'}\n"


@pytest.mark.skipif(
    "DEPLOY_INSTALL" not in os.environ, reason="installs packages, in make test-deploy"
)
@pytest.mark.skipif(not (TOOLS / "vercel").exists(), reason="the tools are not installed by npm")
def test_vercel_builds_the_site_and_its_runtime_serves_it(tmp_path, emulator):
    python, uv = find_python_of_vercel(), shutil.which("uv", path=Path(sys.executable).parent)
    if python is None or uv is None:
        pytest.skip("Python 3.12 or uv is not installed")
    folder = tmp_path / "site"
    shutil.copytree(PROJECT, folder)
    for name in ("vercel.json", "pyproject.toml"):
        shutil.copy(VERCEL / name, folder)
    wheel = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder / "wheels"]
    run([*wheel, DEPLOY.parent], tmp_path)
    link = {"projectId": "prj_1", "orgId": "team_1", "settings": {"framework": "django"}}
    (folder / ".vercel").mkdir()
    (folder / ".vercel" / "project.json").write_text(json.dumps(link))
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "uv").symlink_to(uv)
    path = os.pathsep.join([python, str(tools), os.environ["PATH"]])
    run([TOOLS / "vercel", "build", "--yes"], folder, PATH=path, VERCEL_TELEMETRY_DISABLED="1")

    output = folder / ".vercel" / "output"
    function = output / "functions" / "django.func"
    configuration = json.loads((function / ".vc-config.json").read_text())
    assert configuration["maxDuration"] == 30
    packaged = configuration["filePathMap"]
    assert {"manage.py", "mysite/asgi.py", "mysite/templates/home.html"} <= packaged.keys()
    assert "_vendor/continuum_upstash/backend.py" in packaged
    assert '"mysite.asgi"' in (function / "vc__handler__python.py").read_text()
    crons = json.loads((output / "config.json").read_text())["crons"]
    assert crons == json.loads((VERCEL / "vercel.json").read_text())["crons"]

    unpacked = tmp_path / "function"
    for name, source in packaged.items():
        (unpacked / name).parent.mkdir(parents=True, exist_ok=True)
        (unpacked / name).symlink_to(folder / source)
    shutil.copy(function / "vc__handler__python.py", unpacked)
    variables = {
        "PYTHONPATH": "_vendor",
        "DJANGO_SECRET_KEY": "of-the-tests",
        "KV_REST_API_URL": emulator.rest_url,
        "KV_REST_API_TOKEN": emulator.token,
    }
    for path, expected in {
        "/": "200 <!doctype html>",
        "/health/ready/": '200 {"status": "ok"',
    }.items():
        command = [Path(python) / "python3", "-c", REQUEST_FUNCTION, path]
        assert expected in run(command, unpacked, **variables)


@pytest.mark.skipif(not (TOOLS / "wrangler").exists(), reason="the tools are not installed by npm")
def test_wrangler_bundles_the_worker(tmp_path):
    for name in ("typescript", "cloudflare-worker"):
        shutil.copytree(
            DEPLOY / name, tmp_path / name, ignore=shutil.ignore_patterns("node_modules")
        )
    (tmp_path / "node_modules").symlink_to(NPM / "node_modules")
    output = run(
        [TOOLS / "wrangler", "deploy", "--dry-run", "--outdir", tmp_path / "bundle"],
        tmp_path / "cloudflare-worker",
        WRANGLER_SEND_METRICS="false",
    )
    assert "env.UPSTASH_REDIS_REST_URL" in output
    assert "continuum:session:" in (tmp_path / "bundle" / "index.js").read_text()
    (size,) = re.findall(r"gzip: ([\d.]+) KiB", output)
    assert float(size) < 1024, "the free plan allows 3 MiB"


# What create-next-app writes, as far as this route needs it.
NEXT_TSCONFIG = {
    "compilerOptions": {
        "lib": ["dom", "dom.iterable", "esnext"],
        "module": "esnext",
        "moduleResolution": "bundler",
        "strict": True,
        "noEmit": True,
        "skipLibCheck": True,
        "jsx": "react-jsx",
        "paths": {"@/*": ["./*"]},
    },
}


@pytest.mark.skipif(
    "DEPLOY_INSTALL" not in os.environ, reason="takes 10 seconds, in make test-deploy"
)
@pytest.mark.skipif(not (TOOLS / "next").exists(), reason="the tools are not installed by npm")
def test_next_builds_the_route_without_secrets_and_for_each_request():
    # Beside node_modules: Turbopack follows no link out of its root folder.
    with tempfile.TemporaryDirectory(prefix="next-", dir=NPM) as name:
        folder = Path(name)
        shutil.copytree(VERCEL / "nextjs" / "app", folder / "app")
        (folder / "lib").mkdir()
        shutil.copy(DEPLOY / "typescript" / "upstash-cache.ts", folder / "lib")
        (folder / "package.json").write_text('{"private": true}')
        (folder / "tsconfig.json").write_text(json.dumps(NEXT_TSCONFIG))
        # Next.js announces this option as a future default. It excludes older options of a route.
        (folder / "next.config.mjs").write_text("export default { cacheComponents: true };")
        output = run([TOOLS / "next", "build"], folder, NEXT_TELEMETRY_DISABLED="1")
    assert "ƒ /api/greeting" in output, "the response is made once, by the build"
