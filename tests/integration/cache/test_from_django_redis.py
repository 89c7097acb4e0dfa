"""The promises of docs/how-to/from-django-redis.md about values that another backend wrote."""

from __future__ import annotations

from pickle import UnpicklingError

import pytest
from django.core.cache.backends.redis import RedisCache
from django_redis.cache import RedisCache as DjangoRedisCache

VALUES = {"float": 1.5, "text": "text", "list": [1, "two"], "dict": {"a": None}, "flag": True}
SERIALIZERS = {"json": "django_redis.serializers.json.JSONSerializer"}
SERIALIZERS["msgpack"] = "django_redis.serializers.msgpack.MSGPackSerializer"


@pytest.fixture(params=[RedisCache, DjangoRedisCache])
def old(request, emulator):
    return request.param(emulator.redis_url, {"KEY_PREFIX": "shop"})


@pytest.fixture(params=["rest", "tcp"])
def new(request, make_cache):
    return make_cache(request.param, KEY_PREFIX="shop")


def test_both_backends_read_and_increment_an_int(old, new):
    old.set("n", 41)
    assert new.incr("n") == 42
    assert old.get("n") == 42


@pytest.mark.parametrize("name", VALUES)
def test_a_pickle_is_a_miss_but_its_key_exists(old, new, name):
    old.set(name, VALUES[name])
    assert new.get(name, "a miss") == "a miss"
    assert new.has_key(name)
    assert new.add(name, 1) is False


@pytest.mark.parametrize("name", VALUES)
def test_the_old_backend_cannot_read_values_of_the_new_one(old, new, name):
    new.set(name, VALUES[name])
    with pytest.raises(UnpicklingError):
        old.get(name)


@pytest.mark.parametrize("serializer", SERIALIZERS)
@pytest.mark.parametrize("name", VALUES)
def test_json_and_msgpack_of_django_redis_are_read(emulator, new, serializer, name):
    options = {"SERIALIZER": SERIALIZERS[serializer]}
    DjangoRedisCache(emulator.redis_url, {"KEY_PREFIX": "shop", "OPTIONS": options}).set(
        name, VALUES[name]
    )
    assert new.get(name) == VALUES[name]


@pytest.mark.parametrize("name", VALUES)
def test_our_json_is_read_by_django_redis(emulator, make_cache, name):
    make_cache("rest", KEY_PREFIX="shop", OPTIONS={"SERIALIZER": "json"}).set(name, VALUES[name])
    options = {"SERIALIZER": SERIALIZERS["json"]}
    old = DjangoRedisCache(emulator.redis_url, {"KEY_PREFIX": "shop", "OPTIONS": options})
    assert old.get(name) == VALUES[name]
