from __future__ import annotations

import pytest

from continuum_upstash.config.secrets import Secret
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.health.developer_api import (
    AccountUnavailable,
    DeveloperApi,
    decode_database,
    decode_usage,
    has_credentials,
    load_developer_api,
)

DATABASE = {
    "database_id": "96ad0856", "database_name": "shop", "type": "payg", "state": "active",
    "endpoint": "apt-1", "eviction": True, "auto_upgrade": None, "budget": 360,
    "primary_region": "us-east-1", "read_regions": ["us-west-1"], "prod_pack_enabled": False,
    "db_request_limit": 8_024_278_031_528_737_000, "db_max_request_size": 10_485_760,
    "password": "p", "rest_token": "t",
}  # fmt: skip
USAGE = {"total_monthly_requests": 7, "total_monthly_billing": 222.339, "daily_net_commands": 3}


def test_a_database_is_decoded_without_its_credentials():
    found = decode_database(DATABASE)
    assert (found.name, found.plan, found.evicts, found.budget) == ("shop", "payg", True, 360)
    assert (found.read_regions, found.max_request_bytes) == (("us-west-1",), 10_485_760)
    assert not found.auto_upgrade
    assert not {"p", "t"} & set(map(str, vars_of(found)))


def vars_of(database):
    return [getattr(database, name) for name in database.__slots__]


def test_the_usage_is_decoded():
    found = decode_usage(USAGE)
    assert (found.commands, found.dollars, found.today, found.storage) == (7, 222.339, 3, 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("database_id", None),
        ("database_name", "x" * 201),
        ("state", "active\x1b[31m"),
        ("type", 5),
        ("eviction", "true"),
        ("read_regions", "us-west-1"),
        ("read_regions", [5]),
        ("read_regions", ["r"] * 101),
        ("db_max_request_size", -1),
        ("db_max_request_size", 2**63),
        ("budget", True),
        ("budget", float("nan")),
    ],
)
def test_a_field_of_an_unexpected_type_is_rejected(name, value):
    with pytest.raises(AccountUnavailable, match=f"unexpected response, .* in {name}"):
        decode_database(DATABASE | {name: value})


@pytest.mark.parametrize("value", [None, [], "text", {}, {"total_monthly_requests": "7"}])
def test_a_malformed_usage_is_rejected(value):
    with pytest.raises(AccountUnavailable, match="unexpected response"):
        decode_usage(value)


def test_missing_credentials_are_named(monkeypatch, settings):
    for name in ("UPSTASH_EMAIL", "UPSTASH_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    settings.CONTINUUM_STATS = {}
    assert not has_credentials()
    with pytest.raises(AccountUnavailable, match="no key: set UPSTASH_EMAIL and UPSTASH_API_KEY"):
        load_developer_api()
    settings.CONTINUUM_STATS = {"ACCOUNT": {"EMAIL": "a@example.com"}}
    assert has_credentials()
    with pytest.raises(AccountUnavailable, match="no key: set UPSTASH_API_KEY"):
        load_developer_api()


def test_the_key_is_hidden(settings):
    settings.CONTINUUM_STATS = {"ACCOUNT": {"EMAIL": "a@example.com", "API_KEY": " 'k-1234' "}}
    api = load_developer_api()
    assert repr(api) == "<DeveloperApi of api.upstash.com>"
    assert "k-1234" not in repr(vars(api))


@pytest.mark.parametrize("url", ["http://api.example.com", "ftp://localhost", "https://", "a b"])
def test_a_url_must_be_encrypted(url):
    with pytest.raises(ConfigurationError, match="UPSTASH_API_URL"):
        DeveloperApi("a@example.com", Secret("k"), url)


def test_a_failing_callable_is_named():
    def fail():
        raise KeyError("k-5678")

    api = DeveloperApi("a@example.com", Secret(fail), "http://127.0.0.1:9")
    with pytest.raises(AccountUnavailable, match="API_KEY raised KeyError") as caught:
        api.read("host")
    assert "k-5678" not in str(caught.value)
    api = DeveloperApi("a@example.com", Secret(lambda: "two words"), "http://127.0.0.1:9")
    with pytest.raises(AccountUnavailable, match="UPSTASH_API_KEY has characters"):
        api.read("host")


@pytest.mark.parametrize(
    ("email", "url"),
    [("a\udcff@example.com", "http://127.0.0.1:9"), ("a@example.com", "https://xn--.example.com")],
)
def test_an_address_that_cannot_be_sent_is_named(email, url):
    api = DeveloperApi(email, Secret("k"), url)
    with pytest.raises(AccountUnavailable, match="Correct UPSTASH_EMAIL and UPSTASH_API_URL"):
        api.read("host")


def test_an_address_of_another_type_is_read_as_text(settings):
    settings.CONTINUUM_STATS = {"ACCOUNT": {"EMAIL": 5, "API_KEY": "k", "URL": 5}}
    with pytest.raises(ConfigurationError, match="UPSTASH_API_URL"):
        load_developer_api()
