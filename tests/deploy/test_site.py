"""The commands of the platform folders start the site, and its probes see it."""

from __future__ import annotations

import getpass
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from tests.deploy.conftest import DEPLOY, PROJECT, read_stage
from tests.ports import find_free_port

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")


@pytest.fixture
def serve_by_nginx(tmp_path):
    """Return a function that starts nginx with our configuration in front of a Unix socket."""
    processes = []

    def serve(socket: Path) -> int:
        port, plain = find_free_port(), find_free_port()
        certificate = trustme.CA().issue_cert("localhost")
        certificate.private_key_and_cert_chain_pem.write_to_path(tmp_path / "all.pem")
        site = (DEPLOY / "vm" / "nginx.conf").read_text()
        for old, new in {
            "/run/mysite/gunicorn.sock": str(socket),
            "listen 80;": f"listen 127.0.0.1:{plain};",
            "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
            "/etc/ssl/mysite/fullchain.pem": str(tmp_path / "all.pem"),
            "/etc/ssl/mysite/privkey.pem": str(tmp_path / "all.pem"),
        }.items():
            assert old in site
            site = site.replace(old, new)
        configuration = tmp_path / "nginx.conf"
        user = f"user {getpass.getuser()};" if os.geteuid() == 0 else ""  # may use the socket
        configuration.write_text(
            f"{user} pid {tmp_path}/nginx.pid; daemon off; error_log errors.log; events {{}}\n"
            f"http {{ access_log off; {site} }}\n"
        )
        processes.append(
            subprocess.Popen(
                [NGINX, "-p", tmp_path, "-c", configuration, "-e", tmp_path / "errors"]
            )
        )
        return port

    yield serve
    for process in processes:
        process.terminate()
        process.wait(timeout=20)


def read_command(stage: str) -> list[str]:
    """The command that a container of the stage runs."""
    (command,) = re.findall(r"^CMD (\[.*\])$", read_stage(stage), re.MULTILINE)
    return json.loads(command)


def read_exec_start(unit: str, socket: Path) -> list[str]:
    """The command of a systemd unit, with this environment's programs and a socket of the test."""
    (command,) = re.findall(r"^ExecStart=(.*)$", (DEPLOY / "vm" / unit).read_text(), re.MULTILINE)
    command = command.replace("/srv/mysite/.venv/bin", str(Path(sys.executable).parent))
    return re.sub(r"/run/mysite/\w+\.sock", str(socket), command).split()


def check_site(site):
    status, _, page = site.get("/")
    assert status == 200
    assert "This page was visited 1 times, 1 times by you." in page
    assert site.get("/health/ready/")[0] == 200
    statuses = [site.get("/api/visits/")[0] for _ in range(11)]
    assert statuses == [200] * 10 + [429]


def test_the_image_serves_the_site_and_its_health_check_passes(start_site, site_environment):
    (health_check,) = re.findall(
        r"^HEALTHCHECK .*? CMD (\[.*\])$", read_stage("site"), re.MULTILINE
    )
    with start_site(read_command("site")) as site:
        check_site(site)
        assert site.get("/", Host="evil.example")[0] == 400
        environment = {**site_environment, "PORT": str(site.port)}
        assert (
            subprocess.run(json.loads(health_check), env=environment, check=False).returncode == 0
        )
    stopped = subprocess.run(
        json.loads(health_check), env=environment, capture_output=True, check=False
    )
    assert stopped.returncode != 0, "the container would never be replaced"


def test_the_procfile_starts_the_site_as_the_image_does():
    name, command = (DEPLOY / "vm" / "Procfile").read_text().strip().split(": ", 1)
    assert (name, ["sh", "-c", f"exec {command}"]) == ("web", read_command("site"))


@pytest.mark.parametrize("variable", ["DJANGO_SECRET_KEY", "UPSTASH_REDIS_REST_TOKEN"])
def test_a_missing_variable_is_named(variable, site_environment):
    site_environment.pop(variable)
    done = subprocess.run(
        [
            sys.executable,
            "manage.py",
            "check",
            "--deploy",
            "--tag=continuum_upstash_live",
            "--tag=security",
            "--tag=caches",
        ],
        cwd=PROJECT,
        env=site_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert variable.removeprefix("DJANGO_") in done.stderr


def test_the_release_check_passes(site_environment):
    """The command that fly.toml and the READMEs run before a release."""
    command = "python manage.py check --deploy --tag continuum_upstash_live"
    assert command in (DEPLOY / "fly" / "fly.toml").read_text()
    done = subprocess.run(
        command.split(),
        cwd=PROJECT,
        env=site_environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (
        0,
        "System check identified no issues (0 silenced).\n",
    )


def test_two_databases_leave_only_advice_about_https(site_environment):
    for name in ("URL", "TOKEN"):
        site_environment[f"SESSIONS_UPSTASH_REDIS_REST_{name}"] = site_environment[
            f"UPSTASH_REDIS_REST_{name}"
        ]
    site_environment |= {
        "DJANGO_HTTPS": "1",
        "DJANGO_SECRET_KEY": "k3y-" * 20 + "of many letters",
        "TRUSTED_PROXIES": "1",
    }
    done = subprocess.run(
        [sys.executable, "manage.py", "check", "--deploy"],
        cwd=PROJECT,
        env=site_environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(re.findall(r"\(([\w.]+\.[EW]\d+)\)", done.stderr)) == {
        "continuum_upstash.W016",  # here the two databases are one
        "security.W004",
        "security.W008",
    }


@pytest.mark.skipif(not NGINX, reason="nginx is not installed")
@pytest.mark.parametrize("unit", ["mysite.service", "mysite-asgi.service"])
def test_systemd_and_nginx_serve_the_site(unit, start_site, serve_by_nginx, tmp_path):
    socket = tmp_path / "site.sock"
    port = serve_by_nginx(socket)
    variables = {"DJANGO_HTTPS": "1", "DJANGO_ALLOWED_HOSTS": "localhost", "TRUSTED_PROXIES": "1"}
    with start_site(read_exec_start(unit, socket), tls_port=port, **variables) as site:
        check_site(site)
        _, headers, _ = site.get("/")
        assert "; Secure" in headers["Set-Cookie"], "Django knows that the client uses HTTPS"
        refused = site.get("/api/visits/", X_Forwarded_For="192.0.2.1")
        assert refused[0] == 429, "a client cannot choose its address"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
@pytest.mark.parametrize("unit", ["mysite.service", "mysite-asgi.service"])
def test_the_units_are_valid(unit, tmp_path):
    text = (DEPLOY / "vm" / unit).read_text()
    copy = tmp_path / unit
    copy.write_text(text.replace("/srv/mysite/.venv/bin/", f"{Path(sys.executable).parent}/"))
    done = subprocess.run(
        ["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(
    "DEPLOY_INSTALL" not in os.environ, reason="installs packages, in make test-deploy"
)
def test_the_steps_of_the_image_install_what_its_command_needs(start_site, tmp_path):
    folder = tmp_path / "site"
    shutil.copytree(PROJECT, folder)
    wheel = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", folder / "wheels"]
    subprocess.run([*wheel, DEPLOY.parent], check=True)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for step in re.findall(r"^RUN (.*)$", read_stage("build") + read_stage("site"), re.MULTILINE):
        command = step.replace("/venv", str(tmp_path / "venv"))
        subprocess.run(["sh", "-c", command], cwd=folder, env=environment, check=True)
    with start_site(
        read_command("site"), folder=folder, PATH=f"{tmp_path}/venv/bin:/usr/bin:/bin"
    ) as site:
        check_site(site)
