"""A URLconf with limits: one view per way of writing a view."""

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
from continuum_upstash.ratelimit.django_ratelimit import ratelimit as django_ratelimit

LIMITS = {
    "POLICIES": {
        "loose": {"rate": "100/d", "key": "ip", "group": "shared"},
        "tight": {"rate": "1/d", "key": "ip", "group": "shared"},
        "shadow": {"rate": "100/d", "key": "ip", "shadow": True},
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
        {"route": "shadow/", "policies": ["shadow"]},
        {"route": "ruled-by-function/", "policies": ["by-function"]},
    ],
    "DEADLINE": 10.0,
}


def ok(request, **_):
    return HttpResponse("ok")


async def aok(request, **_):
    return HttpResponse("ok")


def return_none(request):
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


def set_user(get_response):
    """A middleware that identifies the user by a token, as in many APIs."""

    def middleware(request):
        if token := request.headers.get("X-Token"):
            request.user = User(pk=int(token))
        return get_response(request)

    return middleware


def set_lazy_user(get_response):
    """The same, but the user is loaded when it is first used."""

    def middleware(request):
        if name := request.headers.get("X-Token"):
            request.user = SimpleLazyObject(lambda: User.objects.get(username=name))
        return get_response(request)

    return middleware


def set_async_user(get_response):
    """A middleware for async sites, which sets only request.auser()."""

    async def middleware(request):
        if token := request.headers.get("X-Token"):

            async def auser():
                return User(pk=int(token))

            request.auser = auser
        return await get_response(request)

    return markcoroutinefunction(middleware)


set_async_user.async_capable = True


def limit_twice(view):
    return ratelimit(rate="100/d", key="ip")(ratelimit(rate="1/d", key="get:u")(view))


def limit_by_method(view):
    reads = django_ratelimit(key="ip", rate="100/d", method="GET")
    return reads(django_ratelimit(key="ip", rate="2/d", method="POST")(view))


BY_FUNCTION = ("by-function", "cost-by-function", "exempt-by-function")

named_partial = partial(ok, number=1)

urlpatterns = [
    *(path(f"{kind}/stacked/", limit_twice(view)) for kind, view in (("sync", ok), ("async", aok))),
    path(
        "django-ratelimit/stacked/",
        django_ratelimit(key="ip", rate="100/d")(django_ratelimit(key="get:u", rate="1/d")(ok)),
    ),
    path("django-ratelimit/methods/", limit_by_method(ok)),
    path("ruled/", ratelimit("tight")(ok)),
    path("shadow/", ratelimit("api")(ok)),
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
    path("partial/", ratelimit(rate="1/d", key="ip", group="partial")(named_partial)),
    path("user/", ratelimit("user")(ok)),
    path("async-user/", ratelimit("user")(aok)),
    path("nothing/", by_day(return_none)),
]
