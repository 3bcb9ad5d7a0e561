"""Spans as OpenTelemetry has them; imported only when traces are sent.

Attributes are ids, names and numbers. Captions, paths and queries of URLs, headers and messages of errors are left out:
platforms put tokens into upload URLs, and quote captions.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import sha256
from importlib.metadata import version
from threading import Thread
from urllib.parse import urlsplit
from uuid import UUID

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import HOST_NAME, SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    set_span_in_context,
    use_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from config.tracing import Tracing
from pipeline.domain.verdict import Verdict
from pipeline.runtime.tracing import EndRequest, RecordStatus, RecordVerdict
from pipeline.store.deliveries.claim import ClaimedDelivery

SERVER_ERROR = 500
CALL_ERROR = 400
SEND_SECONDS = 5
"""How long one request to the collector may take."""
_TRACE_ID = re.compile(r"(?!0{32})[0-9a-f]{32}", re.ASCII)
_next_ids: ContextVar[tuple[int | None, int | None]] = ContextVar("next_ids", default=(None, None))


def derive_trace_id(name: str) -> int:
    """Return the trace id of a request id: that id if it is one, else a hash of it."""
    is_trace_id = _TRACE_ID.fullmatch(name)
    return int(name if is_trace_id else sha256(name.encode()).hexdigest()[:32], 16)


def derive_post_span(post: UUID, request_id: str | None) -> SpanContext:
    """Return trace and id of a post's span, which all processes know: a post of an import has a trace of its own."""
    trace = derive_trace_id(request_id) if request_id else post.int
    span = int.from_bytes(sha256(post.bytes).digest()[:8])
    return SpanContext(trace, span, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))


class _TraceIds(RandomIdGenerator):
    """Gives a span without a parent the trace id that was chosen for it, and a post's span its id."""

    def generate_span_id(self) -> int:
        return _next_ids.get()[1] or super().generate_span_id()

    def generate_trace_id(self) -> int:
        return _next_ids.get()[0] or super().generate_trace_id()


class OpenTelemetry:
    """Makes spans and sends them from its own thread; spans that no collector takes in time are dropped."""

    def __init__(self, tracing: Tracing, service: str) -> None:
        share = TraceIdRatioBased(tracing.share)
        # by the id of the trace alone: a client's flag neither adds nor leaves out, and all processes decide the same
        sampler = ParentBased(share, remote_parent_sampled=share, remote_parent_not_sampled=share)
        resource = Resource.create(
            {
                SERVICE_NAME: f"slipway-{service}",
                SERVICE_VERSION: version("slipway"),
                HOST_NAME: socket.gethostname(),
            }
        )
        exporter = OTLPSpanExporter(
            endpoint=f"{tracing.endpoint}/v1/traces", headers=tracing.split_headers(), timeout=SEND_SECONDS
        )
        self._provider = TracerProvider(sampler, resource, shutdown_on_exit=False, id_generator=_TraceIds())
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("slipway")
        self._requests: dict[str, Span] = {}
        """The spans of requests in progress, by the request's id; of several with one id, the newest."""

    def close(self) -> None:
        """Send the spans that were not sent yet, for ``SEND_SECONDS`` at most."""
        ending = Thread(target=self._provider.shutdown, name="end-tracing", daemon=True)
        ending.start()
        ending.join(SEND_SECONDS)

    def start_request(self, request_id: str, parent: str) -> EndRequest:
        """Start the span of an API request, in the client's trace if it named one."""
        context = TraceContextTextMapPropagator().extract({"traceparent": parent}, Context())
        span = self._start("request", SpanKind.SERVER, derive_trace_id(request_id), context)
        span.set_attribute("slipway.request_id", request_id)
        self._requests[request_id] = span

        def end(method: str, route: str, status: int) -> None:
            if self._requests.get(request_id) is span:
                del self._requests[request_id]
            span.update_name(f"{method} {route}")
            span.set_attributes(
                {"http.request.method": method, "http.route": route, "http.response.status_code": status}
            )
            if status >= SERVER_ERROR:
                span.set_status(StatusCode.ERROR)
            span.end()

        return end

    def trace_post(self, post: UUID, request_id: str | None) -> None:
        """Record the span of a new post, within its request's if that has the same trace."""
        own, made_by = derive_post_span(post, request_id), self._requests.get(request_id or "")
        is_within = made_by is not None and made_by.get_span_context().trace_id == own.trace_id
        context = set_span_in_context(made_by, Context()) if made_by and is_within else Context()
        span = self._start("post", SpanKind.PRODUCER, own.trace_id, context, own.span_id)
        span.set_attributes({"slipway.post": str(post), "slipway.request_id": request_id or ""})
        span.end()

    @contextmanager
    def trace_work(self, stage: str, claimed: ClaimedDelivery) -> Iterator[RecordVerdict]:
        """Open the span of a stage's work, within that of its post."""
        parent = NonRecordingSpan(derive_post_span(claimed.post_id, claimed.request_id))
        context = set_span_in_context(parent, Context())
        span = self._start(f"{stage} {claimed.account.platform}", SpanKind.CONSUMER, context=context)
        span.set_attributes(_describe(claimed))
        with self._open(span):
            yield lambda verdict: _record_verdict(span, verdict)

    @contextmanager
    def trace_call(self, method: str, url: str, *, visible: bool) -> Iterator[RecordStatus]:
        """Open the span of a platform call, within that of the stage."""
        host = _find_host(url)
        span = self._start(f"{method} {host}", SpanKind.CLIENT)
        span.set_attributes(
            {"http.request.method": method, "server.address": host, "slipway.visible": visible}
        )
        with self._open(span):
            yield lambda status: _record_status(span, status)

    def _start(
        self,
        name: str,
        kind: SpanKind,
        trace: int | None = None,
        context: Context | None = None,
        identity: int | None = None,
    ) -> Span:
        """Start a span; *trace* is its trace if it has no parent in *context*, by default the current one."""
        token = _next_ids.set((trace, identity))
        try:
            return self._tracer.start_span(name, context, kind)
        finally:
            _next_ids.reset(token)

    @contextmanager
    def _open(self, span: Span) -> Iterator[None]:
        """Make the span the current one; an exception leaves its class, not its message."""
        with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
            try:
                yield
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                span.set_status(StatusCode.ERROR)
                raise


def _find_host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # the call itself reports the fault of the URL
        return ""


def _describe(claimed: ClaimedDelivery) -> dict[str, str | int | bool]:
    return {
        "slipway.delivery": str(claimed.id),
        "slipway.post": str(claimed.post_id),
        "slipway.account": str(claimed.account_id),
        "slipway.workspace": str(claimed.workspace_id),
        "slipway.platform": claimed.account.platform.value,
        "slipway.fence": claimed.fence,
        "slipway.is_armed": claimed.armed_at is not None,
        "slipway.request_id": claimed.request_id or "",
    }


def _record_verdict(span: Span, verdict: Verdict | None) -> Verdict | None:
    """Record and return the verdict; None: nothing was stored, as another worker was faster."""
    if verdict is None:
        span.set_attribute("slipway.state", "lost")
        return None
    span.set_attribute("slipway.state", verdict.state.value)
    if verdict.held_for:
        span.set_attribute("slipway.held_for", verdict.held_for.value)
    if verdict.error is not None:
        span.set_attribute("error.type", type(verdict.error).__name__)
        span.set_status(StatusCode.ERROR)
    return verdict


def _record_status(span: Span, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= CALL_ERROR:
        span.set_status(StatusCode.ERROR)
