"""The site on AWS Lambda: by the Web Adapter's command, and by a handler with recorded events."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml

from continuum_upstash.emulator.process import running
from tests.deploy.conftest import DEPLOY, PROJECT
from tests.deploy.runtime_api import run_function
from tests.deploy.test_manifests import README, needs, run
from tests.ports import find_free_port

FOLDER = DEPLOY / "aws-lambda"
EVENTS = sorted((Path(__file__).parent / "events").glob("*.json"))
SECRET = "mysite"


def load_aws_secrets():
    specification = importlib.util.spec_from_file_location("aws_secrets", FOLDER / "aws_secrets.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


class SecretsManager:
    """Counts the reads of a secret."""

    def __init__(self):
        self.reads, self.token, self.failure = 0, "old", None

    def read(self, secret_id):
        assert secret_id == SECRET
        self.reads += 1
        if self.failure:
            raise self.failure
        return json.dumps({"TOKEN": self.token})


@pytest.fixture
def manager():
    return SecretsManager()


@pytest.fixture
def clock(monkeypatch):
    """The time that the module sees, in a list with one number."""
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


@pytest.fixture
def token(manager, clock):
    module = load_aws_secrets()
    return module.SecretValue(module.Secret(SECRET, manager.read), "TOKEN")


def test_a_secret_is_kept_for_five_minutes(token, manager, clock):
    assert [token(), token()] == ["old", "old"]
    manager.token = "new"
    clock[0] += 299
    assert (token(), manager.reads) == ("old", 1)
    clock[0] += 1
    assert (token(), manager.reads) == ("new", 2)


def test_a_rejected_token_is_read_again_but_not_for_each_request(token, manager, clock):
    assert token() == "old"
    manager.token = "new"
    assert [token.renew(), token(), token.renew()] == ["new"] * 3
    assert manager.reads == 2
    clock[0] += 5
    assert (token.renew(), manager.reads) == ("new", 3)


def test_an_outage_of_secrets_manager_keeps_the_last_values(token, manager, clock, caplog):
    assert token() == "old"
    manager.failure = OSError("of the test")
    clock[0] += 300
    assert [token() for _ in range(3)] == ["old"] * 3
    assert manager.reads == 2
    assert caplog.messages == [
        "Secrets Manager: the secret was not read; the last values are used."
    ]
    manager.failure, manager.token = None, "new"
    clock[0] += 5
    assert token() == "new"


def test_without_a_first_value_the_failure_is_raised(token, manager):
    manager.failure = OSError("of the test")
    with pytest.raises(OSError, match="of the test"):
        token()


@pytest.fixture
def lambda_environment():
    """Start the site's folder as the zip has it: everything beside each other."""
    return {"PYTHONPATH": os.pathsep.join(map(str, (FOLDER, PROJECT)))}


def test_the_web_adapters_command_serves_the_site_after_a_freeze(
    start_site, site_environment, lambda_environment, tmp_path
):
    """All kept connections are closed by a restart of the database's front meanwhile."""
    with ExitStack() as stack:
        port = find_free_port()
        options = f"--port={port}", "--token=t"
        database = stack.enter_context(ExitStack())
        emulator = database.enter_context(running(*options))
        site = stack.enter_context(
            start_site(
                [str(FOLDER / "run.sh")],
                port_variable="AWS_LWA_PORT",
                UPSTASH_REDIS_REST_URL=emulator.rest_url,
                UPSTASH_REDIS_REST_TOKEN="t",
                **lambda_environment,
            )
        )
        assert "visited 1 times" in site.get("/")[2]
        site.signal_all(signal.SIGSTOP)
        database.close()
        emulator = database.enter_context(running(*options))
        site.signal_all(signal.SIGCONT)
        status, _, page = site.get("/")
        assert (status, "visited 1 times, 1 times by you" in page) == (200, True)
        assert emulator.read_usage().billed, "the page was not served from the local store"


def read_template():
    class Loader(yaml.SafeLoader):
        pass

    # Functions of CloudFormation, such as !If: only their arguments matter here.
    Loader.add_multi_constructor("!", construct_arguments)
    return yaml.load((FOLDER / "template.yaml").read_text(), Loader)


def construct_arguments(loader, _suffix, node):
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)


def test_the_template_fits_the_files():
    resources = read_template()["Resources"]
    function = resources["Site"]["Properties"]
    variables = function["Environment"]["Variables"]
    assert function["Handler"] == ["UsesWebAdapter", "run.sh", "handler.handler"]
    assert os.access(FOLDER / "run.sh", os.X_OK)
    of_aws = {"AWS_LAMBDA_EXEC_WRAPPER", "AWS_LWA_PORT", "AWS_LWA_READINESS_CHECK_PATH"}
    read = set(re.findall(r"`([A-Z_]+)`", README)) | {"DJANGO_SETTINGS_MODULE", "SECRET_ARN"}
    assert set(variables) - of_aws <= read
    assert variables["AWS_LWA_READINESS_CHECK_PATH"] == "/health/live/"
    assert f"AWS_LWA_PORT:-{variables['AWS_LWA_PORT']}" in (FOLDER / "run.sh").read_text()
    version = function["Runtime"].removeprefix("python")
    assert f"PYTHON_VERSION:-{version}" in (FOLDER / "build.sh").read_text()
    (policy,) = resources["SiteRole"]["Properties"]["Policies"]
    actions = [statement["Action"] for statement in policy["PolicyDocument"]["Statement"]]
    assert actions == [
        "secretsmanager:GetSecretValue",
        ["logs:CreateLogStream", "logs:PutLogEvents"],
    ]


@needs("cfnlint")
def test_the_template_is_valid(tmp_path):
    program = Path(sys.executable).parent / "cfn-lint"
    run(program, FOLDER / "template.yaml")
    wrong = tmp_path / "template.yaml"
    wrong.write_text((FOLDER / "template.yaml").read_text().replace("MemorySize", "MemorySise"))
    done = subprocess.run([program, wrong], capture_output=True, check=False)
    assert done.returncode != 0


@pytest.fixture
def secrets_manager():
    """Moto's Secrets Manager, with a function that stores the tokens."""
    pytest.importorskip("moto", reason="moto is part of make test-deploy")
    import boto3  # noqa: PLC0415 - part of make test-deploy
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - as above

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    variables = {
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": f"http://{host}:{port}",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "SECRET_ARN": SECRET,
    }
    client = boto3.client(
        "secretsmanager",
        endpoint_url=f"http://{host}:{port}",
        region_name="eu-central-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )

    def store(token):
        text = json.dumps(
            {
                "DJANGO_SECRET_KEY": "of-the-tests",
                "UPSTASH_REDIS_REST_TOKEN": token,
                "SESSIONS_UPSTASH_REDIS_REST_TOKEN": token,
            }
        )
        if client.list_secrets()["SecretList"]:
            client.put_secret_value(SecretId=SECRET, SecretString=text)
        else:
            client.create_secret(Name=SECRET, SecretString=text)

    yield variables, store
    client.close()
    server.stop()


@needs("awslambdaric")
@needs("apig_wsgi")
def test_the_handler_serves_recorded_events_with_a_rotated_secret_and_after_a_freeze(
    site_environment, lambda_environment, secrets_manager
):
    variables, store = secrets_manager
    store("old")
    port = find_free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        **site_environment,
        **lambda_environment,
        **variables,
        "DJANGO_SETTINGS_MODULE": "lambda_settings",
        "DJANGO_ALLOWED_HOSTS": ".amazonaws.com,.on.aws",
        "TRUSTED_PROXIES": "1",
        "UPSTASH_REDIS_REST_URL": url,
        "SESSIONS_UPSTASH_REDIS_REST_URL": url,
    }
    for name in ("DJANGO_SECRET_KEY", "UPSTASH_REDIS_REST_TOKEN"):
        environment.pop(name)
    with run_function(FOLDER, environment) as (api, process):
        with running(f"--port={port}", "--token=old") as emulator:
            for path in EVENTS:
                response = api.invoke(json.loads(path.read_text()))
                assert response["statusCode"] == 200, path
                assert json.loads(response["body"]) == {"visits": 0}
            # All events are from one client, whose rate limit they share.
            event = json.loads(EVENTS[0].read_text())
            statuses = [api.invoke(event)["statusCode"] for _ in range(7)]
            assert statuses == [200] * 6 + [429]
            assert emulator.read_usage().billed > 10
        process.send_signal(signal.SIGSTOP)
        store("new")
        with running(f"--port={port}", "--token=new") as emulator:
            process.send_signal(signal.SIGCONT)
            response = api.invoke({**event, "path": "/"})
            assert "visited 1 times, 1 times by you" in response["body"]
            assert emulator.read_usage().billed, "the renewed token was not used"


@pytest.mark.skipif(
    "DEPLOY_INSTALL" not in os.environ, reason="installs packages, in make test-deploy"
)
def test_the_zip_serves_the_site(start_site, tmp_path):
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    folder, wheels = tmp_path / "deploy" / "aws-lambda", tmp_path / "deploy" / "project" / "wheels"
    wheel = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", wheels]
    subprocess.run([*wheel, DEPLOY.parent], check=True)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    environment = {
        **os.environ,
        "PYTHON_VERSION": version,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    subprocess.run([folder / "build.sh"], env=environment, check=True)
    assert (folder / "site.zip").stat().st_size < 50e6, "the limit of a direct upload"
    unpacked = tmp_path / "task"
    with zipfile.ZipFile(folder / "site.zip") as archive:
        assert archive.getinfo("run.sh").external_attr >> 16 & 0o111 == 0o111
        archive.extractall(unpacked)
    python = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", python], check=True)
    with start_site(
        ["sh", "run.sh"],
        folder=unpacked,
        port_variable="AWS_LWA_PORT",
        PYTHONPATH=str(unpacked),
        PATH=f"{python}/bin:/usr/bin:/bin",
    ) as site:
        assert site.get("/")[0] == 200
