"""The pages about queues: figures, dead letters, and actions that are confirmed and logged."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from importlib.util import find_spec

import pytest
from django.contrib.admin.models import LogEntry
from django.utils import translation

from continuum_upstash.errors import Unavailable
from continuum_upstash.federation import Queue
from continuum_upstash.federation.queue.outcome_counts import add_outcomes
from tests.integration.panel.panel_html import Page

BASE = "/admin/continuum_upstash_panel/jobqueue/"
ALIAS = f"{BASE}default/change/"
PAGE = f"{BASE}default/queue/mail.eu/"
HANDLERS = {"HANDLERS": {"mail.eu": "shop.send", "*": "shop.other"}, "ALIAS": "default"}


@pytest.fixture
def queue(panel, settings):
    settings.CONTINUUM_FEDERATION = HANDLERS
    return Queue("mail.eu", using="default")


@pytest.fixture
def operator(client, accounts):
    client.force_login(accounts.superuser())
    return client


def add_dead(queue, *payloads, reason="no route"):
    queue.enqueue_many(payloads)
    for job in queue.reserve(len(payloads)):
        job.fail(reason)
    return [job.id for job in queue.dead()]


def test_the_figures_of_a_queue(queue, operator):
    add_dead(queue, "dead")
    queue.enqueue_many(["a", "b"])
    queue.enqueue("later", delay=60)
    key = queue.plans.keys.jobs
    queue.run(add_outcomes(key, {"done": 600, "retried": 3, "dead": 1}, datetime.now(UTC)))
    assert "mail.eu" in Page(operator.get(BASE)).text
    text = " ".join(Page(operator.get(ALIAS)).text.split())
    for figure in ("Ready 2", "Delayed or running 1", "Failed attempts 4", "Dead letters 1"):
        assert figure in text
    assert "This page cost" in text


def test_dead_letters_are_shown_without_markup(queue, operator):
    add_dead(queue, "<script>alert(1)</script>", reason="<b>bold</b>")
    html = operator.get(PAGE).content.decode()
    assert "&lt;script&gt;" in html
    assert "<b>bold" not in html


def test_payloads_are_shown_to_users_who_may_see_values(queue, operator, visit):
    (job,) = add_dead(queue, "4929-1234")
    assert "4929-1234" in operator.get(PAGE).content.decode()
    text = visit(PAGE, "dispatcher").text
    assert job in text
    assert "4929-1234" not in text
    assert "Payload" not in text


@pytest.mark.parametrize("action", ["requeue", "discard"])
def test_an_action_on_chosen_dead_letters_is_confirmed_and_logged(queue, operator, action):
    first, second = add_dead(queue, "a", "b")
    path = f"{PAGE}do/{action}/"
    assert first in operator.get(path, {"job": [first]}).content.decode()
    assert queue.size().dead == 2
    operator.post(path, {"job": [first]})
    assert [job.id for job in queue.dead()] == [second]
    assert queue.size().ready == (action == "requeue")
    (entry,) = LogEntry.objects.all()
    assert "mail.eu. 1 of 1 dead letters." in entry.change_message
    operator.post(path, {"job": [first]})
    assert queue.size().dead == 1


def test_an_action_needs_a_choice(queue, operator):
    add_dead(queue, "a")
    assert operator.get(f"{PAGE}do/discard/").status_code == 302
    assert operator.post(f"{PAGE}do/discard/").status_code == 302
    assert queue.size().dead == 1


def test_pause_and_resume(queue, operator):
    operator.get(f"{PAGE}do/pause/")
    assert not queue.size().is_paused
    operator.post(f"{PAGE}do/pause/")
    assert queue.size().is_paused
    assert "The queue is paused." in Page(operator.get(PAGE)).text
    operator.post(f"{PAGE}do/resume/")
    assert not queue.size().is_paused


def test_pages_of_dead_letters(queue, operator):
    add_dead(queue, *range(30))
    first, second = (operator.get(PAGE, {"offset": offset}).content for offset in ("0", "25"))
    assert first.count(b'name="job"') == 25
    assert second.count(b'name="job"') == 5
    assert operator.get(PAGE, {"offset": "x"}).status_code == 200


def test_an_outage_between_the_figures_and_the_dead_letters_is_explained(
    queue, operator, monkeypatch
):
    def fail(*_):
        raise Unavailable("the database did not reply")

    monkeypatch.setattr(Queue, "dead", fail)
    assert "the database did not reply" in Page(operator.get(PAGE)).text


@pytest.mark.parametrize(
    "path", ["queue/other/", "queue/mail.eu/do/drop/", "queue/other/do/pause/"]
)
def test_what_does_not_exist_is_not_found(queue, operator, path):
    assert operator.get(f"{BASE}default/{path}").status_code == 404


@pytest.mark.parametrize("path", [BASE, ALIAS, PAGE, f"{PAGE}do/pause/"])
def test_a_user_without_permission_sees_nothing(queue, client, django_user_model, path):
    client.force_login(django_user_model.objects.create_user("guest", is_staff=True))
    assert client.get(path).status_code == 403


def test_an_unusable_alias_is_explained(configure_panel, settings, operator):
    configure_panel("local")
    settings.CONTINUUM_FEDERATION = HANDLERS
    assert "has no database" in Page(operator.get(ALIAS)).text


def test_queues_of_tasks_are_shown(panel, settings, operator):
    if not any(map(find_spec, ("django.tasks", "django_tasks"))):
        pytest.skip("Django has no tasks before 6.0, without django-tasks")
    settings.TASKS = {
        "default": {
            "BACKEND": "continuum_upstash.federation.tasks.UpstashTasks",
            "QUEUES": ["default", "reports"],
            "OPTIONS": {"USING": "default"},
        }
    }
    assert "tasks.default.reports" in Page(operator.get(ALIAS)).text


@pytest.mark.parametrize("path", [BASE, ALIAS, PAGE, f"{PAGE}do/discard/?job=a"])
def test_every_word_can_be_translated(path, queue, operator, monkeypatch):
    add_dead(queue, 1)
    monkeypatch.setattr(translation._trans, "gettext", lambda text: f"⟦{text}⟧")
    monkeypatch.setattr(translation._trans, "pgettext", lambda _, text: f"⟦{text}⟧")
    monkeypatch.setattr(
        translation._trans, "ngettext", lambda one, many, n: f"⟦{one if n == 1 else many}⟧"
    )
    text = Page(operator.get(path)).text
    while (left := re.sub(r"⟦[^⟦⟧]*⟧", " ", text)) != text:
        text = left
    words = set(re.findall(r"[A-Za-z]{3,}", text)) - {"mail", "default", "root", "route"}
    assert {word for word in words if not re.fullmatch("[0-9a-f]+", word)} == set()
