"""Values that Django caches: responses, models, querysets, safe and lazy text."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpResponse
from django.template import Context, Engine
from django.template.response import ContentNotRenderedError, SimpleTemplateResponse
from django.utils import translation
from django.utils.functional import SimpleLazyObject, lazy, lazystr
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext_lazy

from continuum_upstash.cache.codec_types import EXT_TYPES, get_signing_keys
from continuum_upstash.codec.codec import Codec, DecodeError
from continuum_upstash.errors import NotSerializable


@pytest.fixture
def codec():
    return Codec(pickle_keys=get_signing_keys(), ext=EXT_TYPES)


@pytest.fixture
def no_pickle():
    return Codec(signing_keys=get_signing_keys(), ext=EXT_TYPES)


@pytest.mark.parametrize("text", ["", "<b>x</b>", "é" * 70, "\ud800"])
def test_safe_text_stays_safe(no_pickle, text):
    back = no_pickle.decode(no_pickle.encode([mark_safe(text), {"k": mark_safe(text)}]))
    assert back == [text, {"k": text}]
    assert type(back[0]) is type(back[1]["k"]) is SafeString
    assert type(no_pickle.decode(no_pickle.encode(mark_safe(text)))) is SafeString


def test_a_cached_fragment_is_not_escaped_again(no_pickle):
    fragment = Engine().from_string("<p>{{ name }}</p>").render(Context({"name": "<Ann>"}))
    back = no_pickle.decode(no_pickle.encode(fragment))
    assert conditional_escape(back) == "<p>&lt;Ann&gt;</p>"


def test_lazy_text_is_stored_in_the_language_active_when_stored(no_pickle):
    with translation.override("fr"):
        data = no_pickle.encode({"title": gettext_lazy("Yes")})
    assert no_pickle.decode(data) == {"title": "Oui"}


@pytest.mark.parametrize("serializer", ["msgpack", "json"])
def test_lazy_text_is_plain_text_under_either_serializer(serializer):
    codec = Codec(serializer=serializer, ext=EXT_TYPES)
    back = codec.decode(codec.encode(lazystr(5)))
    assert (back, type(back)) == ("5", str)


def test_lazy_markup_stays_safe(no_pickle):
    markup = lazy(format_html, SafeString)("<b>{}</b>", "<")
    back = no_pickle.decode(no_pickle.encode([markup]))
    assert (back, type(back[0])) == (["<b>&lt;</b>"], SafeString)


def numbers():
    return [1, 2]


def test_a_lazy_value_that_is_not_text_is_pickled(codec, no_pickle):
    value = lazy(numbers, list)()
    assert list(codec.decode(codec.encode(value))) == [1, 2]
    with pytest.raises(NotSerializable):
        no_pickle.encode(value)


def test_a_response_is_restored_as_cache_page_needs_it(codec):
    response = HttpResponse("héllo", status=404, headers={"X-Thing": "1"})
    response.set_cookie("seen", "yes")
    back = codec.decode(codec.encode(response))
    assert type(back) is HttpResponse
    assert (back.status_code, back.content) == (404, "héllo".encode())
    assert back.headers == response.headers
    assert back.cookies.output() == response.cookies.output()


def test_a_rendered_template_response_is_restored_and_an_unrendered_one_raises(codec, settings):
    settings.TEMPLATES = [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [("django.template.loaders.locmem.Loader", {"t.html": "Hi {{ x }}"})]
            },
        }
    ]
    response = SimpleTemplateResponse("t.html", {"x": 5})
    with pytest.raises(ContentNotRenderedError):
        codec.encode(response)
    assert codec.decode(codec.encode(response.render())).content == b"Hi 5"


def test_json_rejects_a_response_and_names_the_solution():
    with pytest.raises(NotSerializable, match=r"HttpResponse.*\"SERIALIZER\"\] = \"msgpack\""):
        Codec(serializer="json", pickle_keys=get_signing_keys()).encode(HttpResponse())


def test_a_model_instance_is_restored(codec):
    user = User(pk=5, username="ann")
    back = codec.decode(codec.encode({"user": user, "lazy": SimpleLazyObject(lambda: user)}))
    assert back["user"] == back["lazy"] == user
    assert back["user"].username == "ann"
    assert type(codec.decode(codec.encode(AnonymousUser()))) is AnonymousUser


@pytest.mark.django_db
def test_a_queryset_is_restored_evaluated(codec, django_assert_num_queries):
    User.objects.create(username="ann")
    with django_assert_num_queries(1):
        data = codec.encode(User.objects.all())
    with django_assert_num_queries(0):
        assert [user.username for user in codec.decode(data)] == ["ann"]


async def test_a_queryset_in_an_event_loop_raises_the_error_that_moves_encoding_to_a_thread(codec):
    with pytest.raises(SynchronousOnlyOperation):
        codec.encode({"users": User.objects.all()})


class TestSigningKeys:
    def test_the_secret_key_signs_and_the_fallbacks_verify(self, settings):
        settings.SECRET_KEY = "new"
        settings.SECRET_KEY_FALLBACKS = [b"old", "older"]
        assert get_signing_keys() == (b"new", b"old", b"older")

    def test_a_key_that_rotates_out_verifies_while_it_is_a_fallback(self, settings):
        def codec():
            return Codec(pickle_keys=get_signing_keys())

        settings.SECRET_KEY = "old"
        data = codec().encode(HttpResponse(b"x"))
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = b"new", ["old"]
        assert codec().decode(data).content == b"x"
        settings.SECRET_KEY_FALLBACKS = []
        with pytest.raises(DecodeError):
            codec().decode(data)
