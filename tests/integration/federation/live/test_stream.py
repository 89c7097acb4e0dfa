"""Live pages under ASGI: the protocol of @upstash/realtime's browser client."""

import json
import socket
import threading
from urllib.parse import urlsplit

import httpx
import pytest
from django.db import connections

from continuum_upstash.federation import Channel
from continuum_upstash.federation.live.open_streams import OpenStreams
from continuum_upstash.transports.registry import get_process_state
from tests.waiting import wait_until


def count_open():
    return get_process_state(OpenStreams).get_count("process")


def test_a_page_receives_events(asgi_site, open_page, room):
    page = open_page(asgi_site, "?channel=room")
    headers = page.response.headers
    assert page.response.status_code == 200
    assert headers["Content-Type"] == "text/event-stream"
    assert headers["Cache-Control"] == "no-cache, no-transform"
    assert headers["X-Accel-Buffering"] == "no"
    assert "Access-Control-Allow-Origin" not in headers
    assert page.read() == {"type": "connected", "channel": "room", "cursor": "0-0"}
    event_id = room.publish("chat.message", {"text": "ü\n\r\u2028"})
    assert page.read() == {
        "id": event_id,
        "data": {"text": "ü\n\r\u2028"},
        "event": "chat.message",
        "channel": "room",
    }
    assert page.last_id == f"room={event_id}"


def test_missed_events_are_delivered_once(asgi_site, open_page, room):
    ids = [room.publish("e", number) for number in range(3)]
    page = open_page(asgi_site, f"?channel=room&last_ack_room={ids[0]}")
    assert page.read()["cursor"] == ids[0]
    assert [page.read()["id"] for _ in range(2)] == ids[1:]
    # A browser that reconnects by itself sends the old URL, and the last id.
    again = open_page(
        asgi_site, f"?channel=room&last_ack_room={ids[0]}", **{"Last-Event-ID": page.last_id}
    )
    assert again.read() == {"type": "connected", "channel": "room", "cursor": ids[2]}
    ids.append(room.publish("e", 3))
    assert again.read()["id"] == ids[3]


def test_one_id_holds_the_positions_in_several_channels(asgi_site, open_page, room):
    other = Channel("room 2")
    query = "?channel=room&channel=room%202&channel=room"
    page = open_page(asgi_site, query)
    assert {page.read()["channel"], page.read()["channel"]} == {"room", "room 2"}
    first, second = room.publish("e", 1), other.publish("e", 2)
    assert {page.read()["id"], page.read()["id"]} == {first, second}
    assert page.last_id == f"room={first}&room%202={second}"
    page.close()
    third = room.publish("e", 3)
    again = open_page(asgi_site, query, **{"Last-Event-ID": page.last_id})
    frames = [again.read() for _ in range(3)]
    assert [frame["id"] for frame in frames if "id" in frame] == [third]


def test_the_default_channel(asgi_site, open_page, federation):
    page = open_page(asgi_site)
    assert page.read()["channel"] == "default"
    Channel("default").publish("e", 1)
    assert page.read()["data"] == 1


def test_pings_are_made_locally(asgi_site, open_page, emulator, settings):
    settings.CONTINUUM_LIVE = settings.CONTINUUM_LIVE | {"PING_INTERVAL": 0.05}
    page = open_page(asgi_site, "?channel=room")
    page.read_until("connected")
    with emulator.count() as usage:
        pings = [page.read() for _ in range(3)]
    assert [ping["type"] for ping in pings] == ["ping"] * 3
    assert usage.billed == 0


def test_a_page_is_told_to_reconnect(asgi_site, open_page, settings):
    settings.CONTINUUM_LIVE = settings.CONTINUUM_LIVE | {"MAX_DURATION": 0.1}
    page = open_page(asgi_site, "?channel=room")
    assert page.read_until("reconnect")["timestamp"] > 1_700_000_000_000
    assert page.read() is None
    wait_until(lambda: not count_open())


def test_a_page_that_reconnects_costs_nothing(asgi_site, open_page, emulator, room):
    page = open_page(asgi_site, "?channel=room")
    page.read()
    room.publish("e", 1)
    page.read()
    page.close()
    with emulator.count() as usage:
        again = open_page(asgi_site, "?channel=room", **{"Last-Event-ID": page.last_id})
        again.read()
    assert usage.billed == 0


def test_a_disconnected_page_is_forgotten(asgi_site, open_page):
    page = open_page(asgi_site, "?channel=room")
    page.read()
    assert count_open() == 1
    page.close()
    wait_until(lambda: not count_open())


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("?channel=secret", "not permitted"),
        ("?channel=room&channel=secret", "not permitted"),
        ("?channel=room*", "control character"),
        ("?channel=a%0D%0Aevent:x", "control character"),
        ("?channel=continuum:session:x", "reserved"),
        ("?channel=42", "JSON value"),
        ("?channel=room&last_ack_room=x", "Invalid position"),
        ("?" + "&".join(f"channel=room{number}" for number in range(11)), "More than 10"),
    ],
)
def test_a_refused_page_is_told_to_wait(asgi_site, open_page, query, error, emulator):
    with emulator.count() as usage:
        page = open_page(asgi_site, query)
        lines = page.response.read().decode().splitlines()
    assert page.response.status_code == 200
    assert 30_000 <= int(lines[0].removeprefix("retry: ")) <= 60_000
    [data] = [line for line in lines if line.startswith("data: ")]
    frame = json.loads(data[6:])
    assert frame["type"] == "error"
    assert error in frame["error"]
    assert usage.billed == 0


def test_another_client_is_refused_with_a_status(asgi_site, open_page):
    page = open_page(asgi_site, "?channel=secret", Accept="application/json")
    assert page.response.status_code == 403
    page = open_page(asgi_site, "?channel=*", Accept="application/json")
    assert page.response.status_code == 400


@pytest.mark.parametrize(
    ("function", "query", "status"),
    [
        ("authorize_in_thread", "?channel=secret", 401),
        ("refuse_by_mistake", "?channel=room", 403),
        (None, "?channel=room", 403),
        (None, "?channel=public", 200),
    ],
)
def test_who_may_read(asgi_site, open_page, settings, function, query, status):
    path = f"tests.integration.federation.live.live_urls.{function}" if function else None
    settings.CONTINUUM_LIVE = settings.CONTINUUM_LIVE | {"AUTHORIZE": path}
    assert open_page(asgi_site, query, Accept="*/*").response.status_code == status


@pytest.mark.parametrize("limit", ["MAX_STREAMS", "MAX_STREAMS_PER_ADDRESS"])
def test_open_streams_are_limited(asgi_site, open_page, settings, limit):
    settings.CONTINUUM_LIVE = settings.CONTINUUM_LIVE | {limit: 1}
    page = open_page(asgi_site, "?channel=room")
    page.read()
    assert open_page(asgi_site, "?channel=room").read()["error"] == "too many open streams"
    page.close()
    wait_until(lambda: not count_open())
    assert open_page(asgi_site, "?channel=room").read()["type"] == "connected"


def test_another_origin_is_allowed_by_its_name_only(asgi_site, open_page, settings):
    settings.CONTINUUM_LIVE = settings.CONTINUUM_LIVE | {
        "ALLOWED_ORIGINS": ["https://app.example.com"]
    }
    page = open_page(asgi_site, "?channel=room", Origin="https://app.example.com")
    assert page.response.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert page.response.headers["Access-Control-Allow-Credentials"] == "true"
    page = open_page(asgi_site, "?channel=room", Origin="https://evil.example.com")
    assert "Access-Control-Allow-Origin" not in page.response.headers
    assert page.response.headers["Vary"] == "Origin"


def test_compression_does_not_hold_events_back(asgi_site, open_page, settings, room):
    settings.MIDDLEWARE = ["django.middleware.gzip.GZipMiddleware"]
    page = open_page(asgi_site, "?channel=room", **{"Accept-Encoding": "gzip"})
    assert page.read()["type"] == "connected"
    room.publish("e", 1)
    assert page.read()["data"] == 1


def test_a_key_of_another_type_ends_the_stream(asgi_site, open_page, raw):
    raw("SET", "room", "a value")
    page = open_page(asgi_site, "?channel=room")
    assert page.read() == {"type": "error", "error": "the channel cannot be read"}
    assert page.read() is None


def test_an_outage_is_survived(asgi_site, open_page, room, emulator, settings):
    settings.CONTINUUM_LIVE = settings.CONTINUUM_LIVE | {"PING_INTERVAL": 0.05}
    page = open_page(asgi_site, "?channel=room")
    page.read_until("connected")
    with emulator.fault("refuse", side="both"):
        page.read_until("ping")
    ids = []

    def publish():
        try:
            ids.append(room.publish("e", 1))
        except Exception:
            return False
        return True

    wait_until(publish)
    while "id" not in (frame := page.read()):
        assert frame["type"] == "ping"
    assert frame["id"] == ids[0]


def test_a_client_that_does_not_read_costs_no_memory_and_ends(
    asgi_site, room, settings, monkeypatch
):
    monkeypatch.setattr("continuum_upstash.federation.live.views._GRACE_SECONDS", 0.1)
    settings.CONTINUUM_LIVE = settings.CONTINUUM_LIVE | {"MAX_DURATION": 0.5}
    parts = urlsplit(asgi_site)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect((parts.hostname, parts.port))
        sock.sendall(b"GET /api/realtime?channel=room HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: count_open() == 1)
        for _ in range(30):
            room.publish("e", "x" * 100_000)
        wait_until(lambda: not count_open())


def test_an_open_stream_keeps_no_thread_and_no_database_connection(
    asgi_site, open_page, settings, monkeypatch
):
    closed = []
    monkeypatch.setattr(connections, "close_all", lambda: closed.append(threading.get_ident()))
    path = "tests.integration.federation.live.live_urls.authorize_in_thread"
    settings.CONTINUUM_LIVE = settings.CONTINUUM_LIVE | {"AUTHORIZE": path}
    open_page(asgi_site, "?channel=room").read()
    before = threading.active_count()
    pages = [open_page(asgi_site, "?channel=room") for _ in range(3)]
    assert [page.read()["type"] for page in pages] == ["connected"] * 3
    wait_until(lambda: threading.active_count() <= before)
    assert len(closed) == 4


def test_other_methods_are_not_allowed(asgi_site):
    assert httpx.post(asgi_site).status_code == 405
