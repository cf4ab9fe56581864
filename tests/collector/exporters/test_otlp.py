"""Spans on the wire, as a backend decodes them, over gRPC and HTTP."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from collector.exporters import otlp
from collector.exporters.otlp import GRPC, HTTP, Delivery, ExportFailed, Target, export, target_of
from collector.exporters.spans import ExportedSession, SpanPlan, root_span_id, session_spans
from collector.exporters.spans import trace_id as trace_id_of
from probes.errors import UnderglassError
from tests.collector.exporters.receivers import Backend, attributes, grpc_backend, http_backend
from tests.collector.store_rows import MS, START_NS, call, session, tool_call


@pytest.fixture(autouse=True)
def _no_otel_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    for name in os.environ:
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "5")
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture(params=[GRPC, HTTP])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    with grpc_backend() if request.param == GRPC else http_backend() as running:
        running.protocol = request.param  # type: ignore[attr-defined]
        yield running


def _target(backend: Backend) -> Target:
    return target_of(backend.endpoint, backend.protocol, {})  # type: ignore[attr-defined]


def _spans() -> list[SpanPlan]:
    failed = call(
        "c2",
        started_ns=START_NS + 1900 * MS,
        ended_ns=START_NS + 2100 * MS + 7,
        status="error",
        error_type="overloaded_error",
        http_status=529,
        finish_reason=None,
    )
    exported = ExportedSession(session(), (call(), failed), (tool_call(is_error=True),))
    return list(session_spans(exported))


def test_the_decoded_tree(backend: Backend) -> None:
    assert export(_spans(), _target(backend), "9.9") == Delivery(traces=1, spans=4)
    root = backend.span("invoke_agent claude-code")
    tool = backend.span("execute_tool Bash")
    first, failed = (span for span in backend.spans if span.name.startswith("chat "))
    assert root.trace_id == trace_id_of("s1").to_bytes(16, "big")
    assert root.span_id == root_span_id("s1").to_bytes(8, "big")
    assert root.parent_span_id == b""
    assert {span.trace_id for span in backend.spans} == {root.trace_id}
    assert {span.parent_span_id for span in (first, failed, tool)} == {root.span_id}
    assert root.kind == tool.kind == Span.SPAN_KIND_INTERNAL
    assert first.kind == Span.SPAN_KIND_CLIENT
    assert first.start_time_unix_nano == START_NS
    assert first.end_time_unix_nano == START_NS + 1500 * MS
    assert root.end_time_unix_nano == failed.end_time_unix_nano == START_NS + 2100 * MS + 7
    assert first.status.code == root.status.code == Status.STATUS_CODE_UNSET
    assert failed.status.code == tool.status.code == Status.STATUS_CODE_ERROR
    assert attributes(failed)["error.type"] == "overloaded_error"
    assert attributes(first)["gen_ai.usage.input_tokens"] == 1200
    assert attributes(first)["gen_ai.response.finish_reasons"] == ["tool_use"]
    assert attributes(first)["underglass.cost.usd"] == pytest.approx(0.0125)
    (link,) = tool.links
    assert link.span_id == first.span_id
    assert attributes(link) == {"underglass.link": "requested_by"}


def test_resource_and_scope(backend: Backend) -> None:
    export(_spans(), _target(backend), "9.9")
    (resource,) = backend.requests[0].resource_spans
    found = attributes(resource.resource)
    assert found["service.name"] == "underglass"
    assert found["service.version"] == "9.9"
    assert found["host.name"] == socket.gethostname()
    assert found["telemetry.sdk.name"] == "opentelemetry"
    (scope,) = resource.scope_spans
    assert (scope.scope.name, scope.scope.version) == ("underglass", "9.9")
    assert scope.schema_url == "https://opentelemetry.io/schemas/1.41.1"


def test_a_second_export_sends_the_same_bytes(backend: Backend) -> None:
    for _ in range(2):
        export(_spans(), _target(backend), "9.9")
    first, second = (each.SerializeToString(deterministic=True) for each in backend.requests)
    assert first == second


def test_standard_variables(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "openinference.project.name=p,host.name=h")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-team=blue")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    export(_spans(), _target(backend), "9.9")
    found = attributes(backend.requests[0].resource_spans[0].resource)
    assert found["service.name"] == "mine"
    assert found["host.name"] == "h"
    assert found["openinference.project.name"] == "p"
    assert backend.meta[0]["x-team"] == "blue"
    if _target(backend).protocol == HTTP:
        assert backend.meta[0]["content-encoding"] == "gzip"
    assert len(backend.spans) == 4


def test_batches(backend: Backend) -> None:
    assert export(iter(_spans()), _target(backend), "9.9", batch_spans=3).spans == 4
    assert [
        len(request.resource_spans[0].scope_spans[0].spans) for request in backend.requests
    ] == [3, 1]


def test_batches_by_size(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otlp, "BATCH_BYTES", 10)
    export(_spans(), _target(backend), "9.9")
    assert len(backend.requests) == 4


def test_a_refusal_counts_what_was_not_delivered(backend: Backend) -> None:
    backend.refuse_from = 1
    with pytest.raises(ExportFailed) as caught:
        export(iter(_spans()), _target(backend), "9.9", batch_spans=1)
    error = caught.value
    assert (error.delivery, error.undelivered) == (Delivery(1, 1), 3)
    assert "3 spans not delivered, 1 delivered" in str(error)
    assert str(_target(backend)) in str(error)
    assert "not for you" in str(error) or "403" in str(error)
    assert error.hint is not None
    assert "--endpoint" in error.hint
    assert error.exit_code == 1
    assert len(backend.requests) == 1


@pytest.mark.parametrize("protocol", [GRPC, HTTP])
def test_nobody_listens(
    protocol: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "2.5")  # long enough for one more attempt
    with socket.socket() as held:  # bound, not listening: connections are refused
        held.bind(("127.0.0.1", 0))
        target = target_of(f"http://127.0.0.1:{held.getsockname()[1]}", protocol, {})
        with pytest.raises(ExportFailed) as caught:
            export(_spans(), target, "9.9")
    assert caught.value.undelivered == 4
    assert caught.value.delivery == Delivery(0, 0)
    assert "did not take the spans: connection refused; 4 spans" in str(caught.value)
    assert capfd.readouterr() == ("", "")  # the command reports it, not the exporter's log


def test_a_wrong_setting_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "middle-out")
    with pytest.raises(UnderglassError, match="middle-out") as caught:
        export(_spans(), Target(GRPC, "http://127.0.0.1:1"), "9.9")
    assert "OTEL_" in (caught.value.hint or "")


def test_nothing_to_send_calls_nobody() -> None:
    assert export([], Target(HTTP, "http://127.0.0.1:1/v1/traces"), "9.9") == Delivery(0, 0)


@pytest.mark.parametrize(
    ("endpoint", "protocol", "environ", "expected"),
    [
        (None, None, {}, (HTTP, "http://localhost:4318/v1/traces")),
        (None, GRPC, {}, (GRPC, "http://localhost:4317")),
        ("http://h:4317", None, {}, (GRPC, "http://h:4317")),
        ("http://h:4318", None, {}, (HTTP, "http://h:4318/v1/traces")),
        ("http://h:6006/", None, {}, (HTTP, "http://h:6006/v1/traces")),
        ("http://h:6006/v1/traces", None, {}, (HTTP, "http://h:6006/v1/traces")),
        ("https://h/otlp", None, {}, (HTTP, "https://h/otlp/v1/traces")),
        ("http://h:4317", HTTP, {}, (HTTP, "http://h:4317/v1/traces")),
        ("localhost:4317", None, {}, (GRPC, "http://localhost:4317")),
        ("[::1]:4317", None, {}, (GRPC, "http://[::1]:4317")),
        ("h:4317", None, {}, (GRPC, "https://h:4317")),
        ("h:4317", None, {"OTEL_EXPORTER_OTLP_INSECURE": "true"}, (GRPC, "http://h:4317")),
        (
            None,
            None,
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:9"},
            (HTTP, "http://h:9/v1/traces"),
        ),
        (
            None,
            None,
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:9",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://h:8/exact",
            },
            (HTTP, "http://h:8/exact"),
        ),
        (
            "http://h:4318",
            None,
            {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
            (GRPC, "http://h:4318"),
        ),
        (
            "http://h:4318",
            None,
            {
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            },
            (HTTP, "http://h:4318/v1/traces"),
        ),
    ],
)
def test_targets(
    endpoint: str | None, protocol: str | None, environ: dict[str, str], expected: tuple[str, str]
) -> None:
    assert target_of(endpoint, protocol, environ) == Target(*expected)


@pytest.mark.parametrize("endpoint", ["ftp://h", "http://", "http://h:port", "http://[::1"])
def test_no_endpoint(endpoint: str) -> None:
    with pytest.raises(UnderglassError, match="not an OTLP endpoint") as caught:
        target_of(endpoint, None, {})
    assert caught.value.exit_code == 2


def test_an_unsupported_protocol() -> None:
    with pytest.raises(UnderglassError, match="http/json"):
        target_of(None, None, {"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"})


def test_a_target_does_not_show_secrets() -> None:
    shown = str(target_of("https://user:pass@h/api?key=1", None, {}))
    assert shown == "https://h/api/v1/traces (http/protobuf)"
