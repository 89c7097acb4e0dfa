"""Prometheus metrics, also under gunicorn, and OpenTelemetry with the SDK's exporters."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

import pytest
from django.core.cache import caches
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry, generate_latest

from continuum_upstash import __version__
from continuum_upstash.errors import ConnectionFailed
from continuum_upstash.observe import (
    CommandDetails,
    JobEnded,
    StateChange,
    notify,
    subscribe,
    unsubscribe,
)
from continuum_upstash.plans.effects import Batch
from continuum_upstash.protocol import Script, ScriptHash
from continuum_upstash.stats.exporters.otel import OTelObserver
from continuum_upstash.stats.exporters.prometheus import PrometheusObserver
from continuum_upstash.stats.shared.writer import SharedWriter
from continuum_upstash.transports import registry
from continuum_upstash.transports.service_errors import make_reply_error
from tests.conftest import SyncOrAsync
from tests.integration.cache_entries import BACKEND
from tests.integration.stats.gunicorn_site import fetch, gunicorn, kill, use


@pytest.fixture
def metrics():
    own = CollectorRegistry()
    observer = PrometheusObserver(own)
    subscribe(observer)
    yield lambda: generate_latest(own).decode()
    unsubscribe(observer)


@pytest.fixture
def api_cache(api, make_cache, request):
    runner = request.getfixturevalue("runner") if api == "async" else None
    return SyncOrAsync(make_cache("rest"), runner)


def test_prometheus_counts_by_operation_and_result(api_cache, metrics):
    api_cache.set("k", 1)
    api_cache.get("k")
    api_cache.get("missing")
    api_cache.get_many(["k", "a", "b"])
    text = metrics()
    for line in (
        'continuum_cache_hits_total{alias="default",operation="GET"} 1.0',
        'continuum_cache_misses_total{alias="default",operation="MGET"} 2.0',
        'continuum_cache_commands_total{alias="default",operation="SET",result="stored"} 1.0',
        'continuum_cache_billed_commands_total{alias="default"} 4.0',
    ):
        assert line in text
    assert 'continuum_cache_latency_seconds_bucket{alias="default",backend="upstash-rest"' in text


def test_prometheus_shows_outages(api_cache, metrics, emulator):
    with emulator.fault("refuse"):
        for _ in range(4):
            api_cache.get("k")
    text = metrics()
    assert 'continuum_cache_breaker_state{alias="default",state="open"} 1.0' in text
    assert 'continuum_cache_errors_total{alias="default",error="ConnectionFailed"} 3.0' in text
    assert 'continuum_cache_requests_total{alias="default",backend="local"} 4.0' in text


def test_prometheus_counts_every_billed_command(
    api_cache, metrics, emulator, settings, new_process_state
):
    settings.CONTINUUM_STATS = {"INTERVAL": 0}
    writer = SharedWriter()
    with emulator.count() as spent:
        for _ in range(120):
            api_cache.get("k")
            writer.flush()
    found = re.findall(
        r'continuum_cache_(billed|statistics)_commands_total\{alias="default"\} (\d+)', metrics()
    )
    own = dict(found)
    assert own.keys() == {"billed", "statistics"}
    assert int(own["statistics"]) > 0
    assert sum(map(int, own.values())) == spent.billed


def test_prometheus_adds_up_the_workers_of_gunicorn_including_a_killed_one(tmp_path, emulator):
    with gunicorn(tmp_path, emulator, PROMETHEUS=True, SHARED=False) as port:
        workers, requests = use(port)
        kill(workers.pop())
        text = fetch(port, "/metrics/")
    assert f'continuum_cache_hits_total{{alias="default",operation="GET"}} {requests}.0' in text
    assert f'continuum_build_info{{version="{__version__}"}} 1.0' in text
    assert "pid=" not in text


def test_noscript_is_not_an_error_and_the_script_is_named(make_cache, metrics, traced):
    database = make_cache("rest").database
    lua = Script(f"return {id(metrics)}", lambda *_: 1)
    (reply,) = database.send(Batch([("EVALSHA", ScriptHash(lua), 0)]))
    assert reply.code == "NOSCRIPT"
    assert "continuum_cache_errors_total{" not in metrics()
    (span,) = traced[1].get_finished_spans()
    assert span.status.status_code.name == "UNSET"
    assert len(span.attributes["db.stored_procedure.name"]) == 40


@pytest.fixture
def traced():
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider()
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    meters = MeterProvider([reader])
    observer = OTelObserver(tracers, meters)
    subscribe(observer)
    yield tracers, spans, reader, observer
    unsubscribe(observer)
    tracers.shutdown()
    meters.shutdown()


def test_jobs_are_counted_and_measured(traced, metrics):
    notify(JobEnded("federation", "mail", "done", 0.5, 1))
    notify(JobEnded("federation", "mail", "dead", 2.0, 5))
    text = metrics()
    labels = 'alias="federation",outcome="dead",queue="mail"'
    assert f"continuum_queue_jobs_total{{{labels}}} 1.0" in text
    assert 'continuum_queue_job_seconds_sum{alias="federation",queue="mail"} 2.5' in text
    _, _, reader, _ = traced
    (scope,) = reader.get_metrics_data().resource_metrics[0].scope_metrics
    (found,) = [each for each in scope.metrics if each.name == "messaging.process.duration"]
    errors = {point.attributes.get("error.type") for point in found.data.data_points}
    assert errors == {None, "dead"}


def test_opentelemetry_shows_the_budget(make_cache, traced):
    cache = make_cache("rest", OPTIONS={"BUDGET": {"COMMANDS": 50, "SOFT": 0.1}})
    tracers, spans, reader, _ = traced
    with tracers.get_tracer("test").start_as_current_span("request"):
        for _ in range(10):
            cache.get("k")
    (request,) = [span for span in spans.get_finished_spans() if span.name == "request"]
    (event,) = request.events
    assert event.name == "continuum.budget.stage_change"
    assert event.attributes["continuum.budget.new"] == "warn"
    exported = reader.get_metrics_data().to_json()
    assert "continuum.cache.budget.used" in exported
    assert '"continuum.budget.stage": "warn"' in exported


def test_prometheus_shows_the_budget(make_cache, metrics):
    cache = make_cache("rest", OPTIONS={"BUDGET": {"COMMANDS": 50, "SOFT": 0.1}})
    for _ in range(10):
        cache.get("k")
    text = metrics()
    assert 'continuum_cache_budget_stage{alias="default",stage="warn"} 1.0' in text
    assert 'continuum_cache_budget_stage{alias="default",stage="local"} 0.0' in text
    assert re.search(r'statistics_commands_total\{alias="default"\} \d+', text)


def test_spans_follow_the_conventions_and_show_no_key_or_value(api_cache, traced, emulator):
    _, spans, reader, _ = traced
    api_cache.set("secret-key", "secret-value")
    api_cache.get("secret-key")
    api_cache.set_many({"a": 1, "b": 2}, 60)
    api_cache.incr("a")
    found = {span.name: span for span in spans.get_finished_spans()}
    assert found.keys() == {"SET", "GET", "PIPELINE SET", "EVAL"}
    get = found["GET"]
    assert get.kind.name == "CLIENT"
    assert get.end_time > get.start_time
    assert get.attributes == {
        "db.system.name": "redis",
        "db.operation.name": "GET",
        "db.namespace": "0",
        "server.address": "127.0.0.1",
        "server.port": urlsplit(emulator.rest_url).port,
        "continuum.cache.alias": "default",
        "continuum.cache.backend": "upstash-rest",
        "continuum.cache.hit": True,
    }
    assert found["PIPELINE SET"].attributes["db.operation.batch.size"] == 2
    assert len(found["EVAL"].attributes["db.stored_procedure.name"]) == 40
    everything = (
        str([span.to_json() for span in found.values()]) + reader.get_metrics_data().to_json()
    )
    assert "secret" not in everything
    assert "db.client.operation.duration" in everything


@pytest.mark.parametrize(
    ("location", "options", "port"),
    [
        ("https://db.upstash.io", {"TOKEN": "t"}, 443),
        ("https://db.upstash.io:8443", {"TOKEN": "t"}, 8443),
        ("rediss://default:p@db.upstash.io", {}, None),
        ("rediss://default:p@db.upstash.io:6379", {}, None),
        ("rediss://default:p@db.upstash.io:6380", {}, 6380),
        (
            "rediss://default:p@db.upstash.io:6380",
            {"REST_URL": "https://db.upstash.io", "TOKEN": "t", "MODE": "redis"},
            6380,
        ),
    ],
)
def test_the_port_is_recorded_unless_it_is_the_default(location, options, port, settings, traced):
    settings.CACHES = {"default": {"BACKEND": BACKEND, "LOCATION": location, "OPTIONS": options}}
    assert caches["default"].database.config.host == "db.upstash.io"
    traced[3](CommandDetails("default", "upstash", (("GET", "k"),), [None], 1, None))
    (span,) = traced[1].get_finished_spans()
    registry.reset()
    assert span.attributes["server.address"] == "db.upstash.io"
    assert span.attributes.get("server.port") == port


def test_a_batch_served_by_the_local_store_is_not_a_database_call(api_cache, traced):
    _, spans, reader, _ = traced
    api_cache.cache.database.failover.breaker.force_open()
    api_cache.get("k")
    (span,) = spans.get_finished_spans()
    assert (span.name, span.kind.name) == ("GET", "INTERNAL")
    assert span.attributes == {
        "continuum.cache.alias": "default",
        "continuum.cache.backend": "local",
        "continuum.cache.hit": False,
    }
    assert reader.get_metrics_data() is None


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("WRONGTYPE Operation against a key", "WRONGTYPE"),
        ("ERR value is not an integer", "ERR"),
        ("alice@example.org is not allowed", None),
        ("Alice is not allowed", None),
        ("ALICE@EXAMPLE.ORG is not allowed", None),
    ],
)
def test_the_text_of_an_error_is_not_a_status_code(text, code, traced):
    _, spans, reader, observer = traced
    observer(CommandDetails("a", "upstash-rest", (("EVAL",),), [make_reply_error(text)], 1, None))
    (span,) = spans.get_finished_spans()
    assert span.attributes.get("db.response.status_code") == code
    assert span.attributes["error.type"] == "ReplyError"
    assert "lice" not in span.to_json() + reader.get_metrics_data().to_json()


async def test_the_span_of_the_request_is_the_parent(make_cache, traced):
    tracers, spans, _, _ = traced
    cache = make_cache("rest")
    with tracers.get_tracer("t").start_as_current_span("request") as request:
        await cache.aget("k")
        cache.get("k")
    await cache.database.aclose()
    one, other, _ = spans.get_finished_spans()
    assert {one.parent.span_id, other.parent.span_id} == {request.get_span_context().span_id}


def test_errors_and_changes_of_the_breaker_are_traced(traced):
    tracers, spans, _, observer = traced
    with tracers.get_tracer("t").start_as_current_span("request"):
        observer(CommandDetails("a", "upstash-rest", (("GET", "k"),), [], 1, ConnectionFailed("x")))
        observer(StateChange("a", "closed", "open", "3 failures", "local", "upstash-rest"))
    failed, request = spans.get_finished_spans()
    assert failed.attributes["error.type"] == "ConnectionFailed"
    assert failed.status.status_code.name == "ERROR"
    (event,) = request.events
    assert event.name == "continuum.breaker.state_change"
    assert event.attributes["continuum.breaker.new"] == "open"
