"""Tasks without a worker: QStash delivers them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from datetime import timedelta

import pytest
from django.test import Client, override_settings
from django.utils import timezone
from qstash import QStash

from continuum_upstash.emulator.qstash.signing import (
    TEST_CURRENT_KEY,
    TEST_NEXT_KEY,
    TEST_TOKEN,
)
from continuum_upstash.errors import Unavailable
from continuum_upstash.federation.tasks.documents import DeliveryFailed, TaskCrashed
from continuum_upstash.federation.tasks.framework import (
    InvalidTask,
    TaskResultDoesNotExist,
    TaskResultStatus,
    task_backends,
)
from continuum_upstash.federation.tasks.options import TaskOptions
from continuum_upstash.plans.effects import Batch
from tests.integration.federation import site_tasks
from tests.waiting import wait_until

BACKEND = "continuum_upstash.federation.tasks.UpstashTasks"
PATH = "/federation/tasks/run/"


@pytest.fixture
def push(emulator, site):
    """Return a function that configures TASKS with PUSH, and other options."""
    site_tasks.calls.clear()
    site_tasks.release.clear()
    overrides = []

    def configure(**options):
        push = {
            "URL": options.pop("URL", site),
            "QSTASH_URL": options.pop("QSTASH_URL", emulator.qstash_url),
            "TOKEN": options.pop("TOKEN", TEST_TOKEN),
            "CURRENT_SIGNING_KEY": TEST_CURRENT_KEY,
            "NEXT_SIGNING_KEY": TEST_NEXT_KEY,
        }
        entry = {"BACKEND": BACKEND, "OPTIONS": {"PUSH": push, **options}}
        override = override_settings(TASKS={"default": entry})
        override.enable()
        overrides.append(override)

    configure()
    yield configure
    for override in reversed(overrides):
        override.disable()


def wait_until_finished(result):
    wait_until(lambda: result.refresh() or result.is_finished)
    return result


def test_qstash_runs_a_task(push, emulator):
    result = site_tasks.add.enqueue(1, b=2)
    wait_until_finished(result)
    assert (result.return_value, result.attempts) == (3, 1)
    wait_until(lambda: emulator.read_qstash().messages == 0)
    assert site_tasks.calls == [(1, 2)]


def test_the_arguments_stay_in_the_database(push, emulator):
    site_tasks.add.using(run_after=timezone.now() + timedelta(hours=1)).enqueue("secret")
    (key,) = task_backends["default"].store.database.run(list_keys())
    task_id = key.decode().rpartition(":")[2]
    client = QStash(TEST_TOKEN, base_url=emulator.qstash_url, retry=False)
    # The ID of the task is the deduplication ID, so this returns the ID of its message.
    duplicate = client.message.publish(url="http://127.0.0.1:9/", deduplication_id=task_id)
    message = client.message.get(duplicate.message_id)
    client.http._client.close()
    assert duplicate.deduplicated
    assert json.loads(message.body) == {"task": task_id, "backend": "default"}


def test_qstash_retries_as_often_as_the_policy_of_the_task_permits(push, emulator, monkeypatch):
    monkeypatch.setattr(TaskOptions, "get_max_attempts", lambda *_: 7)  # @task(max_attempts=7)
    push(MAX_CRASHES=3)
    enqueue_unsent()
    (key,) = task_backends["default"].store.database.run(list_keys())
    client = QStash(TEST_TOKEN, base_url=emulator.qstash_url, retry=False)
    task_id = key.decode().rpartition(":")[2]
    duplicate = client.message.publish(url="http://127.0.0.1:9/", deduplication_id=task_id)
    assert client.message.get(duplicate.message_id).max_retries == 10
    client.http._client.close()


def list_keys():
    (reply,) = yield Batch((("KEYS", "continuum:task:*"),))
    return reply


def test_run_after_is_a_delay_of_qstash(push, emulator):
    later = timezone.now() + timedelta(seconds=0.6)
    result = site_tasks.add.using(run_after=later).enqueue(1)
    assert emulator.read_qstash().messages == 1
    assert site_tasks.calls == []
    wait_until_finished(result)
    assert result.started_at >= later - timedelta(seconds=0.5)


def test_a_failure_is_final_or_retried_by_policy(push, emulator):
    result = wait_until_finished(site_tasks.raise_error.enqueue())
    assert result.status == TaskResultStatus.FAILED
    wait_until(lambda: emulator.read_qstash().messages == 0)
    push(MAX_ATTEMPTS=2, BACKOFF=0.4)
    result = site_tasks.read_attempt.enqueue()
    wait_until(lambda: result.refresh() or result.errors)
    emulator.advance_qstash(5)
    wait_until_finished(result)
    assert result.return_value == [result.id, 2]


def test_priorities_are_not_supported(push):
    with pytest.raises(InvalidTask, match="priority"):
        site_tasks.add.using(priority=5)


def test_a_task_that_qstash_rejects_is_not_stored(push, emulator, caplog):
    for options in ({"TOKEN": "wrong"}, {"QSTASH_URL": "http://127.0.0.1:9"}):
        push(**options)
        with pytest.raises(Unavailable, match="QStash did not accept the task"):
            site_tasks.add.enqueue(1)
        assert task_backends["default"].store.database.run(list_keys()) == []
    assert TEST_TOKEN not in caplog.text


def test_rotated_keys_are_accepted(push, emulator):
    client = QStash(TEST_TOKEN, base_url=emulator.qstash_url, retry=False)
    client.signing_key.rotate()
    assert wait_until_finished(site_tasks.add.enqueue(1)).return_value == 1
    client.signing_key.rotate()
    result = site_tasks.add.enqueue(2)
    wait_until(lambda: emulator.read_qstash().messages == 1)
    client.http._client.close()
    assert result.refresh() or result.status == TaskResultStatus.READY


def test_a_task_that_cannot_be_delivered_fails(push):
    result = enqueue_unsent()
    backend = task_backends["default"]
    callback = {
        "status": 500,
        "body": base64.b64encode(b"<p>an error page</p>" * 40_000).decode(),
        "sourceBody": base64.b64encode(make_body(result)).decode(),
        "sourceMessageId": "msg_1",
        "dlqId": "dlq_1",
    }
    body = json.dumps(callback).encode()
    assert deliver(backend, body).status_code == 200
    result.refresh()
    assert result.status == TaskResultStatus.FAILED
    assert result.errors[0].exception_class is DeliveryFailed
    assert deliver(backend, body).status_code == 200


# ---- requests, without a server


def enqueue_unsent(**options):
    """Store a task whose message is never delivered."""
    later = timezone.now() + timedelta(days=1)
    result = site_tasks.add.using(run_after=later, **options).enqueue(1)
    backend = task_backends["default"]
    store = backend.store
    stored = store.database.run(store.read(result.id))
    stored.document.run_after = None
    store.database.run(store.replace(stored, stored.document))
    return result


def make_body(result):
    return json.dumps({"task": result.id, "backend": "default"}).encode()


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def sign(url, content, key=TEST_CURRENT_KEY, header=None, **changes):
    now = int(time.time())
    claims = {
        "iss": "Upstash",
        "sub": url,
        "exp": now + 300,
        "nbf": now,
        "iat": now,
        "jti": "jwt_1",
        "body": encode(hashlib.sha256(content).digest()),
    } | changes
    claims = {name: value for name, value in claims.items() if value is not None}
    parts = (header or {"alg": "HS256", "typ": "JWT"}, claims)
    signed = ".".join(encode(json.dumps(part).encode()) for part in parts)
    return f"{signed}.{encode(hmac.digest(key.encode(), signed.encode(), 'sha256'))}"


def post(body, signature, **headers):
    return Client().post(
        PATH,
        body,
        content_type="application/json",
        headers={"Upstash-Signature": signature, "Upstash-Message-Id": "msg_1", **headers},
    )


def deliver(backend, body):
    return post(body, sign(backend.task_options.push.url, body))


@pytest.fixture
def result(push):
    return enqueue_unsent()


def test_a_delivery_is_idempotent(result):
    backend, body = task_backends["default"], make_body(result)
    signature = sign(backend.task_options.push.url, body)
    responses = [post(body, signature), post(body, signature), deliver(backend, body)]
    responses.append(post(body, signature, **{"Upstash-Message-Id": "msg_2"}))
    assert [each.status_code for each in responses] == [200] * 4
    assert site_tasks.calls == [(1, 0)]
    assert "no-store" in responses[0].headers["Cache-Control"]


def test_a_replay_does_not_shorten_the_back_off(push):
    push(MAX_ATTEMPTS=2, BACKOFF=60)
    result = enqueue_unsent()
    backend, body = task_backends["default"], make_body(result)
    original, site_tasks.add = site_tasks.add, site_tasks.raise_error
    try:
        first, second = deliver(backend, body), deliver(backend, body)
    finally:
        site_tasks.add = original
    assert [first.status_code, second.status_code] == [503, 503]
    assert 25 < int(first["Retry-After"]) <= 60
    assert 25 < int(second["Retry-After"]) <= 60
    assert len(site_tasks.calls) == 1


def test_concurrent_deliveries_run_a_task_once(push):
    result = enqueue_unsent()
    backend, body = task_backends["default"], make_body(result)
    original, site_tasks.add = site_tasks.add, site_tasks.wait_for_release
    replace_arguments(result)
    try:
        responses = []
        thread = threading.Thread(target=lambda: responses.append(deliver(backend, body)))
        thread.start()
        wait_until(lambda: site_tasks.calls)
        busy = deliver(backend, body)
        assert (busy.status_code, int(busy["Retry-After"]) > 290) == (503, True)
        site_tasks.release.set()
        thread.join()
    finally:
        site_tasks.add = original
    assert responses[0].status_code == 200
    assert site_tasks.calls == ["started"]


def replace_arguments(result):
    store = task_backends["default"].store
    stored = store.database.run(store.read(result.id))
    stored.document.args = []
    store.database.run(store.replace(stored, stored.document))


def test_a_delivery_that_crashed_runs_again_after_its_timeout(push):
    push(TIMEOUT=0.6, MAX_CRASHES=1)
    result = enqueue_unsent()
    backend, body = task_backends["default"], make_body(result)

    def crash():
        store = backend.store
        stored = store.database.run(store.read(result.id))
        document = stored.document
        if document.worker_ids:
            document = document.count_crash()
        store.database.run(store.replace(stored, document.start("killed")))

    crash()
    assert result.refresh() or result.status == TaskResultStatus.RUNNING
    wait_until(lambda: deliver(backend, body).status_code == 200)
    result.refresh()
    assert (result.return_value, result.attempts) == (1, 2)
    result = enqueue_unsent()
    body = make_body(result)
    crash()
    crash()
    wait_until(lambda: deliver(backend, body).status_code == 200)
    result.refresh()
    assert result.errors[0].exception_class is TaskCrashed


def test_an_unknown_task_is_not_delivered_again(result):
    body = json.dumps({"task": "x" * 32, "backend": "default"}).encode()
    response = deliver(task_backends["default"], body)
    assert (response.status_code, response["Upstash-NonRetryable-Error"]) == (489, "true")


def test_an_outage_is_a_later_delivery(result, emulator):
    with emulator.fault("reset"):
        response = deliver(task_backends["default"], make_body(result))
    assert (response.status_code, response["Retry-After"]) == (503, "10")


URL = "https://shop.example/federation/tasks/run/"
NOW = int(time.time())


@pytest.mark.parametrize(
    "forge",
    [
        lambda body: "",
        lambda body: "x",
        lambda body: "a.b.c",
        lambda body: "x" * 100_000,
        lambda body: "\xff.\xff.\xff",
        lambda body: sign(URL, body, key="sig_other"),
        lambda body: sign(URL, body, key=""),
        lambda body: sign(URL, b"another body"),
        lambda body: sign(URL.replace("https", "http"), body),
        lambda body: sign(URL + "?a=1", body),
        lambda body: sign(URL, body, exp=int(time.time()) - 1),
        lambda body: sign(URL, body, nbf=int(time.time()) + 100),
        lambda body: sign(URL, body, iss="Somebody"),
        lambda body: sign(URL, body, body=None),
        lambda body: sign(URL, body, body=5),
        lambda body: sign(URL, body, sub=None),
        lambda body: sign(URL, body, exp=None),
        lambda body: sign(URL, body, exp="never"),
        lambda body: sign(URL, body, header={"alg": "none"}),
        lambda body: sign(URL, body, header={"alg": "none"}).rpartition(".")[0] + ".",
        lambda body: sign(URL, body, header={"alg": "RS256"}),
        lambda body: sign(URL, body)[:-43] + 43 * "A",  # all of the signature
    ],
)
def test_a_forged_signature_is_refused(push, emulator, forge):
    push(URL=URL)
    result = enqueue_unsent()
    body = make_body(result)
    with emulator.count() as spent:
        response = post(body, forge(body))
    assert (response.status_code, spent.billed) == (403, 0)
    assert site_tasks.calls == []
    assert post(body, sign(URL, body)).status_code == 200
    assert post(body, sign(URL, body, key=TEST_NEXT_KEY)).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"\xff\xfe",
        b"{",
        b"[" * 100_000,
        b'{"backend": "default"}',
        b'{"backend": "default", "task": {"a": 1}}',
        b'{"backend": "default", "task": "../x"}',
        b'{"backend": "missing", "task": "x"}',
        b'{"backend": ["default"], "task": "x"}',
        b'{"sourceBody": "%%%", "backend": "default"}',
        b'{"sourceBody": "bnVsbA==", "backend": "default"}',
        b"x" * 10_000_000,
    ],
    ids=lambda body: body[:30].decode("latin-1"),
)
def test_a_hostile_body_is_refused(push, emulator, body):
    with emulator.count() as spent:
        response = deliver(task_backends["default"], body)
    assert response.status_code in {403, 413, 489}
    assert spent.billed <= 1
    assert site_tasks.calls == []


@pytest.mark.parametrize("length", ["x", "-1", ""])
def test_a_wrong_length_is_no_error_of_the_site(push, length):
    body = b'{"backend": "default", "task": "x"}'
    response = post(body, "", **{"Content-Length": length})
    assert response.status_code == 403


def test_only_post_requests_run_a_task(push):
    assert Client().get(PATH).status_code == 405


def test_a_result_of_another_alias_is_missing(push):
    with pytest.raises(TaskResultDoesNotExist):
        site_tasks.add.get_result("x" * 32)
