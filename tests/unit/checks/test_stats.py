"""What the checks find in CONTINUUM_STATS. None of these mistakes may stop a site."""

from __future__ import annotations

import sys

import pytest
from django.apps import apps

from continuum_upstash.checks.stats import check_statistics
from continuum_upstash.stats.conf import is_enabled
from continuum_upstash.stats.shared import writer


@pytest.fixture
def ready():
    """Return `AppConfig.ready`; statistics are no longer shared when the test ends."""
    yield apps.get_app_config("continuum_upstash").ready
    writer.stop()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"SHARD": True}, "SHARE"),
        ({5: True}, "no entry 5"),
        ({"PLAN": "gold"}, "payg"),
        ({"PLAN": ["free"]}, "is ['free'] for 'default': write one of free, payg"),
        ({"PLAN": {"default": None}}, "is None for 'default': write one of free, payg"),
        ({"INTERVAL": "10"}, "write seconds, 0 or more"),
        ({"INTERVAL": None}, "write seconds, 0 or more"),
        ({"INTERVAL": -1}, "write seconds, 0 or more"),
        ({"INTERVAL": float("nan")}, "write seconds, 0 or more"),
        ({"INTERVAL": True}, "write seconds, 0 or more"),
        ({"SHARE": "5%"}, "write a fraction above 0 and up to 1"),
        ({"SHARE": 0}, "'SHARED': False switches it off"),
        ({"SHARE": 5}, "write a fraction above 0 and up to 1"),
        ({"SHARED": "no"}, "write True or False"),
        ({"PROMETHEUS": 0}, "write True or False"),
        ({"OTEL": "yes"}, "write True or False"),
        (["SHARED"], "write a dict"),
        (None, "write a dict"),
    ],
)
def test_an_invalid_entry_is_reported(value, words, settings):
    settings.CONTINUUM_STATS = value
    (message,) = check_statistics()
    assert (message.id, words in message.msg) == ("continuum_upstash.E006", True)


@pytest.mark.parametrize("value", [None, ["SHARED"]])
def test_a_setting_that_is_not_a_dict_does_not_stop_the_site(value, settings, ready):
    settings.CONTINUUM_STATS = value
    ready()


@pytest.mark.parametrize(
    "value",
    [
        {},
        {"INTERVAL": 0, "SHARE": 1},
        {"INTERVAL": 2.5, "SHARE": 0.01, "SHARED": False},
        {"PLAN": {"default": "payg"}},
    ],
)
def test_valid_settings_have_no_findings(value, settings):
    settings.CONTINUUM_STATS = value
    assert check_statistics() == []


@pytest.mark.parametrize(
    ("name", "package"), [("PROMETHEUS", "prometheus_client"), ("OTEL", "opentelemetry")]
)
def test_a_missing_extra_is_reported_and_does_not_stop_the_site(
    name, package, settings, monkeypatch, ready
):
    settings.CONTINUUM_STATS = {name: True}
    assert check_statistics() == []
    monkeypatch.setitem(sys.modules, package, None)
    (message,) = check_statistics()
    assert message.id == "continuum_upstash.E007"
    assert f"pip install 'continuum-upstash[{name.lower()}]'" in message.msg
    ready()


@pytest.mark.parametrize("name", ["missing", "a-file", ""])
def test_the_prometheus_directory_must_be_writable(name, settings, monkeypatch, tmp_path):
    settings.CONTINUUM_STATS = {"PROMETHEUS": True}
    (tmp_path / "a-file").touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", name and str(tmp_path / name))
    assert [each.id for each in check_statistics()] == ["continuum_upstash.E009"]
    assert not is_enabled("PROMETHEUS")
    settings.CONTINUUM_STATS = {}
    assert check_statistics() == []
    settings.CONTINUUM_STATS = {"PROMETHEUS": True}
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    assert check_statistics() == []
    assert is_enabled("PROMETHEUS")
