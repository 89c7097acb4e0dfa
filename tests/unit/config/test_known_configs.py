"""A configuration is resolved again only if what it was made from has changed."""

from __future__ import annotations

import pytest

from continuum_upstash.config.known_configs import KnownConfigs
from continuum_upstash.errors import ConfigurationError

URL = "rediss://default:secret@eu1.upstash.io:6379"


def resolve(known, environ=None, location=URL, alias="default", keys=(b"k",), **options):
    arguments = {"alias": alias, "location": location, "signing_keys": keys}
    return known.resolve(options, environ or {}, **arguments)


def test_equal_sources_have_one_configuration():
    known = KnownConfigs()
    nested = {"CONNECTION_POOL_KWARGS": {"retry_on_timeout": True}}
    first = resolve(known, **nested)
    assert resolve(known, {"HOME": "/"}, **nested) is first
    for other in (
        resolve(known, alias="other", **nested),
        resolve(known, keys=(b"other",), **nested),
        resolve(known, location=URL.replace("eu1", "us1"), **nested),
        resolve(known, CONNECTION_POOL_KWARGS={"retry_on_timeout": False}),
    ):
        assert other != first


def test_options_that_are_changed_in_place_are_read_again():
    known, options = KnownConfigs(), {"POOL_SIZE": 1}
    arguments = {"alias": "a", "location": URL, "signing_keys": ()}
    assert known.resolve(options, {}, **arguments).pool_size == 1
    options["POOL_SIZE"] = 2
    assert known.resolve(options, {}, **arguments).pool_size == 2
    options["POOL_SIZE"] = True  # which equals 1
    with pytest.raises(ConfigurationError, match="POOL_SIZE"):
        known.resolve(options, {}, **arguments)
    options["POOL_SIZE"] = 1
    assert known.resolve(options, {}, **arguments).pool_size == 1


def test_a_variable_that_was_read_or_missing_is_compared():
    known = KnownConfigs()
    assert resolve(known).pool_size == 10
    assert resolve(known, {"UPSTASH_POOL_SIZE": "3"}).pool_size == 3
    assert resolve(known, {"UPSTASH_POOL_SIZE": "4"}).pool_size == 4
    assert resolve(known).pool_size == 10
    with pytest.raises(ConfigurationError, match="UPSTASH_POOL_SIZE"):
        resolve(known, {"UPSTASH_POOL_SIZE": "many"})


def test_a_rest_database_follows_the_variables_of_its_proxy():
    known = KnownConfigs()
    rest = {"location": "https://eu1.upstash.io", "TOKEN": "t"}
    assert resolve(known, **rest).proxy is None
    assert resolve(known, {"HTTPS_PROXY": "http://proxy:3128"}, **rest).proxy is not None
    assert resolve(known, **rest).proxy is None


def test_the_number_of_known_configurations_is_bounded():
    known = KnownConfigs()
    for number in range(200):
        resolve(known, alias=f"alias{number}")
    assert len(known._known) <= 64
