"""Wrong uses of @ratelimit."""

from __future__ import annotations

import pytest
from asgiref.sync import async_to_sync
from django.http import HttpResponse
from django.test import RequestFactory

from continuum_upstash.errors import ConfigurationError
from continuum_upstash.ratelimit import ratelimit


def view(request):
    return HttpResponse()


def test_wrong_uses_are_rejected():
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
    with pytest.raises(ConfigurationError, match=r"not a .*Page. On a method, write @method_dec"):
        Page().get(request)
    with pytest.raises(ConfigurationError, match=r"not a .*Page"):
        async_to_sync(Page().aget)(request)
