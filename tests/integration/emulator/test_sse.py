"""Server-sent events: the lines as @upstash/redis reads them, each starting with `data: `."""

from contextlib import contextmanager

import httpx
import pytest

EVENTS = {"Accept": "text/event-stream", "Upstash-Encoding": "base64"}


@contextmanager
def open_stream(emulator, path, token=None):
    headers = EVENTS | {"Authorization": f"Bearer {token or emulator.token}"}
    with (
        httpx.Client(
            base_url=emulator.rest_url, headers=headers, timeout=5, verify=False
        ) as client,
        client.stream("POST", path, json=[]) as response,
    ):
        yield response, (line for line in response.iter_lines() if line)


def test_subscribe_receives_the_messages_of_a_channel(emulator, rest):
    with open_stream(emulator, "/subscribe/chat") as (response, lines):
        assert response.headers["Content-Type"].startswith("text/event-stream")
        assert next(lines) == "data: subscribe,chat,1"
        assert rest.http.post("/publish/chat/hello").json() == {"result": 1}
        assert next(lines) == "data: message,chat,hello"
        rest.send("PUBLISH", "chat", '{"a": "b,c"}')
        assert next(lines) == 'data: message,chat,{"a": "b,c"}'


def test_several_path_segments_subscribe_to_several_channels(emulator, rest):
    with open_stream(emulator, "/subscribe/a/b%20c") as (_, lines):
        assert [next(lines), next(lines)] == ["data: subscribe,a,1", "data: subscribe,b c,2"]
        rest.send("PUBLISH", "b c", "x")
        assert next(lines) == "data: message,b c,x"


def test_psubscribe_receives_the_messages_of_a_pattern(emulator, rest):
    with open_stream(emulator, "/psubscribe/user:*") as (_, lines):
        assert next(lines) == "data: psubscribe,user:*,1"
        rest.send("PUBLISH", "user:7", "x")
        assert next(lines) == "data: pmessage,user:*,user:7,x"


def test_monitor_shows_the_commands(emulator, rest):
    with open_stream(emulator, "/monitor") as (_, lines):
        assert next(lines) == 'data: "OK"'
        rest.send("SET", "watched", "v")
        assert next(lines).endswith('"SET" "watched" "v"')


def test_a_payload_with_line_breaks_is_one_event_of_several_lines(emulator, rest):
    with open_stream(emulator, "/subscribe/c") as (_, lines):
        next(lines)
        rest.send("PUBLISH", "c", "one\ntwo")
        assert [next(lines), next(lines)] == ["data: message,c,one", "data: two"]


def test_a_client_that_disconnects_is_unsubscribed(emulator, rest):
    with open_stream(emulator, "/subscribe/c") as (_, lines):
        next(lines)
        assert rest.send("PUBSUB", "NUMSUB", "c") == ["c", 1]
    while rest.send("PUBSUB", "NUMSUB", "c") != ["c", 0]:
        pass


def test_subscribe_without_the_accept_header_is_rejected(rest):
    assert "not allowed in REST" in rest.http.post("/subscribe/c").json()["error"]


def test_the_read_only_token_may_not_monitor(emulator):
    with open_stream(emulator, "/monitor", emulator.read_only_token) as (response, _):
        assert response.status_code == 400
        assert response.read().startswith(b'{"error":"NOPERM')


@pytest.mark.parametrize("fault", ["reset", "hang"])
def test_network_faults_apply_to_event_streams(emulator, fault):
    headers = EVENTS | {"Authorization": f"Bearer {emulator.token}"}
    with emulator.fault(fault), pytest.raises(httpx.TransportError):
        httpx.post(f"{emulator.rest_url}/subscribe/c", headers=headers, json=[], timeout=0.3)
