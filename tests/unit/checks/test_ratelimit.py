"""What the system checks see of a site's views: their limits, and the rules that are for them."""

from __future__ import annotations

from functools import partial
from types import ModuleType

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as django_settings
from django.conf.urls.i18n import i18n_patterns
from django.http import HttpResponse
from django.test import RequestFactory, override_settings
from django.urls import include, path, re_path, resolve
from django.views import View
from rest_framework.views import APIView

from continuum_upstash.checks.ratelimit import check_ratelimit, views
from continuum_upstash.errors import ConfigurationError
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
MIDDLEWARE = ["continuum_upstash.ratelimit.middleware.RateLimitMiddleware"]


@pytest.fixture(autouse=True)
def local():
    with override_settings(CACHES=LOCAL, MIDDLEWARE=MIDDLEWARE, DEBUG=True):
        yield
    registry.reset()


def found_for(urlpatterns, limits=None, **settings):
    """Return {number: message} of what the check finds where the views are these."""
    with override_settings(ROOT_URLCONF=module_of(urlpatterns), **settings):
        if limits is None:
            del django_settings.CONTINUUM_RATELIMIT
        else:
            django_settings.CONTINUUM_RATELIMIT = limits
        conf.forget()
        return {each.id.removeprefix("continuum_upstash."): each.msg for each in check_ratelimit()}


def urlconf_of(urlpatterns):
    with override_settings(ROOT_URLCONF=module_of(urlpatterns)):
        return views()


def resolve_in(urlpatterns, path_info):
    return resolve(path_info, urlconf=module_of(urlpatterns))


def module_of(urlpatterns):
    urlconf = ModuleType("urlconf")
    urlconf.urlpatterns = urlpatterns
    return urlconf


def view(request):
    return HttpResponse()


def test_limits_of_views_are_checked_where_the_setting_is_missing():
    dummy = {"default": {"BACKEND": "django.core.cache.backends.dummy.DummyCache"}}
    named = [path("a/", ratelimit("api")(view))]
    own = [path("b/", ratelimit(rate="1/m", key="ip")(view))]
    assert found_for(named).keys() == {"E213"}
    assert found_for(own, CACHES=dummy).keys() == {"E212"}
    assert found_for([path("c/", view)], CACHES=dummy) == {}


def test_policies_that_are_charged_together_share_no_counter():
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
    together = found_for([path("a/", ratelimit("a", "b")(view), name="home")], limits)
    assert "'a' and 'b' share a counter, and home is limited by both" in together["E214"]
    apart = [path("a/", ratelimit("a")(ratelimit("b")(view)))]
    assert found_for(apart, limits) == {}, "the second one only looks"
    rule = [{"route": "", "policies": ["c", "d"]}]
    found = found_for(apart, {**limits, "RULES": rule})
    assert "'c' and 'd' share a counter" in found["E205"]


@pytest.mark.parametrize(
    ("rule", "fits"),
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
def test_a_rule_that_fits_no_view_is_told(rule, fits):
    inner = ([path("items/<int:pk>/", view, name="item"), path("plain/", view)], "shop")
    urlpatterns = [path("api/", include(inner)), re_path("^old/$", view, name="old")]
    limits = {**API, "RULES": [{**rule, "policies": ["api"]}]}
    assert ("W206" not in found_for(urlpatterns, limits)) is fits


def test_routes_that_depend_on_the_language_are_not_judged():
    limits = {**API, "RULES": [{"route": "de/api/", "policies": ["api"]}]}
    assert found_for(i18n_patterns(path("api/", view)), limits) == {}


class Api:
    def check(self, request):
        return HttpResponse()

    class Inner(View):
        pass


@pytest.mark.parametrize(
    ("callback", "name"),
    [(Api().check, "check"), (Api.Inner.as_view(), "Inner"), (partial(view), "partial")],
)
def test_a_view_without_a_name_is_known_by_the_one_that_requests_see(callback, name):
    (known,) = urlconf_of([path("a/", callback)])
    assert known.view_name == resolve_in([path("a/", callback)], "/a/").view_name
    assert known.view_name.endswith(name)


def test_throttles_that_only_a_request_makes_known_are_left_alone():
    class Items(APIView):
        throttle_classes = (partial(UpstashRateThrottle),)

    class Others(APIView):
        throttle_classes = (UpstashRateThrottle,)

        @property
        def throttle_policies(self):
            return ("unheard-of",)

    urlpatterns = [path("a/", Items.as_view()), path("b/", Others.as_view())]
    assert found_for(urlpatterns, API) == {}


def test_a_throttle_s_policies_are_known():
    class Items(APIView):
        throttle_classes = (UpstashRateThrottle,)
        throttle_scope = "aip"

    assert (
        "there is no 'aip', which a view names"
        in found_for([path("a/", Items.as_view())], API)["E213"]
    )


def test_what_a_decorator_is_not_for_is_told():
    with pytest.raises(ConfigurationError, match=r'write @ratelimit\("api"\) or'):
        ratelimit(view)

    class Page:
        @ratelimit("api")
        def get(self, request):
            return HttpResponse()

        @ratelimit("api")
        async def aget(self, request):
            return HttpResponse()

    request = RequestFactory().get("/")
    with pytest.raises(ConfigurationError, match=r"got a .*Page: on a method write @method_dec"):
        Page().get(request)
    with pytest.raises(ConfigurationError, match=r"got a .*Page"):
        async_to_sync(Page().aget)(request)
