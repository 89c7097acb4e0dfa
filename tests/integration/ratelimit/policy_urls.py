"""A URLconf with limits: one view per kind of policy, rule and throttle."""

from __future__ import annotations

from django.contrib.auth.views import LoginView
from django.http import HttpResponse
from django.urls import path, re_path
from django.utils.decorators import method_decorator
from django.views import View
from rest_framework.authentication import BasicAuthentication
from rest_framework.response import Response
from rest_framework.views import APIView

from continuum_upstash.ratelimit import ratelimit
from continuum_upstash.ratelimit.django_ratelimit import ratelimit as django_ratelimit
from continuum_upstash.ratelimit.drf import UpstashRateThrottle
from continuum_upstash.ratelimit.forms import LimitedAuthenticationForm
from continuum_upstash.ratelimit.recipes import LOGIN

OFFICE = ["198.51.100.0/24", "2001:db8::5/128", "staff"]
LIMITS = {
    "POLICIES": {
        "api": {"rate": "2/d", "key": "ip"},
        "search": {"rate": "1/d", "key": "ip"},
        "posts": {"rate": "1/d", "key": "ip", "methods": ["POST"]},
        "gets": {"rate": "1/d", "key": "ip", "methods": ["GET"]},
        "users": {"rate": "1/d", "key": "user"},
        "accounts": {"rate": "2/d", "key": "post:username", "methods": ["POST"]},
        "burst": {"rate": "2/h", "key": "ip"},
        "sustained": {"rate": "3/d", "key": "ip"},
        "burst-grouped": {"rate": "1/d", "key": "ip", "group": "grouped"},
        "sustained-grouped": {"rate": "3/d", "key": "ip", "group": "grouped"},
        "keys": {"rate": "1/d", "key": "header:X-Api-Key"},
        "office": {"rate": "1/d", "key": "ip", "exempt": OFFICE},
        "heavy": {"rate": "10/d", "key": "ip", "cost": lambda request: int(request.GET["cost"])},
        "shadow-cost": {
            "rate": "10/d",
            "key": "ip",
            "cost": lambda request: int(request.GET["cost"]),
            "shadow": True,
        },
        "quiet": {"rate": "1/d", "key": "ip", "headers": False},
        "shadow": {"rate": "1/d", "key": "ip", "shadow": True},
        "deny": {"rate": "1/d", "key": "ip", "on_error": "deny"},
        "allow": {"rate": "1/d", "key": "ip", "on_error": "allow"},
        "decision": {
            "rate": "3/d",
            "key": "ip",
            "cost": lambda request: int(request.GET.get("cost", 1)),
        },
        "local": {"rate": "2/d", "key": "ip"},
        **LOGIN,
    },
    "RULES": [
        {"route": "api/search/", "policies": ["api", "search"]},
        {"route": "api/", "policies": ["api"]},
        {"view": "named", "policies": ["search"]},
        {"route": "ruled/", "policies": ["heavy"]},
        {"route": "ruled-twice/", "policies": ["allow"]},
    ],
    "DEADLINE": 10.0,
    "INSTANCES": 1,
}


def ok(request, **_):
    return HttpResponse("ok")


async def aok(request, **_):
    return HttpResponse("ok")


def show_public(request):
    return HttpResponse("ok", headers={"Cache-Control": "public, max-age=60"})


def show_stored(request):
    return HttpResponse("ok", headers={"Cache-Control": "max-age=60"})


def show_decision(request):
    return HttpResponse(request.ratelimit.reason)


@method_decorator(ratelimit("search"), name="dispatch")
class Class(View):
    def get(self, request):
        return HttpResponse("ok")


class AsyncClass(View):
    @method_decorator(ratelimit("search"))
    async def get(self, request):
        return HttpResponse("ok")


class Rest(APIView):
    throttle_classes = (UpstashRateThrottle,)
    throttle_scope = "api"
    authentication_classes = ()

    def get(self, request):
        return Response("ok")


class HeavyRest(Rest):
    throttle_scope = "heavy"


class DenyRest(Rest):
    throttle_scope = "deny"


class Burst(UpstashRateThrottle):
    policies = ("burst",)


class Sustained(UpstashRateThrottle):
    policies = ("sustained",)


class UnlessFriend(Sustained):
    def allow_request(self, request, view):
        return "X-Friend" in request.headers or super().allow_request(request, view)


class Grouped(UpstashRateThrottle):
    policies = ("burst-grouped",)


class OtherGrouped(UpstashRateThrottle):
    policies = ("sustained-grouped",)


class Stacked(Rest):
    throttle_scope = None
    throttle_classes = (Burst, Sustained)


class StackedInReverse(Stacked):
    throttle_classes = (Sustained, Burst)


class StackedConditionally(Stacked):
    throttle_classes = (Burst, UnlessFriend)


class StackedInAGroup(Stacked):
    throttle_classes = (Grouped, OtherGrouped)


class LoginRest(Rest):
    throttle_policies = ("accounts",)

    def post(self, request):
        return Response("ok")


class BasicRest(Rest):
    authentication_classes = (BasicAuthentication,)


@django_ratelimit(key="ip", rate="1/d", block=False)
def limited(request):
    return HttpResponse(str(request.limited))


NAMES = ["api", "posts", "gets", "users", "keys", "office", "heavy", "quiet", "shadow"]
NAMES += ["deny", "allow", "local", "shadow-cost"]

urlpatterns = [
    path("api/items/<int:number>/", ok),
    path("api/search/", aok),
    re_path(r"^api/pattern/(?P<word>\w+)/$", ok),
    path("free/", ok),
    path("ruled/", ok),
    path("ruled-twice/", ratelimit("allow")(ok)),
    path("named/", ok, name="named"),
    path("adhoc/", ratelimit(rate="1/d", key="ip", algorithm="strict")(ok)),
    path("adhoc/other/", ratelimit(rate="1/d", key="ip")(show_public)),
    path("adhoc/stored/", ratelimit(rate="1/d", key="ip")(show_stored)),
    path("decision/", ratelimit("decision", block=False)(show_decision)),
    path("both/", ratelimit("search", "api")(ok)),
    path("class/", Class.as_view()),
    path("aclass/", AsyncClass.as_view()),
    path("rest/", Rest.as_view()),
    path("rest/heavy/", HeavyRest.as_view()),
    path("rest/deny/", DenyRest.as_view()),
    path("rest/login/", LoginRest.as_view()),
    path("rest/basic/", BasicRest.as_view()),
    path("rest/stacked/", Stacked.as_view()),
    path("rest/stacked/reverse/", StackedInReverse.as_view()),
    path("rest/stacked/conditionally/", StackedConditionally.as_view()),
    path("rest/stacked/in-a-group/", StackedInAGroup.as_view()),
    path("sustained/", ratelimit("sustained")(ok)),
    path("compatible/", limited),
    path("login/", LoginView.as_view(authentication_form=LimitedAuthenticationForm)),
    *(path(f"{name}/", ratelimit(name)(ok)) for name in NAMES),
    *(path(f"a/{name}/", ratelimit(name)(aok)) for name in NAMES),
]
