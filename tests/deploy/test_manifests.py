"""The files of the platforms are valid, and agree with the site that they deploy."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.conftest import DEPLOY, PROJECT, read_stage

COMPOSE = sorted((DEPLOY / "docker").glob("compose*.yaml"))
OVERLAYS = sorted(path for path in (DEPLOY / "kubernetes" / "overlays").iterdir())
# The template of AWS Lambda has CloudFormation's functions: test_lambda.py.
YAML = sorted(path for path in DEPLOY.rglob("*.yaml") if "aws-lambda" not in path.parts)
ENV_FILES = sorted(DEPLOY.rglob("*.env"))
FLY = DEPLOY / "fly" / "fly.toml"
DOCKERFILE = DEPLOY / "docker" / "Dockerfile"
README = (PROJECT / "README.md").read_text()


def get_name(path: Path) -> str:
    return str(path.relative_to(DEPLOY))


def needs(module: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        importlib.util.find_spec(module) is None, reason=f"{module} is part of make test-deploy"
    )


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def find_values(value: Any, key: str) -> Iterator[Any]:
    """All values of a key, at any depth."""
    if isinstance(value, dict):
        if key in value:
            yield value[key]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from find_values(item, key)


def list_variables(path: Path) -> set[str]:
    """The environment variables that a file sets for the site."""
    if path.suffix == ".env":
        return set(re.findall(r"^(\w+)=", path.read_text(), re.MULTILINE))
    if path.name == "fly.toml":
        return set(tomllib.loads(path.read_text())["env"])
    variables: set[str] = set()
    for document in yaml.safe_load_all(path.read_text()):
        for listed in find_values(document, "env"):
            variables |= {item["name"] for item in listed}
        for mapping in find_values(document, "environment"):
            variables |= set(mapping)
    return variables


@pytest.mark.parametrize(
    "path", [*YAML, *DEPLOY.rglob("*.env"), DEPLOY / "fly" / "fly.toml"], ids=str
)
def test_every_variable_is_one_that_the_site_reads(path):
    known = set(re.findall(r"`([A-Z_]+)`", README))
    known |= {f"{variable}_FILE" for variable in known if "UPSTASH" in variable}
    assert list_variables(path) <= known


def test_the_readme_lists_the_variables_of_the_settings():
    name = "((?:DJANGO|TRUSTED|PROXY)_[A-Z_]+)"
    settings = (PROJECT / "mysite" / "settings.py").read_text()
    assert set(re.findall(f'"{name}"', settings)) == set(re.findall(f"`{name}`", README))


@pytest.mark.parametrize("path", COMPOSE, ids=get_name)
def test_compose_builds_stages_that_exist(path):
    for service in yaml.safe_load(path.read_text())["services"].values():
        build = service["build"]
        assert read_stage(build["target"])
        assert (path.parent / build["context"]).resolve() == PROJECT
        assert (PROJECT / build["dockerfile"]).resolve() == DOCKERFILE


def test_the_image_copies_what_the_site_needs():
    for source in re.findall(
        r"^COPY (?!--)(\S+) ", read_stage("build") + read_stage("site"), re.MULTILINE
    ):
        assert (PROJECT / source).exists()


def test_a_plain_build_of_the_dockerfile_makes_the_site():
    """Cloud Run and others build the last stage."""
    stages = re.findall(
        r"^FROM \S+ AS (\w+)$", (DEPLOY / "docker" / "Dockerfile").read_text(), re.MULTILINE
    )
    assert stages[-1] == "site"
    assert tomllib.loads(FLY.read_text())["build"]["build-target"] == "site"


@pytest.mark.parametrize("path", YAML, ids=get_name)
def test_probes_use_the_health_endpoints_and_an_allowed_host(path):
    for document in yaml.safe_load_all(path.read_text()):
        for probe in find_values(document, "httpGet"):
            assert probe["path"] in ("/health/live/", "/health/ready/")
            assert probe["httpHeaders"] == [{"name": "Host", "value": "localhost"}]
        for env in find_values(document, "env"):
            (hosts,) = [item["value"] for item in env if item["name"] == "DJANGO_ALLOWED_HOSTS"]
            assert "localhost" in hosts.split(",")


def test_a_stopped_site_has_time_for_the_requests_that_gunicorn_has_accepted():
    """gunicorn waits 30 s for them after SIGTERM, and not at all after SIGINT."""
    fly = tomllib.loads(FLY.read_text())
    assert fly["kill_signal"] == "SIGTERM"
    compose = yaml.safe_load((DEPLOY / "docker" / "compose.production.yaml").read_text())
    deployment = (DEPLOY / "kubernetes" / "base" / "deployment.yaml").read_text()
    pod = yaml.safe_load(deployment)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    before_the_signal = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert int(fly["kill_timeout"].removesuffix("s")) > 30
    assert int(compose["services"]["site"]["stop_grace_period"].removesuffix("s")) > 30
    assert pod["terminationGracePeriodSeconds"] > 30 + before_the_signal


@pytest.mark.parametrize("overlay", OVERLAYS, ids=get_name)
def test_an_overlay_creates_its_namespace(overlay):
    base = DEPLOY / "kubernetes" / "base"
    namespace = yaml.safe_load((base / "namespace.yaml").read_text())
    assert "namespace.yaml" in (base / "kustomization.yaml").read_text()
    kustomization = yaml.safe_load((overlay / "kustomization.yaml").read_text())
    assert "../../base" in kustomization["resources"]
    assert kustomization["namespace"] == namespace["metadata"]["name"]


@needs("check_jsonschema")
@pytest.mark.parametrize("path", COMPOSE, ids=get_name)
def test_compose_files_fit_the_specification(path):
    run(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", path)


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
@needs("kubernetes_validate")
@pytest.mark.parametrize("overlay", OVERLAYS, ids=get_name)
def test_kubernetes_objects_fit_their_schemas(overlay, tmp_path):
    copy = tmp_path / "kubernetes"
    shutil.copytree(DEPLOY / "kubernetes", copy)
    folder = copy / "overlays" / overlay.name
    if (folder / "example.secret.env").exists():
        (folder / "example.secret.env").rename(folder / "secret.env")
    objects = tmp_path / "objects.yaml"
    with objects.open("w") as output:
        subprocess.run(["kubectl", "kustomize", folder], stdout=output, check=True)
    run(sys.executable, "-m", "kubernetes_validate", "--strict", objects)


@pytest.mark.skipif(
    not shutil.which("hadolint", path=Path(sys.executable).parent),
    reason="hadolint is part of make test-deploy",
)
def test_the_dockerfile_has_no_findings():
    run(Path(sys.executable).parent / "hadolint", DOCKERFILE)
