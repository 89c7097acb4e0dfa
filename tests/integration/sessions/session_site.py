"""A small site with sessions: its views, URLs and a middleware that reads the session."""

from __future__ import annotations

import json

from django.contrib import auth
from django.contrib.auth.models import User
from django.http import HttpResponse, JsonResponse
from django.urls import path

from continuum_upstash.sessions import SessionStore

BACKEND = "django.contrib.auth.backends.ModelBackend"


def show(request):
    return JsonResponse(dict(request.session.items()))


async def ashow(request):
    return JsonResponse(dict(await request.session.aitems()))


def put(request):
    request.session.update(json.loads(request.body))
    return HttpResponse()


async def aput(request):
    await request.session.aupdate(json.loads(request.body))
    return HttpResponse()


def login(request):
    auth.login(request, User.objects.get(username=request.GET.get("user", "ada")), BACKEND)
    return HttpResponse()


async def alogin(request):
    user = await User.objects.aget(username=request.GET.get("user", "ada"))
    await auth.alogin(request, user, BACKEND)
    return HttpResponse()


def logout(request):
    auth.logout(request)
    return HttpResponse()


async def alogout(request):
    await auth.alogout(request)
    return HttpResponse()


def whoami(request):
    return HttpResponse(request.user.get_username())


async def awhoami(request):
    return HttpResponse((await request.auser()).get_username())


def plain(request):
    return HttpResponse("no session needed")


def login_without_table(request):
    """Log in a user who is in no table."""
    request.session.cycle_key()
    request.session["_auth_user_id"] = "7"
    return HttpResponse()


def concurrent_logout(request):
    """Another request logs the visitor out while this one is in progress."""
    assert request.session.get("_auth_user_id")
    SessionStore(request.session.session_key).flush()
    request.session["cart"] = ["tea"]
    return HttpResponse()


def failed_login(request):
    auth.login(request, User.objects.get(username="ada"), BACKEND)
    return HttpResponse(status=500)


urlpatterns = [
    path("show", show),
    path("ashow", ashow),
    path("put", put),
    path("aput", aput),
    path("login", login),
    path("alogin", alogin),
    path("logout", logout),
    path("alogout", alogout),
    path("whoami", whoami),
    path("awhoami", awhoami),
    path("plain", plain),
    path("failed-login", failed_login),
    path("concurrent-logout", concurrent_logout),
    path("login-without-table", login_without_table),
]


def read_session_before_view(get_response):
    def middleware(request):
        request.session.get("theme")
        return get_response(request)

    return middleware
