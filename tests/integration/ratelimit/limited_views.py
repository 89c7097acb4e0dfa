"""A site whose views are limited in all the ways that Django has of writing a view."""

from __future__ import annotations

from functools import partial

from asgiref.sync import markcoroutinefunction
from django.contrib.auth.models import User
from django.http import HttpResponse
from django.urls import path
from django.utils.decorators import method_decorator
from django.utils.functional import SimpleLazyObject
from django.views import View

from continuum_upstash.ratelimit import ratelimit
from continuum_upstash.ratelimit.django_ratelimit import ratelimit as theirs

LIMITS = {
    "POLICIES": {
        "loose": {"rate": "100/d", "key": "ip", "group": "shared"},
        "tight": {"rate": "1/d", "key": "ip", "group": "shared"},
        "watching": {"rate": "100/d", "key": "ip", "shadow": True},
        "api": {"rate": "1/d", "key": "ip"},
        "user": {"rate": "1/d", "key": "user"},
        "by-function": {"rate": "1/d", "key": lambda request: str(request.user.pk)},
        "cost-by-function": {
            "rate": "10/d",
            "key": "ip",
            "cost": lambda request: 1 if request.user.is_staff else 10,
        },
        "exempt-by-function": {
            "rate": "1/d",
            "key": "ip",
            "exempt": [lambda request: request.user.username == "ada"],
        },
    },
    "RULES": [
        {"route": "ruled/", "policies": ["loose"]},
        {"route": "watched/", "policies": ["watching"]},
        {"route": "ruled-by-function/", "policies": ["by-function"]},
    ],
    "DEADLINE": 10.0,
}


def ok(request, **_):
    return HttpResponse("ok")


async def aok(request, **_):
    return HttpResponse("ok")


def nothing(request):
    return None


class Base(View):
    def get(self, request):
        return HttpResponse("ok")

    def post(self, request):
        return HttpResponse("ok")


by_day = ratelimit(rate="1/d", key="ip")


@method_decorator(by_day, name="dispatch")
class One(Base):
    pass


@method_decorator(by_day, name="dispatch")
class Other(Base):
    pass


@method_decorator(ratelimit(rate="1/d", key="ip"), name="get")
@method_decorator(ratelimit(rate="2/d", key="ip"), name="post")
class ByMethod(Base):
    pass


class Plain(Base):
    pass


class AnotherPlain(Base):
    pass


@method_decorator(by_day, name="dispatch")
class Async(View):
    async def get(self, request):
        return HttpResponse("ok")


class Callable:
    def __call__(self, request):
        return HttpResponse("ok")


def identified(get_response):
    """A middleware that knows who asks by a token, as those of APIs do."""

    def middleware(request):
        if token := request.headers.get("X-Token"):
            request.user = User(pk=int(token))
        return get_response(request)

    return middleware


def identified_lazily(get_response):
    """The same, but the user is looked up when somebody wants to know."""

    def middleware(request):
        if name := request.headers.get("X-Token"):
            request.user = SimpleLazyObject(lambda: User.objects.get(username=name))
        return get_response(request)

    return middleware


def identified_without_waiting(get_response):
    """One for async sites: it leaves request.user to Django."""

    async def middleware(request):
        if token := request.headers.get("X-Token"):

            async def auser():
                return User(pk=int(token))

            request.auser = auser
        return await get_response(request)

    return markcoroutinefunction(middleware)


identified_without_waiting.async_capable = True


def stacked(view):
    return ratelimit(rate="100/d", key="ip")(ratelimit(rate="1/d", key="get:u")(view))


def theirs_by_method(view):
    reads = theirs(key="ip", rate="100/d", method="GET")
    return reads(theirs(key="ip", rate="2/d", method="POST")(view))


BY_FUNCTION = ("by-function", "cost-by-function", "exempt-by-function")

both_named = partial(ok, number=1)

urlpatterns = [
    *(path(f"{kind}/stacked/", stacked(view)) for kind, view in (("sync", ok), ("async", aok))),
    path("theirs/stacked/", theirs(key="ip", rate="100/d")(theirs(key="get:u", rate="1/d")(ok))),
    path("theirs/methods/", theirs_by_method(ok)),
    path("ruled/", ratelimit("tight")(ok)),
    path("watched/", ratelimit("api")(ok)),
    path("ruled-by-function/", ok),
    *(path(f"{name}/", ratelimit(name)(ok)) for name in BY_FUNCTION),
    *(path(f"async-{name}/", ratelimit(name)(aok)) for name in BY_FUNCTION),
    path("nested/", ratelimit("api", block=False)(ratelimit("api")(ok))),
    path("one/", One.as_view()),
    path("other/", Other.as_view()),
    path("by-method/", ByMethod.as_view()),
    path("plain/", by_day(Plain.as_view())),
    path("another-plain/", by_day(AnotherPlain.as_view())),
    path("async-class/", Async.as_view()),
    path("callable/", by_day(Callable())),
    path("partial/", ratelimit(rate="1/d", key="ip", group="partial")(both_named)),
    path("user/", ratelimit("user")(ok)),
    path("async-user/", ratelimit("user")(aok)),
    path("nothing/", by_day(nothing)),
]
