"""Sends spans to an OTLP backend, over gRPC or HTTP with protobuf.

In: `SpanPlan`s of `collector.exporters.spans`, in batches. Out: what the backend took, as a
`Delivery`, or `ExportFailed`. Headers, certificates, compression and timeout come from the
standard OTEL_EXPORTER_OTLP_* variables, which OpenTelemetry's exporters read themselves.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from collector.exporters import semconv
from collector.exporters.spans import SpanPlan
from probes.errors import UnderglassError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

GRPC = "grpc"
HTTP = "http/protobuf"
PROTOCOLS = (GRPC, HTTP)
BATCH_SPANS = 512
BATCH_BYTES = 3 << 20  # gRPC servers refuse messages over 4 MiB unless told otherwise
_SPAN_BYTES = 1024  # of a span without content, rounded up
_TRACES_PATH = "/v1/traces"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_EXPORTER_LOGGER = "opentelemetry.exporter"


@dataclass(frozen=True, slots=True)
class Target:
    """Where spans go. `url` is what is called, with a scheme; over HTTP with the full path."""

    protocol: str
    url: str

    def __str__(self) -> str:
        return f"{_shown(urlsplit(self.url))} ({self.protocol})"


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the backend accepted."""

    traces: int
    spans: int


class ExportFailed(UnderglassError):
    """The backend did not take every span."""

    def __init__(self, target: Target, delivery: Delivery, undelivered: int, why: str) -> None:
        super().__init__(
            f"{target} did not take the spans: {why}; "
            f"{undelivered} spans not delivered, {delivery.spans} delivered",
            hint="start the backend or name it with `--endpoint URL` and `--protocol "
            f"{'|'.join(PROTOCOLS)}`; exporting again sends the same spans with the same ids",
        )
        self.delivery = delivery
        self.undelivered = undelivered


def target_of(
    endpoint: str | None = None,
    protocol: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Target:
    """Where to send, from what the user named, else OTEL_EXPORTER_OTLP_*, else this host.

    Without a protocol, port 4317 means gRPC and all else HTTP. Over HTTP, `/v1/traces` is
    appended to an endpoint that does not end with it, except to
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, which is used as it is. Without a scheme it is `http`
    on this host and `https` elsewhere, unless OTEL_EXPORTER_OTLP_INSECURE says otherwise.
    """
    exact = None if endpoint else environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    given = endpoint or exact or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    wanted = protocol or _setting(environ, "PROTOCOL")
    if wanted is not None and wanted not in PROTOCOLS:
        raise UnderglassError(
            f"OTLP protocol {wanted!r} is not supported",
            hint=f"use one of {', '.join(PROTOCOLS)}",
            exit_code=2,
        )
    if not given:
        given = f"http://localhost:{4317 if wanted == GRPC else 4318}"
    url = given if "://" in given else f"{_scheme(given, environ)}://{given}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UnderglassError(
            f"not an OTLP endpoint: {given!r}",
            hint="write a URL such as http://localhost:4318 or http://localhost:4317",
            exit_code=2,
        )
    if wanted is None:
        wanted = GRPC if port == 4317 else HTTP
    if wanted == HTTP and not exact:
        path = parts.path.rstrip("/")
        parts = parts._replace(path=path if path.endswith(_TRACES_PATH) else path + _TRACES_PATH)
    return Target(wanted, parts.geturl())


def export(
    spans: Iterable[SpanPlan], target: Target, version: str, *, batch_spans: int = BATCH_SPANS
) -> Delivery:
    """Send every span. At the first refusal it stops and raises `ExportFailed`.

    `version` is underglass's own. Raises `UnderglassError` when an OTEL_* setting is wrong.
    """
    with _complaints() as complaints, _exporter(target) as exporter:
        encode = _Encoder(version)
        traces: set[int] = set()
        delivered = 0
        batches = _batches(spans, batch_spans)
        for batch in batches:
            if not _sent(exporter, [encode(plan) for plan in batch], complaints):
                left = len(batch) + sum(map(len, batches))
                raise ExportFailed(
                    target, Delivery(len(traces), delivered), left, _reason(complaints)
                )
            delivered += len(batch)
            traces.update(plan.trace_id for plan in batch)
    return Delivery(len(traces), delivered)


def _sent(exporter: SpanExporter, batch: list[ReadableSpan], complaints: list[str]) -> bool:
    from opentelemetry.sdk.trace.export import SpanExportResult

    try:
        return exporter.export(batch) is SpanExportResult.SUCCESS
    except Exception as error:  # whatever the transport raises, the spans did not arrive
        complaints.append(f"{type(error).__name__}: {error}")
        return False


def _reason(complaints: list[str]) -> str:
    """What went wrong, from what the exporters logged last: an attempt, and giving up."""
    said = "; ".join(dict.fromkeys(complaints[-2:]))
    return "connection refused" if "onnection refused" in said else said or "it gave no reason"


def _batches(spans: Iterable[SpanPlan], batch_spans: int) -> Iterator[list[SpanPlan]]:
    """Lists of at most `batch_spans` spans and about `BATCH_BYTES`, a larger span alone."""
    batch: list[SpanPlan] = []
    size_bytes = 0
    for plan in spans:
        span_bytes = _SPAN_BYTES + sum(
            len(value.encode()) for value in plan.attributes.values() if isinstance(value, str)
        )
        if batch and (len(batch) >= batch_spans or size_bytes + span_bytes > BATCH_BYTES):
            yield batch
            batch, size_bytes = [], 0
        batch.append(plan)
        size_bytes += span_bytes
    if batch:
        yield batch


class _Encoder:
    """Turns plans into the SDK's spans, all of one resource and scope."""

    def __init__(self, version: str) -> None:
        from opentelemetry import trace
        from opentelemetry.sdk.resources import OTELResourceDetector, Resource
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope
        from opentelemetry.sdk.version import __version__ as sdk_version

        self._api: Any = trace
        self._span = ReadableSpan
        self._scope = InstrumentationScope(semconv.SCOPE_NAME, version, semconv.SCHEMA_URL)
        # Built by hand: Resource.create adds a random service.instance.id.
        self._resource = Resource(
            {
                semconv.SERVICE_NAME: "underglass",
                semconv.SERVICE_VERSION: version,
                semconv.HOST_NAME: socket.gethostname(),
                semconv.TELEMETRY_SDK_NAME: "opentelemetry",
                semconv.TELEMETRY_SDK_LANGUAGE: "python",
                semconv.TELEMETRY_SDK_VERSION: sdk_version,
            }
        ).merge(OTELResourceDetector().detect())

    def __call__(self, plan: SpanPlan) -> ReadableSpan:
        api = self._api
        parent = plan.parent_span_id
        status = api.Status()
        if plan.error is not None:
            status = api.Status(api.StatusCode.ERROR, plan.error or None)
        return self._span(
            name=plan.name,
            context=self._context(plan.trace_id, plan.span_id),
            parent=None if parent is None else self._context(plan.trace_id, parent),
            resource=self._resource,
            attributes=plan.attributes,
            links=[
                api.Link(
                    self._context(link.trace_id, link.span_id), {semconv.OWN_LINK: link.relation}
                )
                for link in plan.links
            ],
            kind=api.SpanKind[plan.kind.value],
            status=status,
            start_time=plan.start_ns,
            end_time=plan.end_ns,
            instrumentation_scope=self._scope,
        )

    def _context(self, trace_id: int, span_id: int) -> Any:
        sampled = self._api.TraceFlags(self._api.TraceFlags.SAMPLED)
        return self._api.SpanContext(trace_id, span_id, is_remote=False, trace_flags=sampled)


@contextmanager
def _exporter(target: Target) -> Iterator[SpanExporter]:
    """OpenTelemetry's exporter for the target, shut down at the end."""
    exporter: SpanExporter
    try:
        if target.protocol == GRPC:
            from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as over_grpc

            insecure = urlsplit(target.url).scheme == "http"
            exporter = over_grpc.OTLPSpanExporter(endpoint=target.url, insecure=insecure)
        else:
            from opentelemetry.exporter.otlp.proto.http import trace_exporter as over_http

            exporter = over_http.OTLPSpanExporter(endpoint=target.url)
    except Exception as error:  # each exporter has its own types for a wrong setting
        raise UnderglassError(
            f"the OTLP exporter refused its settings: {error}",
            hint="look at the OTEL_EXPORTER_OTLP_* variables: `env | grep OTEL_`",
        ) from error
    try:
        yield exporter
    finally:
        exporter.shutdown()


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collects what the exporters log, in place of their printing it."""
    heard: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(" ".join(record.getMessage().split()))

    logger = logging.getLogger(_EXPORTER_LOGGER)
    listener, propagate = Listener(logging.WARNING), logger.propagate
    logger.addHandler(listener)
    logger.propagate = False
    try:
        yield heard
    finally:
        logger.removeHandler(listener)
        logger.propagate = propagate


def _setting(environ: Mapping[str, str], name: str) -> str | None:
    """A variable of the exporter for traces, else for all signals; None when empty."""
    found = (environ.get(f"OTEL_EXPORTER_OTLP_{scope}{name}") for scope in ("TRACES_", ""))
    return next((value.strip() for value in found if value and value.strip()), None)


def _scheme(endpoint: str, environ: Mapping[str, str]) -> str:
    insecure = _setting(environ, "INSECURE")
    if insecure is not None:
        return "http" if insecure.lower() == "true" else "https"
    return "http" if urlsplit(f"//{endpoint}").hostname in _LOOPBACK else "https"


def _shown(parts: SplitResult) -> str:
    """The URL without what may be secret in it."""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
