"""What the checks find in CONTINUUM_FEDERATION, and in the databases that store jobs."""

from __future__ import annotations

import pytest
from django.test import override_settings

from continuum_upstash.checks.queues import check_job_databases, check_queues
from continuum_upstash.health.probe import TASKS_BACKEND
from tests.unit.checks.cache_entries import get_ids, make_entry

OTHER = "https://other.upstash.io"
LOCAL = make_entry("", OPTIONS={"MODE": "local"})


@pytest.mark.parametrize(
    ("setting", "federation", "expected"),
    [
        ({}, make_entry(), []),
        ({"HANDLERS": {"mail": "json.loads", "*": "json.dumps"}}, make_entry(), []),
        ({"ALIAS": "default"}, LOCAL, []),
        ({}, LOCAL, ["E312"]),
        ({}, make_entry(""), []),
        ({"ALIAS": "gone"}, make_entry(), ["E312"]),
        ({"HANDLER": {}}, make_entry(), ["E311"]),
        ({"HANDLERS": {"mail": "json.gone"}}, make_entry(), ["E311"]),
        ([], make_entry(), ["E311"]),
    ],
)
def test_the_setting_of_queues(setting, federation, expected):
    caches = {"default": make_entry(), "federation": federation}
    with override_settings(CONTINUUM_FEDERATION=setting, CACHES=caches):
        assert get_ids(check_queues()) == expected


def test_without_the_setting_nothing_is_checked():
    with override_settings(CACHES={"default": make_entry(), "federation": LOCAL}):
        assert check_queues() == check_job_databases() == []


@pytest.mark.parametrize(
    "setting",
    [
        {"CONTINUUM_FEDERATION": {"ALIAS": "jobs"}},
        {"TASKS": {"default": {"BACKEND": TASKS_BACKEND, "OPTIONS": {"USING": "jobs"}}}},
    ],
)
@pytest.mark.parametrize(
    ("cache", "expected"),
    [(make_entry(KEY_PREFIX="shop"), ["W311"]), (make_entry(OTHER), [])],
)
def test_jobs_that_share_a_database_with_a_cache(setting, cache, expected):
    caches = {"default": cache, "jobs": make_entry()}
    with override_settings(CACHES=caches, **setting):
        assert get_ids(check_job_databases()) == expected


def test_jobs_may_share_a_database_with_sessions():
    with override_settings(
        CACHES={"default": make_entry(), "jobs": make_entry(KEY_PREFIX="jobs")},
        CONTINUUM_FEDERATION={"ALIAS": "jobs"},
        SESSION_ENGINE="continuum_upstash.sessions",
    ):
        assert check_job_databases() == []
