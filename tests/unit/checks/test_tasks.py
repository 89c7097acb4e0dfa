"""What the checks find in TASKS."""

from __future__ import annotations

import pytest
from django.test import override_settings

from continuum_upstash.checks import tasks
from continuum_upstash.checks.tasks import check_tasks, check_tasks_in_production
from continuum_upstash.health.probe import TASKS_BACKEND
from tests.unit.checks.cache_entries import get_ids, make_entry

LOCMEM = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
URL = "https://shop.example/federation/tasks/run/"
KEYS = {"TOKEN": "t", "CURRENT_SIGNING_KEY": "c", "NEXT_SIGNING_KEY": "n"}
PUSH = {"URL": URL, **KEYS}


def make_tasks(**options):
    return {"default": {"BACKEND": TASKS_BACKEND, "OPTIONS": options}}


@pytest.fixture(autouse=True)
def no_qstash_variables(monkeypatch):
    for name in ("TOKEN", "CURRENT_SIGNING_KEY", "NEXT_SIGNING_KEY", "URL"):
        monkeypatch.delenv(f"QSTASH_{name}", raising=False)


@pytest.mark.parametrize(
    ("entries", "federation", "expected"),
    [
        ({}, LOCMEM, []),
        ({"default": {"BACKEND": "elsewhere.Tasks"}}, LOCMEM, []),
        (make_tasks(), make_entry(), []),
        (make_tasks(USING="default"), LOCMEM, []),
        (make_tasks(), LOCMEM, ["E302"]),
        (make_tasks(USING="gone"), make_entry(), ["E302"]),
        (make_tasks(), make_entry("", OPTIONS={"MODE": "local"}), ["E302"]),
        (make_tasks(), make_entry(""), []),
        (make_tasks(MAX_ATTEMPT=2), make_entry(), ["E301"]),
        (make_tasks(PUSH={"URL": URL}), make_entry(), ["E301"]),
        (make_tasks(PUSH=PUSH), make_entry(), []),
    ],
)
def test_the_entries_of_tasks(entries, federation, expected):
    with override_settings(
        TASKS=entries, CACHES={"default": make_entry(), "federation": federation}
    ):
        assert get_ids(check_tasks()) == expected


def test_the_extra_is_missing(monkeypatch):
    monkeypatch.setattr(tasks, "find_spec", lambda _: None)
    caches = {"default": make_entry(), "federation": make_entry(KEY_PREFIX="f")}
    with override_settings(TASKS=make_tasks(PUSH=PUSH), CACHES=caches):
        assert get_ids(check_tasks()) == ["E303"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (URL, []),
        (URL.replace("https", "http"), ["W301"]),
        ("https://shop.example/federation/tasks/drain/", ["W302"]),
        ("https://shop.example/nothing/", ["W302"]),
        ("https://[shop.example/federation/tasks/run/", ["W302"]),
    ],
)
def test_the_url_that_qstash_calls(url, expected):
    entries = make_tasks(PUSH={**KEYS, "URL": url})
    with override_settings(TASKS=entries, ROOT_URLCONF="tests.integration.federation.site_urls"):
        assert get_ids(check_tasks_in_production()) == expected


def test_without_push_no_url_is_checked():
    with override_settings(TASKS=make_tasks()):
        assert check_tasks_in_production() == []
