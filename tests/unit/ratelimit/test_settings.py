"""What settings may say, what they may not, and who tells."""

from __future__ import annotations

import pytest
from django.core.checks import run_checks
from django.test import override_settings

from continuum_upstash.checks.ratelimit import check_ratelimit
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.engine.simulate import forecast, worst_case
from continuum_upstash.ratelimit.policy import make
from continuum_upstash.transports import registry

LOCAL = {
    "default": {
        "BACKEND": "continuum_upstash.backend.CacheBackend",
        "OPTIONS": {"MODE": "local"},
    }
}
MIDDLEWARE = [
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "continuum_upstash.ratelimit.middleware.RateLimitMiddleware",
]
SITE_CACHE = "django.middleware.cache.UpdateCacheMiddleware"
DUMMY = "django.core.cache.backends.dummy.DummyCache"


async def waits(_request):
    return 1


API = {"POLICIES": {"api": {"rate": "3/d"}}}


@pytest.fixture(autouse=True)
def local():
    with override_settings(CACHES=LOCAL, MIDDLEWARE=MIDDLEWARE, DEBUG=True):
        yield
    registry.reset()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({}, "has no rate"),
        ({"rate": "much"}, "A rate reads like"),
        ({"rate": "1/m", "algoritm": "fixed"}, "Did you mean 'algorithm'"),
        ({"rate": "1/m", "algorithm": "leaky"}, "algorithm is one of strict"),
        ({"rate": "1/m", "key": "address"}, "'address' is none of these"),
        ({"rate": "1/m", "key": "ip+header:"}, "'header:' is none of these"),
        ({"rate": "1/m", "cost": 2}, "cost is a whole number between 1 and"),
        ({"rate": "1/m", "cost": 0.5}, "cost is a whole number"),
        ({"rate": "1/m", "key": 5}, "'5' is none of these"),
        ({"rate": "1/m", "burst": 5}, "burst is what a token_bucket holds"),
        ({"rate": "1/m", "algorithm": "token_bucket", "burst": 0}, "burst is a whole number"),
        ({"rate": "1/m", "algorithm": "token_bucket", "burst": 1.5}, "burst is a whole number"),
        ({"rate": "1/m", "algorithm": "token_bucket", "burst": 10**9}, "burst is a whole number"),
        ({"rate": "1/m", "methods": ["PSOT"]}, "not PSOT"),
        ({"rate": "1/m", "methods": []}, "not none of them"),
        ({"rate": "1/m", "methods": [5]}, "not 5"),
        ({"rate": "1/m", "exempt": [5]}, "exempt: 5 is no network"),
        ({"rate": "1/m", "shadow": "false"}, "shadow is a bool, not 'false'"),
        ({"rate": "1/m", "headers": "no"}, "headers is a bool"),
        ({"rate": "1/m", "group": 5}, "group is a str"),
        ({"rate": "1/m", "key": waits}, "no async functions"),
        ({"rate": "1/m", "cost": waits}, "no async functions"),
        ({"rate": "1/m", "exempt": [waits]}, "no async functions"),
        ({"rate": "1/m", "exempt": ["10.0.0.1/8"]}, "exempt: '10.0.0.1/8' is no network"),
        ({"rate": "1/m", "exempt": "0.0.0.0/0"}, "exempt: 0.0.0.0/0 is everybody"),
        ({"rate": "1/m", "exempt": ["stuff"]}, "Or write 'staff'"),
        ("100/m", "is a dict with a rate"),
        ({"rate": "1/m", "on_error": "panic"}, "on_error is one of local"),
        ({"rate": "1/m", "group": "a b"}, "group"),
        ({"rate": "1/m", "upstash_prefix": "x"}, "knows no strict limit"),
    ],
)
def test_a_wrong_policy_says_what_is_wrong(options, complaint):
    with pytest.raises(ConfigurationError, match=complaint):
        make("p", options)


@pytest.mark.parametrize("name", ["", "API", "a" * 33, 'a"', "ä"])
def test_the_name_of_a_policy_is_a_token(name):
    with pytest.raises(ConfigurationError, match="its name"):
        make(name, {"rate": "1/m"})


def test_settings_are_read_anew_when_they_change():
    with override_settings(CONTINUUM_RATELIMIT=API):
        assert conf.policy("api").limit == 3
    with pytest.raises(ConfigurationError, match="no policy 'api'"):
        conf.policy("api")


@pytest.mark.parametrize(
    ("settings", "ids"),
    [
        ([], ["E201"]),
        (None, ["E201"]),
        ({"POLICY": {}}, ["E202"]),
        ({"POLICIES": {"api": {"rate": "often"}}}, ["E203"]),
        ({"POLICIES": {"api": "100/m"}}, ["E203"]),
        ({"POLICIES": ["api"]}, ["E203"]),
        (
            {"POLICIES": {"a": {"rate": "1/m", "group": "g"}, "b": {"rate": "1/h", "group": "g"}}},
            ["E204"],
        ),
        ({"RULES": [{"route": "x", "policies": ["missing"]}]}, ["E205"]),
        ({"RULES": [{"policies": []}]}, ["E205"]),
        ({"RULES": ["api/"]}, ["E205"]),
        ({"RULES": [{"route": None, "policies": []}]}, ["E205"]),
        ({"PROXY_HEADER": None}, ["E206"]),
        ({"TRUSTED_PROXIES": ["0.0.0.0/0"]}, ["E206"]),
        ({"HEADERS": "draft-99"}, ["E207"]),
        ({"MODE": "maybe"}, ["E208"]),
        ({"DEADLINE": 0}, ["E209"]),
        ({"DEADLINE": float("nan")}, ["E209"]),
        ({"INSTANCES": 1.5}, ["E210"]),
        ({"ALIAS": "nowhere"}, ["E211"]),
        (API, []),
    ],
)
def test_a_check_tells_each_mistake_with_a_hint(settings, ids):
    with override_settings(CONTINUUM_RATELIMIT=settings):
        found = check_ratelimit()
    assert [message.id for message in found] == [f"continuum_upstash.{each}" for each in ids]
    assert all(message.hint for message in found)


@pytest.mark.parametrize(
    ("settings", "number"),
    [
        (
            {"CACHES": {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}},
            "E212",
        ),
        ({"DEBUG": False}, "W201"),
        ({"MIDDLEWARE": MIDDLEWARE[:1]}, "W202"),
        ({"MIDDLEWARE": [SITE_CACHE, *MIDDLEWARE]}, "W203"),
        ({"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")}, "W204"),
        ({"USE_X_FORWARDED_HOST": True}, "W204"),
    ],
)
def test_a_check_tells_what_is_amiss_around(settings, number):
    limits = {**API, "RULES": [{"route": "", "policies": ["api"]}]}
    with override_settings(CONTINUUM_RATELIMIT=limits, **settings):
        assert [message.id for message in check_ratelimit()] == [f"continuum_upstash.{number}"]


@pytest.mark.parametrize(
    "entry",
    [
        {"BACKEND": "continuum_upstash.backend.CacheBackend", "LOCATION": "ftp://db"},
        {"BACKEND": "no.such.Backend"},
    ],
)
def test_a_cache_that_cannot_be_made_is_told_by_the_check_of_caches(entry):
    with override_settings(CONTINUUM_RATELIMIT=API, CACHES={"default": entry}):
        assert check_ratelimit() == []


def test_a_policy_that_only_a_decorator_names_is_told():
    with override_settings(
        ROOT_URLCONF="tests.integration.ratelimit.site", CONTINUUM_RATELIMIT=API
    ):
        found = [message.msg for message in check_ratelimit()]
    assert any("there is no 'search', which a view names" in each for each in found)
    assert not any("'api'" in each for each in found)


@pytest.mark.parametrize("middleware", [MIDDLEWARE[::-1], [*MIDDLEWARE, SITE_CACHE]])
def test_the_middleware_may_stand_anywhere_but_behind_the_cache_of_the_site(middleware):
    with override_settings(CONTINUUM_RATELIMIT=API, MIDDLEWARE=middleware):
        assert check_ratelimit() == []


def test_the_checks_run_with_djangos():
    with override_settings(CONTINUUM_RATELIMIT={"MODE": "maybe"}):
        assert "continuum_upstash.E208" in [message.id for message in run_checks()]


@pytest.mark.parametrize(
    ("algorithm", "worst", "commands"),
    [("strict", 5, 3), ("fixed", 10, 3), ("sliding", 10, 3), ("token_bucket", 10, 4)],
)
def test_a_forecast_counts_what_a_check_is_billed(algorithm, worst, commands):
    policy = make("p", {"rate": "5/m", "algorithm": algorithm})
    month = forecast(policy, per_second=1.0)
    assert (month.worst, month.commands) == (worst, commands * month.admitted)
    assert worst_case(policy) == worst
