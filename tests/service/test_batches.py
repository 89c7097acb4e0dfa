"""BATCH: /pipeline and /multi-exec."""

from __future__ import annotations

from base64 import b64encode

import pytest

from tests.service.catalogue import EVERYWHERE, assume
from tests.service.expectations import error
from tests.service.rest_client import read_entry


@assume(
    "BATCH-001",
    documented="redis/features/restapi",
    affects="set_many, pipelines and coalesced async commands.",
    commands=3,
)
def test_the_replies_of_a_pipeline_are_in_order(rest, key):
    """POST /pipeline runs commands in order and returns an array with an entry for each."""
    replies = rest.pipeline(["SET", key, "1", "PX", "60000"], ["INCR", key], ["GET", key])
    assert replies == ["OK", 2, "2"]


@assume(
    "BATCH-002",
    documented="redis/features/restapi",
    affects="One wrong command of a coalesced request fails the commands of other tasks.",
    commands=4,
)
def test_an_error_in_a_pipeline_is_in_its_place(rest, key):
    """An error in a pipeline is in its place, the other commands run, and the status is 200."""
    commands = [
        ["SET", key, "a", "PX", "60000"],
        ["INCR", key],
        ["GET", key, "surplus"],
        ["GET", key],
    ]
    response = rest.post_json("/pipeline", commands)
    assert response.status == 200
    replies = [read_entry(entry) for entry in response.json]
    assert replies == ["OK", error("ERR value is not an int"), error("ERR wrong number"), "a"]


@assume(
    "BATCH-003",
    seen_in="volter-ai/twin-packs-open upstash/src/semantics",
    affects="A command that a server lacks fails all commands of its pipeline.",
    commands=2,
)
def test_an_unknown_command_in_a_pipeline_is_in_its_place(rest, key):
    """An unknown command in a pipeline is an error in its place."""
    replies = rest.pipeline(["NOSUCHCOMMAND", key], ["GET", key])
    assert replies == [error("ERR "), None]


@assume(
    "BATCH-004",
    seen_in="upstash/redis-js packages/redis/pkg/auto-pipeline.ts (MAX_PIPELINE_SIZE)",
    affects="set_many of more values, which sends 1,000 in one request.",
    commands=0,
)
def test_a_pipeline_may_have_a_thousand_commands(rest):
    """A pipeline of 1,000 commands is accepted; they are PINGs, which are not billed."""
    assert rest.pipeline(*[["PING"]] * 1000) == ["PONG"] * 1000


@assume(
    "BATCH-005",
    documented="redis/features/restapi",
    affects="Atomic pipelines, and sessions after a change of SECRET_KEY.",
    commands=3,
)
def test_the_replies_of_a_transaction_are_in_order(rest, key):
    """POST /multi-exec runs commands as a transaction; the response is that of a pipeline."""
    replies = rest.pipeline(
        ["SET", key, "1", "PX", "60000"], ["INCR", key], ["GET", key], target="/multi-exec"
    )
    assert replies == ["OK", 2, "2"]


@assume(
    "BATCH-006",
    documented="redis/features/restapi",
    affects="Sessions after a change of SECRET_KEY: RENAMENX of a missing key fails the save.",
    commands=3,
    profiles=EVERYWHERE - {"srh"},
)
def test_a_runtime_error_in_a_transaction_is_in_its_place(rest, make_key):
    """A run-time error in a transaction is in its place, and the other commands are applied."""
    missing, key = make_key("missing"), make_key("key")
    replies = rest.pipeline(
        ["RENAMENX", missing, key], ["SET", key, "1", "PX", "60000"], target="/multi-exec"
    )
    assert replies == [error("ERR no such key"), "OK"]
    assert rest.call("GET", key) == "1"


@assume(
    "BATCH-007",
    documented="redis/features/restapi",
    affects="A discarded transaction is read as an outage instead of ReplyError.",
    commands=3,
    profiles=EVERYWHERE - {"srh"},
)
def test_a_discarded_transaction_is_one_error(rest, key):
    """A transaction with an unknown command is discarded: one error object, and nothing runs."""
    commands = [["SET", key, "1", "PX", "60000"], ["NOSUCHCOMMAND"]]
    document = rest.post_json("/multi-exec", commands).json
    assert read_entry(document) == error("")
    assert rest.call("EXISTS", key) == 0


@assume(
    "BATCH-008",
    seen_in="upstash/redis-js packages/redis/pkg/http.ts",
    affects="Values in replies of atomic pipelines cannot be read.",
    commands=2,
)
def test_base64_applies_to_transactions(rest, key):
    """Upstash-Encoding: base64 applies to /multi-exec."""
    commands = [["SET", key, "value", "PX", "60000"], ["GET", key]]
    document = rest.post_json("/multi-exec", commands, Upstash_Encoding="base64").json
    assert document[1] == {"result": b64encode(b"value").decode()}


@assume(
    "BATCH-009",
    seen_in="koala73/worldmonitor docs/solutions/integration-issues",
    affects="get_many and set_many of more than the request limit in one pipeline.",
    commands=2,
)
def test_the_request_limit_holds_for_each_command(rest, make_key, target):
    """The request size limit applies to each command, not to the sum of a pipeline."""
    if target.is_real and not target.large:
        pytest.skip("uploads 12 MB: make test-service ARGS=--large")
    value = "x" * (6 * 1024 * 1024)
    commands = [["SET", make_key(name), value, "PX", "60000"] for name in ("a", "b")]
    assert rest.pipeline(*commands) == ["OK", "OK"]
