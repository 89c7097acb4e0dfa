"""What the checks find in CONTINUUM_RATELIMIT, and in the views that it limits."""

from __future__ import annotations

from functools import partial
from types import ModuleType

import pytest
from django.conf import settings as django_settings
from django.conf.urls.i18n import i18n_patterns
from django.core.checks import run_checks
from django.http import HttpResponse
from django.test import override_settings
from django.urls import include, path, re_path, resolve
from django.views import View
from rest_framework.views import APIView

from continuum_upstash.checks.rate_limits import check_ratelimit, list_views
from continuum_upstash.ratelimit import ratelimit
from continuum_upstash.ratelimit.conf import conf
from continuum_upstash.ratelimit.drf import UpstashRateThrottle
from continuum_upstash.transports import registry

API = {"POLICIES": {"api": {"rate": "3/d"}}}
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
CACHE_MIDDLEWARE = "django.middleware.cache.UpdateCacheMiddleware"
DUMMY = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}


@pytest.fixture(autouse=True)
def site():
    with override_settings(CACHES=LOCAL, MIDDLEWARE=MIDDLEWARE, DEBUG=True):
        yield
    registry.reset()


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
def test_each_invalid_entry_is_reported_with_a_hint(settings, ids):
    with override_settings(CONTINUUM_RATELIMIT=settings):
        found = check_ratelimit()
    assert [message.id for message in found] == [f"continuum_upstash.{each}" for each in ids]
    assert all(message.hint for message in found)


@pytest.mark.parametrize(
    ("settings", "check_id"),
    [
        ({"CACHES": DUMMY}, "E212"),
        ({"DEBUG": False}, "W201"),
        ({"MIDDLEWARE": MIDDLEWARE[:1]}, "W202"),
        ({"MIDDLEWARE": [CACHE_MIDDLEWARE, *MIDDLEWARE]}, "W203"),
        ({"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")}, "W204"),
        ({"USE_X_FORWARDED_HOST": True}, "W204"),
    ],
)
def test_mistakes_in_other_settings_are_reported(settings, check_id):
    limits = {**API, "RULES": [{"route": "", "policies": ["api"]}]}
    with override_settings(CONTINUUM_RATELIMIT=limits, **settings):
        assert [message.id for message in check_ratelimit()] == [f"continuum_upstash.{check_id}"]


@pytest.mark.parametrize(
    "entry",
    [
        {"BACKEND": "continuum_upstash.backend.CacheBackend", "LOCATION": "ftp://db"},
        {"BACKEND": "no.such.Backend"},
        {"BACKEND": "continuum_upstash.backend.CacheBackend", "KEY_FUNCTION": "no.such.function"},
    ],
)
def test_an_invalid_cache_is_left_to_the_check_of_caches(entry):
    with override_settings(CONTINUUM_RATELIMIT=API, CACHES={"default": entry}):
        assert check_ratelimit() == []


def test_an_undefined_policy_in_a_decorator_is_reported():
    with override_settings(
        ROOT_URLCONF="tests.integration.ratelimit.policy_urls", CONTINUUM_RATELIMIT=API
    ):
        found = [message.msg for message in check_ratelimit()]
    assert any("POLICIES has no policy 'search', but a view refers to it" in each for each in found)
    assert not any("'api'" in each for each in found)


@pytest.mark.parametrize("middleware", [MIDDLEWARE[::-1], [*MIDDLEWARE, CACHE_MIDDLEWARE]])
def test_the_middleware_is_accepted_anywhere_above_the_cache_middleware(middleware):
    with override_settings(CONTINUUM_RATELIMIT=API, MIDDLEWARE=middleware):
        assert check_ratelimit() == []


def test_django_runs_the_check():
    with override_settings(CONTINUUM_RATELIMIT={"MODE": "maybe"}):
        assert "continuum_upstash.E208" in [message.id for message in run_checks()]


def find(urlpatterns, limits=None, **settings):
    """Return the messages of the check by id, for a site with these URL patterns."""
    with override_settings(ROOT_URLCONF=make_urlconf(urlpatterns), **settings):
        if limits is None:
            del django_settings.CONTINUUM_RATELIMIT
        else:
            django_settings.CONTINUUM_RATELIMIT = limits
        conf.clear()
        return {each.id.removeprefix("continuum_upstash."): each.msg for each in check_ratelimit()}


def list_views_of(urlpatterns):
    with override_settings(ROOT_URLCONF=make_urlconf(urlpatterns)):
        return list_views()


def resolve_in(urlpatterns, path_info):
    return resolve(path_info, urlconf=make_urlconf(urlpatterns))


def make_urlconf(urlpatterns):
    urlconf = ModuleType("urlconf")
    urlconf.urlpatterns = urlpatterns
    return urlconf


def view(request):
    return HttpResponse()


def test_limits_of_views_are_checked_without_the_setting():
    named = [path("a/", ratelimit("api")(view))]
    own = [path("b/", ratelimit(rate="1/m", key="ip")(view))]
    assert find(named).keys() == {"E213"}
    assert find(own, CACHES=DUMMY).keys() == {"E212"}
    assert find([path("c/", view)], CACHES=DUMMY) == {}


def test_policies_of_one_decision_must_not_share_a_counter():
    group = {"rate": "1/m", "group": "g"}
    sdk = {"rate": "1/m", "algorithm": "fixed", "upstash_prefix": "@upstash/ratelimit"}
    limits = {
        "POLICIES": {
            "a": group,
            "b": {**group, "rate": "2/m"},
            "c": sdk,
            "d": {**sdk, "rate": "2/m"},
        }
    }
    together = find([path("a/", ratelimit("a", "b")(view), name="home")], limits)
    assert "'a' and 'b' share a counter, but both apply to home" in together["E214"]
    apart = [path("a/", ratelimit("a")(ratelimit("b")(view)))]
    assert find(apart, limits) == {}, "the second decorator does not charge it again"
    rule = [{"route": "", "policies": ["c", "d"]}]
    found = find(apart, {**limits, "RULES": rule})
    assert "'c' and 'd' share a counter" in found["E205"]


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        ({"route": "api/"}, True),
        ({"route": "api/items/<int:pk>/"}, True),
        ({"route": "/api/"}, False),
        ({"view": "shop:item"}, True),
        ({"view": "item"}, False),
        ({"view": f"shop:{__name__}.view"}, True),
        ({"route": "api/", "view": "old"}, False),
        ({"route": "old/"}, True),
    ],
)
def test_a_rule_that_matches_no_view_is_reported(rule, matches):
    inner = ([path("items/<int:pk>/", view, name="item"), path("plain/", view)], "shop")
    urlpatterns = [path("api/", include(inner)), re_path("^old/$", view, name="old")]
    limits = {**API, "RULES": [{**rule, "policies": ["api"]}]}
    assert ("W206" not in find(urlpatterns, limits)) is matches


def test_routes_that_depend_on_the_language_are_not_checked():
    limits = {**API, "RULES": [{"route": "de/api/", "policies": ["api"]}]}
    assert find(i18n_patterns(path("api/", view)), limits) == {}


class Api:
    def check(self, request):
        return HttpResponse()

    class Inner(View):
        pass


@pytest.mark.parametrize(
    ("callback", "name"),
    [(Api().check, "check"), (Api.Inner.as_view(), "Inner"), (partial(view), "partial")],
)
def test_a_view_without_a_name_has_the_view_name_of_its_requests(callback, name):
    (found,) = list_views_of([path("a/", callback)])
    assert found.view_name == resolve_in([path("a/", callback)], "/a/").view_name
    assert found.view_name.endswith(name)


def test_throttles_that_depend_on_the_request_are_not_checked():
    class Items(APIView):
        throttle_classes = (partial(UpstashRateThrottle),)

    class Others(APIView):
        throttle_classes = (UpstashRateThrottle,)

        @property
        def throttle_policies(self):
            return ("undefined",)

    urlpatterns = [path("a/", Items.as_view()), path("b/", Others.as_view())]
    assert find(urlpatterns, API) == {}


def test_an_undefined_policy_in_a_throttle_is_reported():
    class Items(APIView):
        throttle_classes = (UpstashRateThrottle,)
        throttle_scope = "aip"

    assert (
        "POLICIES has no policy 'aip', but a view refers to it"
        in find([path("a/", Items.as_view())], API)["E213"]
    )
