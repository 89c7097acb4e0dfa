"""The traps of Django's session contract, over REST and TCP, sync and async."""

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
from tests.integration.sessions.session_site import records

YEAR = 365 * 86_400


def time_left():
    """Return the seconds that the only record has left."""
    (name,) = records()
    return caches["sessions"].client.redis.ttl(name)


@pytest.fixture
def stored(session):
    """A stored session with one field."""
    store = session()
    store.set("theme", "dark")
    store.save()
    return store.store


def test_what_was_saved_is_loaded(session, stored):
    assert session(stored.session_key).get("theme") == "dark"


def test_loading_an_unknown_key_drops_it_and_creates_nothing(session):
    store = session("attackerskey")
    assert store.load() == {}
    assert store.key is None
    assert records() == {}


@pytest.mark.parametrize(
    "key", ["", None, "short", "with space1", "UPPERCASE", "a" * 129, "../../x"]
)
def test_a_malformed_key_costs_no_command(key, session, emulator):
    with emulator.count() as spent:
        store = session(key)
        assert store.exists(key) is False
        assert store.get("theme") is None
        store.delete(key)
    assert (spent.billed, spent.requests) == (0, 0)
    assert store.key is None


def test_an_empty_session_exists(session):
    store = session()
    store.create()
    assert session().exists(store.key) is True
    again = session(store.key)
    assert again.load() == {}
    assert again.key == store.key


def test_an_expiry_in_the_past_ends_the_session(session, stored):
    store = session(stored.session_key)
    store.set_expiry(dt.timedelta(seconds=-10))
    store.save()
    assert records() == {}
    with pytest.raises(UpdateError):
        store.save()


def test_a_session_that_begins_in_the_past_is_never_there(session):
    store = session()
    store.set_expiry(-10)
    store.save()
    assert records() == {}


def test_a_session_lives_for_the_cookies_age_or_its_own(session, stored, settings):
    assert time_left() == pytest.approx(settings.SESSION_COOKIE_AGE, abs=2)
    store = session(stored.session_key)
    store.set_expiry(300)
    store.save()
    assert time_left() == pytest.approx(300, abs=2)


def test_reading_with_save_every_request_renews_the_expiry(session, stored, settings):
    (name,) = records()
    caches["sessions"].client.redis.expire(name, 60)
    settings.SESSION_SAVE_EVERY_REQUEST = True
    assert session(stored.session_key).get("theme") == "dark"
    assert time_left() == pytest.approx(settings.SESSION_COOKIE_AGE, abs=2)


def test_an_expiry_of_its_own_survives_save_every_request(session, stored, settings):
    store = session(stored.session_key)
    store.set_expiry(300)
    store.save()
    settings.SESSION_SAVE_EVERY_REQUEST = True
    store = session(stored.session_key)
    assert store.get("theme") == "dark"
    assert time_left() == pytest.approx(300, abs=2)
    store.save()
    assert time_left() == pytest.approx(300, abs=2)


def test_a_change_inside_a_field_is_saved_with_save_every_request(session, settings):
    store = session()
    store.set("cart", ["tea"])
    store.save()
    settings.SESSION_SAVE_EVERY_REQUEST = True
    again = session(store.key)
    again.get("cart").append("cake")
    again.save()
    assert session(store.key).get("cart") == ["tea", "cake"]


def test_must_create_refuses_a_taken_key(session, stored):
    with pytest.raises(CreateError):
        session(stored.session_key).save(must_create=True)


def test_saving_does_not_revive_a_session_that_was_ended(session, stored):
    store = session(stored.session_key)
    store.set("theme", "light")
    session(stored.session_key).delete()
    with pytest.raises(UpdateError):
        store.save()
    assert records() == {}


def test_saving_an_unknown_key_creates_nothing(session):
    with pytest.raises(UpdateError):
        session("attackerskey").save()
    assert records() == {}


def test_a_cleared_session_is_saved_without_being_read(session, stored, emulator):
    store = session(stored.session_key)
    store.store.clear()
    with emulator.count() as spent:
        store.save()
    assert spent.billed == 1
    assert session(stored.session_key).load() == {}


def test_a_new_key_keeps_the_data_and_ends_the_old_one(session, stored):
    store = session(stored.session_key)
    store.cycle_key()
    new = store.key
    assert new != stored.session_key
    assert session().exists(stored.session_key) is False
    assert session(new).get("theme") == "dark"  # before anything saves it


def test_a_new_key_for_a_session_without_one_creates_it(session):
    store = session()
    store.set("theme", "dark")
    store.cycle_key()
    assert session(store.key).get("theme") == "dark"


def test_a_new_key_does_not_revive_a_user_who_has_logged_out(session):
    store = session()
    store.set("_auth_user_id", "7")
    store.save()
    slow = session(store.key)
    assert slow.get("_auth_user_id") == "7"
    store.flush()
    with pytest.raises(SessionInterrupted):
        slow.cycle_key()
    assert records() == {}
    assert slow.key is not None


def test_two_logins_at_once_from_one_anonymous_session_both_succeed(session, stored):
    first, second = session(stored.session_key), session(stored.session_key)
    assert first.get("theme") == second.get("theme") == "dark"
    first.cycle_key()
    second.cycle_key()
    assert first.key != second.key
    assert session(second.key).get("theme") == "dark"


def test_the_serializer_of_the_settings_is_what_is_stored(session, settings):
    store = session()
    store.set("theme", "dark")
    store.save()
    (text,) = records().values()
    assert json.loads(signing.b64_decode(text.split(":")[0].encode())) == {"theme": "dark"}
    settings.SESSION_SERIALIZER = "tests.integration.sessions.test_store.Pickles"
    store = session()
    store.set("born", dt.date(1815, 12, 10))
    store.save()
    assert session(store.key).get("born") == dt.date(1815, 12, 10)


class Pickles:
    def dumps(self, data):
        return pickle.dumps(data)

    def loads(self, data):
        return pickle.loads(data)


@pytest.mark.django_db(transaction=True)  # a thread of its own evaluates it
def test_a_lazy_queryset_is_evaluated_where_the_database_may_be_asked(session, settings):
    Group.objects.create(name="editors")
    settings.SESSION_SERIALIZER = "tests.integration.sessions.test_store.Pickles"
    store = session()
    store.set("groups", Group.objects.all())
    store.save()
    assert [group.name for group in session(store.key).get("groups")] == ["editors"]


def test_data_that_the_serializer_cannot_hold_is_an_error_of_the_caller(session):
    store = session()
    store.set("born", dt.date(1815, 12, 10))
    with pytest.raises(TypeError, match="not JSON serializable"):
        store.save()


def test_a_session_of_another_serializer_is_no_session(session, settings, stored, caplog):
    settings.SESSION_SERIALIZER = "tests.integration.sessions.test_store.Pickles"
    store = session(stored.session_key)
    assert store.load() == {}
    assert store.key is None
    assert "SESSION_SERIALIZER" in caplog.text


def test_large_sessions_are_compressed(session):
    store = session()
    store.set("text", "what a long day " * 5_000)
    store.save()
    (text,) = records().values()
    assert text.startswith(".")
    assert len(text) < 2_000
    assert session(store.key).get("text").startswith("what a long")


def test_sessions_of_a_replaced_secret_are_found_and_move_when_saved(session, stored, settings):
    (old,) = records()
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new one"
    store = session(stored.session_key)
    assert store.exists(stored.session_key) is True
    assert store.get("theme") == "dark"
    assert set(records()) == {old}  # reading leaves it where it is
    store.set("theme", "light")
    store.save()
    (new,) = records()
    assert new != old
    settings.SECRET_KEY_FALLBACKS = []
    assert session(stored.session_key).get("theme") == "light"


def test_a_logout_ends_a_session_of_a_replaced_secret(session, stored, settings):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "a new one"
    late = session(stored.session_key)
    late.set("theme", "light")
    session(stored.session_key).flush()
    assert records() == {}
    with pytest.raises(UpdateError):
        late.save()
    assert records() == {}


def test_without_the_old_secret_its_sessions_are_no_sessions(session, stored, settings):
    settings.SECRET_KEY = "a new one"
    assert session(stored.session_key).load() == {}


def test_clearing_expired_sessions_is_quiet(session):
    call_command("clearsessions")
    session().clear_expired()


def test_the_caches_own_clear_leaves_sessions_alone(session, stored):
    caches["sessions"].set("a", 1)
    caches["sessions"].clear()
    assert session(stored.session_key).get("theme") == "dark"


def test_encode_and_decode_are_inverse_under_one_key(session, stored):
    store = session(stored.session_key).store
    assert store.decode(store.encode({"a": 1})) == {"a": 1}
    assert SessionStore("anotherkey").decode(store.encode({"a": 1})) == {}
