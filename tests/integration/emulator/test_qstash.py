"""The emulator's QStash, used with the unmodified client of Upstash."""

import json
import time

import httpx
import pytest
from qstash import QStash, Receiver
from qstash.errors import QStashError, SignatureError

from continuum_upstash.emulator.process import running
from continuum_upstash.emulator.qstash.signing import (
    TEST_CURRENT_KEY,
    TEST_NEXT_KEY,
    TEST_TOKEN,
    SigningKeys,
)
from tests.waiting import wait_until
from tests.webhook import receive_webhooks


@pytest.fixture
def client(emulator):
    client = QStash(TEST_TOKEN, base_url=emulator.qstash_url, retry=False)
    yield client
    client.http._client.close()


@pytest.fixture
def webhook():
    with receive_webhooks() as webhook:
        yield webhook


def wait_for_requests(webhook, count):
    wait_until(lambda: len(webhook.requests) >= count)
    return webhook.requests[-1]


def test_a_message_arrives_with_its_body_headers_and_signature(client, webhook):
    published = client.message.publish_json(
        url=f"{webhook.url}?a=1&b=%20", body={"n": 1}, headers={"X-Own": "yes"}
    )
    path, headers, body = wait_for_requests(webhook, 1)
    assert path == "/hook?a=1&b=+"
    assert json.loads(body) == {"n": 1}
    assert headers["x-own"] == "yes"
    assert headers["content-type"] == "application/json"
    assert headers["upstash-message-id"] == published.message_id
    assert headers["upstash-retried"] == "0"
    Receiver(TEST_CURRENT_KEY, TEST_NEXT_KEY).verify(
        signature=headers["upstash-signature"], body=body.decode(), url=f"{webhook.url}?a=1&b=+"
    )


def test_binary_bodies_and_methods(client, webhook):
    client.message.publish(url=webhook.url, body=b"\x00\xff", method="PUT")
    _, headers, body = wait_for_requests(webhook, 1)
    assert (headers["method"], body) == ("PUT", b"\x00\xff")


def test_a_delayed_message_waits_for_its_time(client, webhook, emulator):
    first = client.message.publish(url=webhook.url, body="1", delay="1h")
    client.message.publish(url=webhook.url, body="2", not_before=int(time.time()) + 7200)
    message = client.message.get(first.message_id)
    assert abs(message.not_before - message.created_at - 3_600_000) <= 1  # rounded to ms
    assert message.body == "1"
    emulator.advance_qstash(3_601)
    assert wait_for_requests(webhook, 1)[2] == b"1"
    assert emulator.read_qstash().messages == 1
    emulator.advance_qstash(3_601)
    assert wait_for_requests(webhook, 2)[2] == b"2"


def test_a_failed_delivery_is_retried_with_back_off_and_then_dead(client, webhook, emulator):
    webhook.statuses = [500, 503]
    message_id = client.message.publish(url=webhook.url, body="x", retries=1).message_id
    wait_for_requests(webhook, 1)
    wait_until(lambda: client.message.get(message_id).not_before > time.time() * 1000 + 11_000)
    emulator.advance_qstash(13)
    assert wait_for_requests(webhook, 2)[1]["upstash-retried"] == "1"
    wait_until(lambda: emulator.read_qstash().dead_letters == 1)
    (dead,) = client.dlq.list(filter={"message_id": message_id}).messages
    assert (dead.response_status, dead.body) == (503, "x")
    with pytest.raises(QStashError, match="not found"):
        client.message.get(message_id)
    httpx.post(
        f"{client.http._base_url}/v2/dlq/retry/{dead.dlq_id}",
        headers={"Authorization": f"Bearer {TEST_TOKEN}"},
    ).raise_for_status()
    wait_for_requests(webhook, 3)
    wait_until(lambda: emulator.read_qstash() == type(emulator.read_qstash())(0, 0, 0))


def test_the_receiver_chooses_the_delay_or_stops_the_retries(client, webhook, emulator):
    webhook.statuses, webhook.headers = [429], {"Retry-After": "0"}
    client.message.publish(url=webhook.url)
    wait_for_requests(webhook, 2)
    wait_until(lambda: emulator.read_qstash().messages == 0)
    webhook.requests.clear()
    webhook.statuses, webhook.headers = [489], {"Upstash-NonRetryable-Error": "true"}
    client.message.publish(url=webhook.url)
    wait_until(lambda: emulator.read_qstash().dead_letters == 1)
    assert {headers["upstash-retried"] for _, headers, _ in webhook.requests} == {"0"}


def test_the_publisher_chooses_the_delay_of_retries(client, webhook):
    webhook.statuses = [500, 500]
    client.message.publish(url=webhook.url, retry_delay="retried * 1")
    assert wait_for_requests(webhook, 3)[1]["upstash-retried"] == "2"


def test_no_server_is_a_failed_delivery_with_a_failure_callback(client, webhook, emulator):
    client.message.publish(
        url="http://127.0.0.1:9/", body="lost", retries=0, failure_callback=webhook.url
    )
    content = json.loads(wait_for_requests(webhook, 1)[2])
    assert (content["status"], content["maxRetries"]) == (0, 0)
    (dead,) = client.dlq.list().messages
    assert content["dlqId"] == dead.dlq_id
    assert client.dlq.get(dead.dlq_id).body == "lost"
    assert client.dlq.delete_many([dead.dlq_id]) == 1
    assert emulator.read_qstash().dead_letters == 0


def test_a_duplicate_is_not_sent_within_ten_minutes(client, webhook, emulator):
    first = client.message.publish(url=webhook.url, deduplication_id="a")
    second = client.message.publish(url=webhook.url, deduplication_id="a")
    assert (first.deduplicated, second.deduplicated) == (False, True)
    assert second.message_id == first.message_id
    emulator.advance_qstash(601)
    assert not client.message.publish(url=webhook.url, deduplication_id="a").deduplicated
    for expected in (False, True):
        published = client.message.publish(
            url=webhook.url, body="same", content_based_deduplication=True
        )
        assert published.deduplicated == expected
    wait_for_requests(webhook, 3)
    wait_until(lambda: emulator.read_qstash().messages == 0)
    assert len(webhook.requests) == 3


def test_messages_are_cancelled(client, webhook, emulator):
    ids = [
        client.message.publish(url=webhook.url, delay=60 + number).message_id for number in range(4)
    ]
    client.message.cancel(ids[0])
    assert client.message.cancel_many(ids[:2]) == 1
    assert client.message.cancel_all() == 2
    emulator.advance_qstash(100)
    assert emulator.read_qstash().messages == 0
    assert webhook.requests == []


def test_a_batch(client, webhook):
    responses = client.message.batch_json(
        [{"url": webhook.url, "body": {"n": n}, "headers": {"X-N": str(n)}} for n in range(3)]
    )
    assert len({each.message_id for each in responses}) == 3
    wait_for_requests(webhook, 3)
    assert sorted(json.loads(body)["n"] for _, _, body in webhook.requests) == [0, 1, 2]
    assert {headers["x-n"] for _, headers, _ in webhook.requests} == {"0", "1", "2"}


def test_a_schedule_sends_a_message_at_each_of_its_times(client, webhook, emulator):
    schedule_id = client.schedule.create(
        destination=webhook.url, cron="0 * * * *", body="hourly", schedule_id="reports"
    )
    assert schedule_id == "reports"
    emulator.advance_qstash(7_200)
    wait_for_requests(webhook, 2)
    assert webhook.requests[0][1]["upstash-schedule-id"] == "reports"
    shown = client.schedule.get("reports")
    assert (shown.cron, shown.destination, shown.body) == ("0 * * * *", webhook.url, "hourly")
    client.schedule.pause("reports")
    assert client.schedule.get("reports").paused
    emulator.advance_qstash(7_200)
    client.schedule.resume("reports")
    wait_until(lambda: emulator.read_qstash().messages == 0)
    assert len(webhook.requests) == 2
    emulator.advance_qstash(3_600)
    wait_for_requests(webhook, 3)
    client.schedule.delete("reports")
    assert client.schedule.list() == []


def test_rotated_keys_sign_the_next_delivery(client, webhook):
    before = client.signing_key.get()
    assert (before.current, before.next) == (TEST_CURRENT_KEY, TEST_NEXT_KEY)
    after = client.signing_key.rotate()
    assert after.current == before.next
    client.message.publish(url=webhook.url, body="b")
    _, headers, _ = wait_for_requests(webhook, 1)
    signed = {"signature": headers["upstash-signature"], "body": "b", "url": webhook.url}
    Receiver(before.current, before.next).verify(**signed)
    with pytest.raises(SignatureError):
        Receiver(before.current, "sig_other").verify(**signed)


def test_wrong_requests_are_errors(client, webhook, emulator):
    for arguments in (
        {"url": "ftp://example.org"},
        {"url": webhook.url, "delay": "soon"},
        {"url": webhook.url, "retry_delay": "open('x')"},
        {"url": webhook.url, "retries": 1000},
    ):
        with pytest.raises(QStashError, match="status: 400"):
            client.message.publish(**arguments)
    with pytest.raises(QStashError, match="invalid cron"):
        client.schedule.create(destination=webhook.url, cron="never")
    wrong = QStash("wrong", base_url=emulator.qstash_url, retry=False)
    with pytest.raises(QStashError, match="status: 401"):
        wrong.message.publish(url=webhook.url)
    wrong.http._client.close()
    with pytest.raises(QStashError, match="emulator has no GET /v2/queues"):
        client.queue.list()
    assert emulator.read_qstash().messages == 0


def test_without_the_option_there_is_no_qstash():
    with running() as emulator:
        assert emulator.qstash_url == ""
        with pytest.raises(ValueError, match="unknown route"):
            emulator.read_qstash()


def test_a_token_in_the_query_and_an_encoded_destination(emulator, webhook):
    httpx.post(
        f"{emulator.qstash_url}/v2/publish/{webhook.url.replace('/', '%2F').replace(':', '%3A')}",
        params={"qstash_token": TEST_TOKEN},
        content=b"q",
    ).raise_for_status()
    path, headers, body = wait_for_requests(webhook, 1)
    assert (path, body) == ("/hook", b"q")
    assert SigningKeys().sign(webhook.url, b"q").count(".") == headers["upstash-signature"].count(
        "."
    )
