"""Tags that are deleted when a transaction with changed models commits."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import AbstractUser, Group, User
from django.core.cache import cache
from django.db import transaction
from django.db.models.signals import post_save

from continuum_upstash import signals
from continuum_upstash.errors import ConfigurationError
from continuum_upstash.signals import invalidate_on_save
from tests.integration.cache_entries import make_entry

DUMMY = "django.core.cache.backends.dummy.DummyCache"
LOCMEM = "django.core.cache.backends.locmem.LocMemCache"

pytestmark = pytest.mark.django_db


@pytest.fixture
def connect(site):
    """Return `invalidate_on_save`; what it connects is disconnected after the test."""
    disconnects = []

    def connect(*args, **kwargs):
        disconnects.append(invalidate_on_save(*args, **kwargs))

    yield connect
    for disconnect in disconnects:
        disconnect()


@pytest.fixture
def find_deleted(django_capture_on_commit_callbacks):
    """Return a function that runs another, and returns those of the tags that were deleted."""

    def find(tags, function):
        for tag in tags:
            cache.set(tag, "value", tags=[tag])
        with django_capture_on_commit_callbacks(execute=True) as callbacks:
            function()
            assert [tag for tag in tags if cache.get(tag) is None] == []
        assert len(callbacks) <= 1
        return [tag for tag in tags if cache.get(tag) is None]

    return find


@pytest.fixture
def user(db):
    return User.objects.create(username="ada", first_name="Ada")


@pytest.fixture
def group(db):
    return Group.objects.create(name="staff")


class TestModels:
    def test_a_save_and_a_delete(self, connect, find_deleted, user):
        other = User.objects.create(username="bruno")
        connect(User, tags=("user:{pk}", "users", "name:{first_name}"))
        tags = [f"user:{user.pk}", f"user:{other.pk}", "users", "name:Ada", "name:"]
        changed = [f"user:{user.pk}", "users", "name:Ada"]
        assert find_deleted(tags, user.save) == changed
        assert find_deleted(tags, user.delete) == changed

    def test_a_save_that_changes_the_tags(self, connect, find_deleted, user):
        connect(User, tags=("name:{first_name}",))
        connect(User, tags=lambda user: [f"lower:{user.first_name.lower()}"])
        user.first_name = "Bea"
        tags = ["name:Ada", "name:Bea", "lower:ada", "lower:bea"]
        assert find_deleted(tags, user.save) == tags
        assert find_deleted(tags, user.save) == ["name:Bea", "lower:bea"]

    def test_a_new_instance_with_the_primary_key_of_a_row_replaces_it(
        self, connect, find_deleted, user
    ):
        connect(User, tags=("name:{first_name}",))
        other = User(pk=user.pk, username="bea", first_name="Bea")
        assert find_deleted(["name:Ada", "name:Bea"], other.save) == ["name:Ada", "name:Bea"]

    @pytest.mark.parametrize(("tag", "queries"), [("user:{pk}", 1), ("name:{first_name}", 2)])
    def test_the_old_row_is_read_only_if_the_tags_may_have_changed(
        self, connect, user, tag, queries, django_assert_num_queries
    ):
        connect(User, tags=(tag, "users"))
        with django_assert_num_queries(queries):
            user.save()
        with django_assert_num_queries(1):
            User.objects.create(username="bruno")

    def test_an_async_save(self, connect, find_deleted, user):
        connect(User, tags=("user:{pk}",))
        assert find_deleted([f"user:{user.pk}"], async_to_sync(user.asave)) == [f"user:{user.pk}"]

    def test_a_function_can_return_the_tags(self, connect, find_deleted, user):
        connect(User, tags=lambda user: (f"first:{user.username[0]}", "all"))
        assert find_deleted(["first:a", "first:b", "all"], user.save) == ["first:a", "all"]

    def test_a_template_can_follow_a_relation(self, connect, find_deleted, user):
        user.last_login = user.date_joined
        connect(User, tags=("year:{date_joined.year}",))
        tag = f"year:{user.date_joined.year}"
        assert find_deleted([tag], user.save) == [tag]

    def test_subclasses_of_an_abstract_model_are_included(self, connect, find_deleted, user):
        connect(AbstractUser, tags=("users",))
        assert find_deleted(["users"], user.save) == ["users"]

    def test_a_queryset_update_sends_no_signal(self, connect, find_deleted, user):
        connect(User, tags=("users",))
        assert find_deleted(["users"], lambda: User.objects.update(first_name="B")) == []


class TestManyToMany:
    def test_a_change_from_the_model_s_side(self, connect, find_deleted, user, group):
        connect(User, tags=("user:{pk}",))
        tags = [f"user:{user.pk}", "user:0"]
        for change in (
            lambda: user.groups.add(group),
            lambda: user.groups.remove(group),
            lambda: user.groups.set([group]),
            user.groups.clear,
        ):
            assert find_deleted(tags, change) == [f"user:{user.pk}"]

    def test_a_change_from_the_other_side(self, connect, find_deleted, user, group):
        other = User.objects.create(username="bruno")
        other.groups.add(group)
        connect(User, tags=("user:{pk}",))
        tags = [f"user:{user.pk}", f"user:{other.pk}"]
        assert find_deleted(tags, lambda: group.user_set.add(user)) == tags[:1]
        assert find_deleted(tags, lambda: group.user_set.remove(other)) == tags[1:]
        assert find_deleted(tags, group.user_set.clear) == tags[:1]


class TestTransactions:
    def test_all_tags_of_a_transaction_are_deleted_by_one_command(
        self, connect, emulator, user, group, django_capture_on_commit_callbacks
    ):
        connect(User, tags=("user:{pk}", "users"))
        connect(Group, tags=("group:{pk}",))
        with emulator.count() as spent, django_capture_on_commit_callbacks(execute=True):
            for _ in range(3):
                user.save()
                group.save()
            user.groups.add(group)
        assert spent.billed == 1

    def test_a_rolled_back_savepoint_deletes_nothing(self, connect, find_deleted, user, group):
        def change():
            with transaction.atomic():
                group.save()
                with transaction.atomic():
                    user.save()
                    transaction.set_rollback(True)

        connect(User, tags=("user:{pk}",))
        connect(Group, tags=("group:{pk}",))
        tags = [f"user:{user.pk}", f"group:{group.pk}"]
        assert find_deleted(tags, change) == [f"group:{group.pk}"]

    @pytest.mark.django_db(transaction=True)
    def test_without_a_transaction_the_tags_are_deleted_at_once(self, connect, emulator):
        connect(User, tags=("users",))
        with emulator.count() as spent:
            User.objects.create(username="ada")
        assert spent.billed == 1

    def test_it_is_the_transaction_of_the_changed_database(self, connect, monkeypatch, user):
        used = []
        other = SimpleNamespace(savepoint_ids=[], run_on_commit=[])
        monkeypatch.setattr(signals, "connections", {"other": other})
        monkeypatch.setattr(transaction, "on_commit", lambda _, using, robust: used.append(using))
        connect(User, tags=("user:{pk}",))
        post_save.send(User, instance=user, using="other", created=False, raw=False)
        assert used == ["other"]

    def test_a_failure_is_logged_and_other_callbacks_run(
        self, connect, site, emulator, user, caplog, django_capture_on_commit_callbacks
    ):
        entry = make_entry(emulator, KEY_PREFIX="shop", OPTIONS={"FALLBACK": False})
        entry["LOCATION"] = "http://127.0.0.1:9"
        site.CACHES = {"default": entry}
        connect(User, tags=("users",))
        called = []
        with (
            caplog.at_level(logging.ERROR, "django.db.backends.base"),
            django_capture_on_commit_callbacks(execute=True),
        ):
            user.save()
            transaction.on_commit(lambda: called.append(1))
        assert called == [1]
        assert "_PendingTags.delete in on_commit()" in caplog.text


class TestMistakes:
    @pytest.mark.parametrize(
        ("tags", "message"),
        [
            (("user:{user_name}",), r"names 'user_name', which does not exist. Did you mean"),
            (("user:{}",), "has a field that is no name"),
            ("user:{pk}", "tags is a str, not a list"),
        ],
    )
    def test_wrong_tags_are_reported_at_once(self, connect, tags, message):
        with pytest.raises(ConfigurationError, match=message) as raised:
            connect(User, tags=tags)
        assert "invalidate_on_save of User: " in str(raised.value)

    def test_another_cache_is_reported_at_the_save(self, connect, site, user):
        connect(User, tags=("users",))
        site.CACHES = {"default": {"BACKEND": LOCMEM}}
        with pytest.raises(ConfigurationError, match=r"tags requires .*LocMemCache\."):
            user.save()

    def test_a_cache_that_stores_nothing_has_nothing_to_delete(
        self, connect, site, user, django_capture_on_commit_callbacks
    ):
        connect(User, tags=("users",))
        site.CACHES = {"default": {"BACKEND": DUMMY}}
        with django_capture_on_commit_callbacks(execute=True) as callbacks:
            user.save()
        assert len(callbacks) == 1
