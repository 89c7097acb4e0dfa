"""Django's session contract and its traps, over REST and TCP, sync and async."""

from __future__ import annotations

import datetime as dt
import json
import pickle

import pytest
from django.contrib.auth.models import Group
from django.contrib.sessions.backends.base import CreateError, UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.core import signing
from django.core.cache import caches
from django.core.management import call_command

from continuum_upstash.sessions import SessionStore
from tests.integration.sessions.session_database import get_redis, read_sessions

YEAR = 365 * 86_400


def get_ttl():
    """Return the remaining seconds of the only session."""
    (redis_key,) = read_sessions()
    return get_redis().ttl(redis_key)


@pytest.fixture
def stored(open_session):
    """A stored session with one field."""
    store = open_session()
    store.set("theme", "dark")
    store.save()
    return store.store


def test_saved_data_is_loaded(open_session, stored):
    assert open_session(stored.session_key).get("theme") == "dark"


def test_loading_an_unknown_key_drops_it_and_creates_nothing(open_session):
    store = open_session("attackerskey")
    assert store.load() == {}
    assert store.key is None
    assert read_sessions() == {}


@pytest.mark.parametrize(
    "key", ["", None, "short", "with space1", "UPPERCASE", "a" * 129, "../../x"]
)
def test_a_malformed_key_costs_no_command(key, open_session, emulator):
    with emulator.count() as cost:
        store = open_session(key)
        assert store.exists(key) is False
        assert store.get("theme") is None
        store.delete(key)
    assert (cost.billed, cost.requests) == (0, 0)
    assert store.key is None


def test_an_empty_session_exists(open_session):
    store = open_session()
    store.create()
    assert open_session().exists(store.key) is True
    again = open_session(store.key)
    assert again.load() == {}
    assert again.key == store.key


def test_an_expiry_in_the_past_ends_the_session(open_session, stored):
    store = open_session(stored.session_key)
    store.set_expiry(dt.timedelta(seconds=-10))
    store.save()
    assert read_sessions() == {}
    with pytest.raises(UpdateError):
        store.save()


def test_a_new_session_with_an_expiry_in_the_past_is_not_stored(open_session):
    store = open_session()
    store.set_expiry(-10)
    store.save()
    assert read_sessions() == {}


def test_a_session_expires_with_the_cookie_or_by_its_own_expiry(open_session, stored, settings):
    assert get_ttl() == pytest.approx(settings.SESSION_COOKIE_AGE, abs=2)
    store = open_session(stored.session_key)
    store.set_expiry(300)
    store.save()
    assert get_ttl() == pytest.approx(300, abs=2)


def test_reading_with_save_every_request_renews_the_expiry(open_session, stored, settings):
    (redis_key,) = read_sessions()
    get_redis().expire(redis_key, 60)
    settings.SESSION_SAVE_EVERY_REQUEST = True
    assert open_session(stored.session_key).get("theme") == "dark"
    assert get_ttl() == pytest.approx(settings.SESSION_COOKIE_AGE, abs=2)


def test_an_expiry_of_its_own_survives_save_every_request(open_session, stored, settings):
    store = open_session(stored.session_key)
    store.set_expiry(300)
    store.save()
    settings.SESSION_SAVE_EVERY_REQUEST = True
    store = open_session(stored.session_key)
    assert store.get("theme") == "dark"
    assert get_ttl() == pytest.approx(300, abs=2)
    store.save()
    assert get_ttl() == pytest.approx(300, abs=2)


def test_a_change_inside_a_field_is_saved_with_save_every_request(open_session, settings):
    store = open_session()
    store.set("cart", ["tea"])
    store.save()
    settings.SESSION_SAVE_EVERY_REQUEST = True
    again = open_session(store.key)
    again.get("cart").append("cake")
    again.save()
    assert open_session(store.key).get("cart") == ["tea", "cake"]


def test_must_create_refuses_a_taken_key(open_session, stored):
    with pytest.raises(CreateError):
        open_session(stored.session_key).save(must_create=True)


def test_saving_does_not_restore_a_session_that_was_ended(open_session, stored):
    store = open_session(stored.session_key)
    store.set("theme", "light")
    open_session(stored.session_key).delete()
    with pytest.raises(UpdateError):
        store.save()
    assert read_sessions() == {}


def test_saving_an_unknown_key_creates_nothing(open_session):
    with pytest.raises(UpdateError):
        open_session("attackerskey").save()
    assert read_sessions() == {}


def test_a_cleared_session_is_saved_without_a_read(open_session, stored, emulator):
    store = open_session(stored.session_key)
    store.store.clear()
    with emulator.count() as cost:
        store.save()
    assert cost.billed == 1
    assert open_session(stored.session_key).load() == {}


def test_a_new_key_keeps_the_data_and_ends_the_old_one(open_session, stored):
    store = open_session(stored.session_key)
    store.cycle_key()
    new = store.key
    assert new != stored.session_key
    assert open_session().exists(stored.session_key) is False
    assert open_session(new).get("theme") == "dark"  # before anything saves it


def test_a_new_key_for_a_session_without_one_creates_it(open_session):
    store = open_session()
    store.set("theme", "dark")
    store.cycle_key()
    assert open_session(store.key).get("theme") == "dark"


def test_a_new_key_does_not_restore_a_login_that_was_ended(open_session):
    store = open_session()
    store.set("_auth_user_id", "7")
    store.save()
    slow = open_session(store.key)
    assert slow.get("_auth_user_id") == "7"
    store.flush()
    with pytest.raises(SessionInterrupted):
        slow.cycle_key()
    assert read_sessions() == {}
    assert slow.key is not None


def test_two_logins_at_once_from_one_anonymous_session_both_succeed(open_session, stored):
    first, second = open_session(stored.session_key), open_session(stored.session_key)
    assert first.get("theme") == second.get("theme") == "dark"
    first.cycle_key()
    second.cycle_key()
    assert first.key != second.key
    assert open_session(second.key).get("theme") == "dark"


def test_the_configured_serializer_is_used(open_session, settings):
    store = open_session()
    store.set("theme", "dark")
    store.save()
    (text,) = read_sessions().values()
    assert json.loads(signing.b64_decode(text.split(":")[0].encode())) == {"theme": "dark"}
    settings.SESSION_SERIALIZER = "tests.integration.sessions.test_store.Pickles"
    store = open_session()
    store.set("born", dt.date(1815, 12, 10))
    store.save()
    assert open_session(store.key).get("born") == dt.date(1815, 12, 10)


class Pickles:
    def dumps(self, data):
        return pickle.dumps(data)

    def loads(self, data):
        return pickle.loads(data)


@pytest.mark.django_db(transaction=True)  # evaluated in a thread of its own
def test_a_lazy_queryset_is_evaluated_in_djangos_thread(open_session, settings):
    Group.objects.create(name="editors")
    settings.SESSION_SERIALIZER = "tests.integration.sessions.test_store.Pickles"
    store = open_session()
    store.set("groups", Group.objects.all())
    store.save()
    assert [group.name for group in open_session(store.key).get("groups")] == ["editors"]


def test_data_that_cannot_be_serialized_raises_the_serializers_error(open_session):
    store = open_session()
    store.set("born", dt.date(1815, 12, 10))
    with pytest.raises(TypeError, match="not JSON serializable"):
        store.save()


def test_a_session_written_by_another_serializer_is_rejected(
    open_session, settings, stored, caplog
):
    settings.SESSION_SERIALIZER = "tests.integration.sessions.test_store.Pickles"
    store = open_session(stored.session_key)
    assert store.load() == {}
    assert store.key is None
    assert "SESSION_SERIALIZER" in caplog.text


def test_large_sessions_are_compressed(open_session):
    store = open_session()
    store.set("text", "what a long day " * 5_000)
    store.save()
    (text,) = read_sessions().values()
    assert text.startswith(".")
    assert len(text) < 2_000
    assert open_session(store.key).get("text").startswith("what a long")


def test_sessions_of_a_replaced_secret_are_found_and_move_on_save(open_session, stored, settings):
    (old,) = read_sessions()
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new one"
    store = open_session(stored.session_key)
    assert store.exists(stored.session_key) is True
    assert store.get("theme") == "dark"
    assert set(read_sessions()) == {old}  # a read does not move it
    store.set("theme", "light")
    store.save()
    (new,) = read_sessions()
    assert new != old
    settings.SECRET_KEY_FALLBACKS = []
    assert open_session(stored.session_key).get("theme") == "light"


def test_a_logout_ends_a_session_of_a_replaced_secret(open_session, stored, settings):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new one"
    late = open_session(stored.session_key)
    late.set("theme", "light")
    open_session(stored.session_key).flush()
    assert read_sessions() == {}
    with pytest.raises(UpdateError):
        late.save()
    assert read_sessions() == {}


def test_without_the_old_secret_its_sessions_are_rejected(open_session, stored, settings):
    settings.SECRET_KEY = "a new one"
    assert open_session(stored.session_key).load() == {}


def test_clearing_expired_sessions_does_nothing(open_session):
    call_command("clearsessions")
    open_session().clear_expired()


def test_clearing_the_cache_deletes_no_session(open_session, stored):
    caches["sessions"].set("a", 1)
    caches["sessions"].clear()
    assert open_session(stored.session_key).get("theme") == "dark"


def test_encode_and_decode_are_inverse_under_one_key(open_session, stored):
    store = open_session(stored.session_key).store
    assert store.decode(store.encode({"a": 1})) == {"a": 1}
    assert SessionStore("anotherkey").decode(store.encode({"a": 1})) == {}
