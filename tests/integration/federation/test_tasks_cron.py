"""Tasks without a worker: a cron job runs what is ready."""

from __future__ import annotations

import pytest
from django.test import Client, override_settings

from tests.integration.federation import site_tasks

BACKEND = "continuum_upstash.federation.tasks.UpstashTasks"


@pytest.fixture
def cron(site, monkeypatch):
    site_tasks.calls.clear()
    monkeypatch.setenv("CRON_SECRET", "s3cret")
    with override_settings(TASKS={"default": {"BACKEND": BACKEND, "QUEUES": ["default", "mail"]}}):
        yield


def drain(query="", secret="s3cret", method="get"):
    headers = {"Authorization": f"Bearer {secret}"} if secret else {}
    return getattr(Client(), method)(f"/federation/tasks/drain/{query}", headers=headers)


def test_a_cron_job_runs_what_is_ready(cron, emulator):
    results = [site_tasks.add.enqueue(number) for number in range(3)]
    results.append(site_tasks.add.using(queue_name="mail").enqueue(3))
    site_tasks.raise_error.enqueue()
    response = drain()
    assert response.json() == {"runs": {"finished": 5}, "is_time_over": False}
    for number, result in enumerate(results):
        assert result.refresh() or result.return_value == number
    with emulator.count() as idle:
        assert drain(method="post").json()["runs"] == {}
    assert idle.billed in {4, 5, 6}  # with a look for delayed jobs once a second and queue


def test_a_cron_job_selects_queues(cron):
    site_tasks.add.enqueue(1)
    site_tasks.add.using(queue_name="mail").enqueue(2)
    assert drain("?queue=mail").json()["runs"] == {"finished": 1}
    assert site_tasks.calls == [(2, 0)]


def test_a_cron_job_stops_before_its_deadline(cron):
    for _ in range(3):
        site_tasks.add.enqueue(1)
    response = drain("?seconds=0.000001")
    assert response.json() == {"runs": {}, "is_time_over": True}
    assert drain().json()["runs"] == {"finished": 3}


@pytest.mark.parametrize("query", ["?seconds=0", "?seconds=nan", "?seconds=x", "?seconds=1e9"])
def test_a_wrong_time_is_an_error(cron, query):
    assert drain(query).status_code == 400


@pytest.mark.parametrize("secret", ["", "other", "s3cret ", "\xff"])
def test_a_cron_job_needs_the_secret(cron, monkeypatch, secret):
    site_tasks.add.enqueue(1)
    assert drain(secret=secret).status_code == 401
    monkeypatch.delenv("CRON_SECRET")
    for guess in ("", "None", "s3cret"):
        assert drain(secret=guess).status_code == 401
    assert site_tasks.calls == []
