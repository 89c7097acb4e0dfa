from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from continuum_upstash.backend import get_cache
from continuum_upstash.errors import ConnectionFailed
from continuum_upstash.stats.shared.schema import day_key
from continuum_upstash.transports import registry
from tests.integration.cache_entries import BACKEND, make_entry
from tests.integration.management.command_runs import run_command
from tests.ports import find_free_port


@pytest.fixture(autouse=True)
def sessions_in_sql(site):
    site.SESSION_ENGINE = "django.contrib.sessions.backends.db"


# The doctor also reports what went wrong in this process today: in other tests.
pytestmark = pytest.mark.usefixtures("new_process_state")


def examine(*arguments):
    run = run_command("cache_doctor", "--format", "json", *arguments)
    (only,) = run.json["caches"]
    return run, {each["name"]: each for each in only["findings"]}


@pytest.mark.parametrize("transport", ["rest", "tcp"])
def test_a_healthy_database_passes_all_checks(transport, emulator, settings):
    settings.CACHES = {"default": make_entry(emulator, transport)}
    run, found = examine()
    assert run.code == 0
    assert {each["outcome"] for each in found.values()} <= {"ok", "info"}
    assert {"connection", "round trip", "clock", "token", "eviction", "quota"} <= found.keys()
    assert found["configuration"]["detail"].endswith("from LOCATION, token from OPTIONS") or (
        transport == "tcp"
    )


def test_the_commands_of_the_server_are_listed(valkey, settings):
    settings.CACHES = {"default": {"BACKEND": BACKEND, "LOCATION": valkey.url}}
    _, found = examine()
    assert found["features"]["outcome"] == "ok"
    assert "EVAL" in found["features"]["detail"]
    assert "; not DELEX" in found["features"]["detail"]


def test_text_output():
    run = run_command("cache_doctor")
    assert (run.code, run.err) == (0, "")
    assert "Cache 'default'" in run.out
    assert "20 pings" in run.out


def test_the_checks_cost_a_few_commands(emulator):
    with emulator.count() as spent:
        examine()
    assert spent.billed <= 40


def test_the_write_check_reports_success_and_failure(emulator):
    _, found = examine("--write")
    assert found["write"]["outcome"] == "ok"
    with emulator.fault("capacity"):
        run, found = examine("--write")
    assert (run.code, found["write"]["outcome"]) == (1, "failed")
    assert found["write"]["fix"]


def test_a_read_only_token_is_detected(emulator, settings):
    settings.CACHES = {"default": make_entry(emulator, OPTIONS={"TOKEN": emulator.read_only_token})}
    run, found = examine()
    assert (run.code, found["token"]["outcome"]) == (1, "failed")
    assert "standard token" in found["token"]["fix"]


def test_write_permission_is_claimed_only_after_a_write():
    assert "--write tests" in examine()[1]["token"]["detail"]
    assert "--write" not in examine("--write")[1]["token"]["detail"]


def test_an_unknown_pricing_plan_fails_only_the_quota_check(settings):
    settings.CONTINUUM_STATS = {"PLAN": "gold"}
    run, found = examine("--write")
    assert (run.code, found["connection"]["outcome"], found["write"]["outcome"]) == (
        1,
        "ok",
        "ok",
    )
    assert (found["quota"]["outcome"], "gold" in found["quota"]["detail"]) == ("failed", True)


def test_an_unreadable_month_is_a_warning():
    get_cache().client.redis.set(day_key("default", datetime.now(UTC)), "text")
    _, found = examine()
    assert found["quota"]["outcome"] == "warning"
    assert "WRONGTYPE" in found["quota"]["detail"]


def test_a_wrong_token_is_distinguished_from_an_outage(emulator, settings):
    settings.CACHES = {"default": make_entry(emulator, OPTIONS={"TOKEN": "wrong-token"})}
    run, found = examine()
    assert (run.code, found["connection"]["outcome"]) == (2, "failed")
    assert "Copy the token" in found["connection"]["fix"]
    assert "wrong-token" not in run.out


def test_a_wrong_token_is_reported_after_it_opened_the_breaker(emulator, settings):
    options = {"TOKEN": "of-another-database"}
    settings.CACHES = {"default": make_entry(emulator, OPTIONS=options)}
    get_cache().get("k")
    assert get_cache().status.state == "open"
    out = run_command("cache_doctor").out
    assert " ".join(out.split()).count("needs the user name default_ro") == 1
    words = [line for line in out.splitlines() if len(line) > 80]
    assert all(len(line.split()) == 1 for line in words)  # the URL in the server's text


def test_an_outage_exits_with_2_and_a_fix(emulator):
    with emulator.fault("refuse"):
        run, found = examine()
    assert (run.code, found["connection"]["outcome"]) == (2, "failed")
    assert "manage.py upstash_emulator" in found["connection"]["fix"]
    assert f":{urlsplit(emulator.rest_url).port})" in found["connection"]["detail"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://db.upstash.io", "Does db.upstash.io resolve from here?"),
        ("http://10.0.0.5:8079", "IP allow list"),
        ("http://localhost:8079", "manage.py upstash_emulator"),
        ("http://[::1]:8079", "manage.py upstash_emulator"),
    ],
)
def test_the_fix_for_an_unreachable_database_depends_on_its_host(url, words, settings, monkeypatch):
    settings.CACHES = {"default": {"BACKEND": BACKEND, "LOCATION": url, "OPTIONS": {"TOKEN": "t"}}}

    def refuse(*_):
        raise ConnectionFailed("Connection refused.", unsent=True)

    monkeypatch.setattr(registry.Database, "send", refuse)
    assert words in examine()[1]["connection"]["fix"]


def test_a_database_that_times_out_fails_the_connection_check(emulator):
    with emulator.fault("latency", seconds=9):
        run, found = examine()
    assert (run.code, found["connection"]["outcome"]) == (2, "failed")


def test_an_exhausted_quota_names_the_plan(emulator):
    with emulator.fault("quota"):
        run, found = examine()
    assert run.code == 2
    assert "plan" in found["connection"]["fix"]


def test_a_wrong_configuration_is_a_finding(settings, emulator):
    settings.CACHES = {"default": make_entry(emulator, OPTIONS={"POOLSIZE": 1})}
    run, found = examine()
    assert (run.code, found["configuration"]["outcome"]) == (2, "failed")
    assert "POOL_SIZE" in found["configuration"]["detail"]


def test_a_local_cache_is_a_warning(settings):
    settings.CACHES = {"default": make_entry(None, "local")}
    assert examine()[0].code == 0
    assert examine("--fail-on", "warning")[0].code == 1


def test_missing_variables_fail_in_production_and_warn_in_debug(settings):
    settings.CACHES, settings.DEBUG = {"default": make_entry(None, "unconfigured")}, False
    run, found = examine()
    assert (run.code, found["configuration"]["outcome"]) == (2, "failed")
    assert "UPSTASH_REDIS_REST_URL" in found["configuration"]["fix"]
    settings.DEBUG = True
    run, found = examine()
    assert (run.code, found["configuration"]["outcome"]) == (0, "warning")


@pytest.mark.parametrize("transport", ["unconfigured", "local"])
def test_sessions_without_a_database_fail(transport, settings):
    settings.CACHES = {"default": make_entry(None, transport, OPTIONS={"ENV_PREFIX": "SESSIONS_"})}
    settings.SESSION_ENGINE, settings.DEBUG = "continuum_upstash.sessions", True
    run, found = examine()
    assert (run.code, found["sessions"]["outcome"]) == (1, "failed")
    assert "Set SESSIONS_UPSTASH_REDIS_REST_URL" in found["sessions"]["fix"]
    assert ("Remove MODE" in found["sessions"]["fix"]) is (transport == "local")
    settings.SESSION_ALLOW_EVICTION = True
    run, found = examine()
    assert (run.code, found["sessions"]["outcome"]) == (0, "info")


def test_an_unknown_alias_exits_with_2():
    run = run_command("cache_doctor", "--cache", "unknown")
    assert (run.code, "Aliases of this package: default." in run.error) == (2, True)


def test_without_an_alias_of_the_package_it_exits_with_2(settings):
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    run = run_command("cache_doctor")
    assert (run.code, "BACKEND" in run.error) == (2, True)


@pytest.fixture
def no_proxies(monkeypatch):
    for name in ("http_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.usefixtures("no_proxies")
def test_a_proxy_and_its_variable_are_named(monkeypatch):
    port = find_free_port()
    monkeypatch.setenv("ALL_PROXY", f"http://user:s3cret@127.0.0.1:{port}")
    run, found = examine()
    assert found["proxy"]["detail"].endswith(f"through http://127.0.0.1:{port}, from ALL_PROXY")
    assert (run.code, found["connection"]["outcome"]) == (2, "failed")
    assert "Does the proxy in ALL_PROXY work from here" in found["connection"]["fix"]
    assert "s3cret" not in run.out


@pytest.mark.usefixtures("no_proxies")
def test_a_proxy_that_cannot_be_used_is_a_finding(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://user:s3 cret@127.0.0.1:9")
    run, found = examine()
    assert (run.code, found["configuration"]["outcome"]) == (2, "failed")
    assert "The proxy in HTTP_PROXY cannot be parsed" in found["configuration"]["detail"]
    assert "cret" not in run.out


@pytest.mark.parametrize(
    ("location", "outcome", "detail"),
    [
        ("redis://default:x@fly-late-1133.upstash.io", "info", "no TLS to fly-late-1133"),
        ("redis://default:x@db-1133.upstash.io", "failed", "no TLS to db-1133.upstash.io"),
        ("rediss://default:x@db-1133.upstash.io.", "ok", "TLS to db-1133.upstash.io"),
        ("unix:///run/none.sock", "info", "no TLS over the Unix socket /run/none.sock"),
    ],
)
def test_the_encryption_of_a_host(location, outcome, detail, settings, monkeypatch):
    settings.CACHES = {"default": {"BACKEND": BACKEND, "LOCATION": location}}

    def refuse(*_):
        raise ConnectionFailed("Connection refused.", unsent=True)

    monkeypatch.setattr(registry.Database, "send", refuse)
    _, found = examine()
    assert found["encryption"]["outcome"] == outcome
    assert detail in found["encryption"]["detail"]
    is_socket = location.startswith("unix")
    assert ("its socket /run/none.sock" in found["connection"]["fix"]) is is_socket


def test_a_callable_token_that_fails_is_a_finding(emulator, settings):
    settings.CACHES = {"default": make_entry(emulator, OPTIONS={"TOKEN": lambda: 1 // 0})}
    run, found = examine()
    assert run.code == 2
    assert "the callable TOKEN raised ZeroDivisionError" in found["connection"]["detail"]
    assert "Correct the callable TOKEN" in found["connection"]["fix"]


def test_a_prefix_that_is_set_is_named(settings, monkeypatch):
    monkeypatch.setenv("STORAGE_KV_REST_API_URL", "https://db.upstash.io")
    settings.CACHES = {"default": make_entry(None, "unconfigured")}
    fix = examine()[1]["configuration"]["fix"]
    assert "STORAGE_KV_REST_API_URL is set: to use it, set ENV_PREFIX = 'STORAGE_'" in fix


def test_the_source_of_a_secret_in_a_file_is_named(emulator, settings, monkeypatch, tmp_path):
    (tmp_path / "token").write_text(f"{emulator.token}\n")
    monkeypatch.setenv("UPSTASH_REDIS_REST_URL", emulator.rest_url)
    monkeypatch.setenv("UPSTASH_REDIS_REST_TOKEN_FILE", str(tmp_path / "token"))
    settings.CACHES = {"default": make_entry(None, "unconfigured")}
    run, found = examine()
    assert run.code == 0
    assert "token from UPSTASH_REDIS_REST_TOKEN_FILE" in found["configuration"]["detail"]
