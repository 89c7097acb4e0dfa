"""Who is limited by what, and the settings of live pages."""

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.test import RequestFactory

from continuum_upstash.checks.channels import check_live_pages
from continuum_upstash.federation.errors import ImproperlyConfiguredFederation
from continuum_upstash.federation.live.conf import conf
from continuum_upstash.federation.live.open_streams import OpenStreams
from continuum_upstash.federation.live.stream_request import make_limits


def make_request(user):
    async def load():
        assert user is not None, "the user was loaded"
        return user

    request = RequestFactory().get("/", REMOTE_ADDR="203.0.113.7")
    request.auser = load
    return request


async def test_users_are_limited_in_channels_that_are_not_public(settings):
    settings.CONTINUUM_LIVE = {"CHANNELS": ["news"], "MAX_STREAMS_PER_USER": 3}
    limits = await make_limits(make_request(User(pk=7)), ["news", "room"])
    assert limits == {"process": 2000, "address:203.0.113.7": 50, "user:7": 3}
    assert "user:7" not in await make_limits(make_request(None), ["news"])
    assert list(await make_limits(make_request(AnonymousUser()), ["room"])) == list(limits)[:2]


def test_a_stream_counts_for_each_of_its_limits_until_it_ends():
    streams = OpenStreams()
    limits = {"process": 2, "user:7": 1}
    with streams.open(limits) as full:
        assert full is None
        with streams.open(limits) as second:
            assert second == "user:7"
        with streams.open({"process": 2}) as third, streams.open({"process": 2}) as fourth:
            assert (third, fourth) == (None, "process")
        assert streams.get_count("process") == 1
    assert not streams._counts


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ([], "must be a dict"),
        ({"CHANELS": []}, "no entry 'CHANELS'. Did you mean CHANNELS?"),
        ({"CHANNELS": "news"}, "list of names"),
        ({"CHANNELS": ["a*"]}, "Invalid name"),
        ({"AUTHORIZE": "no.such.function"}, "AUTHORIZE"),
        ({"AUTHORIZE": 5}, "function or its dotted path"),
        ({"ALLOWED_ORIGINS": ["*"]}, "without '\\*'"),
        ({"MAX_DURATION": 0}, "number above 0"),
        ({"PING_INTERVAL": True}, "number above 0"),
        ({"MAX_THREADS": -1}, "number above -1"),
    ],
)
def test_a_wrong_setting_is_an_error(settings, setting, message):
    settings.CONTINUUM_LIVE = setting
    with pytest.raises(ImproperlyConfiguredFederation, match=message):
        conf.validate()
    [found] = check_live_pages()
    assert found.id == "continuum_upstash.E401"


@pytest.mark.parametrize(
    ("setting", "ids"),
    [
        ({"USING": "default"}, ["continuum_upstash.E402"]),
        ({"USING": "missing"}, ["continuum_upstash.E402"]),
        ({}, []),
    ],
)
def test_the_named_cache_must_be_one_of_this_package(settings, setting, ids):
    settings.CACHES = settings.CACHES | {
        "federation": {
            "BACKEND": "continuum_upstash.backend.CacheBackend",
            "OPTIONS": {"MODE": "local"},
        }
    }
    settings.CONTINUUM_LIVE = setting
    assert [found.id for found in check_live_pages()] == ids


def test_without_the_setting_there_is_nothing_to_check():
    assert check_live_pages() == []
