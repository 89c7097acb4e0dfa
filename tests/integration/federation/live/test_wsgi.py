"""Live pages under WSGI: by polling, and by a thread for each of a few pages."""

from continuum_upstash.federation.live.open_streams import OpenStreams
from continuum_upstash.transports.registry import get_process_state


def test_a_page_polls_and_receives_each_event_once(wsgi_site, open_page, room, emulator):
    first = room.publish("e", 1)
    page = open_page(wsgi_site, f"?channel=room&last_ack_room={first}")
    lines = page.response.read().decode().splitlines()
    assert 3000 <= int(lines[0].removeprefix("retry: ")) <= 7000
    [last_id] = [line[4:] for line in lines if line.startswith("id: ")]
    assert last_id == f"room={first}"
    second = room.publish("e", 2)
    with emulator.count() as usage:
        page = open_page(wsgi_site, "?channel=room", **{"Last-Event-ID": last_id})
        frames = [page.read(), page.read(), page.read()]
    assert [frame and frame.get("id") for frame in frames] == [None, second, None]
    assert usage.billed == 0
    page = open_page(wsgi_site, "?channel=room", **{"Last-Event-ID": page.last_id})
    assert page.read() == {"type": "connected", "channel": "room", "cursor": second}
    assert page.read() is None


def test_a_page_may_keep_a_thread(wsgi_site, open_page, room, settings):
    settings.CONTINUUM_LIVE = settings.CONTINUUM_LIVE | {"MAX_THREADS": 1, "MAX_DURATION": 0.2}
    page = open_page(wsgi_site, "?channel=room")
    assert page.read()["type"] == "connected"
    room.publish("e", 1)
    assert page.read()["data"] == 1
    assert page.read_until("reconnect")
    assert page.read() is None
    assert not get_process_state(OpenStreams).get_count("threads")


def test_a_refused_page_is_told_to_wait(wsgi_site, open_page):
    assert open_page(wsgi_site, "?channel=secret").read()["type"] == "error"
