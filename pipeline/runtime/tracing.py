"""Traces of requests, stages' work and platform calls, sent over OTLP/HTTP when SLIPWAY_TRACING__ENDPOINT is set.

Without it Slipway imports nothing of OpenTelemetry (FastAPI and redis-py import parts of it by themselves), and a span
costs a function call. The trace of a post's work follows
from the id of the request that made it, which the ledger has: ``open_telemetry.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from config.tracing import Tracing
    from pipeline.domain.verdict import Verdict
    from pipeline.runtime.open_telemetry import OpenTelemetry
    from pipeline.store.deliveries.claim import ClaimedDelivery

_active: list[OpenTelemetry] = []

EndRequest = Callable[[str, str, int], None]
"""Ends a request's span; takes method, route and status."""
RecordVerdict = Callable[["Verdict | None"], "Verdict | None"]
"""Records the verdict on the delivery, and returns it."""
RecordStatus = Callable[[int], None]


def start_tracing(tracing: Tracing, service: str) -> None:
    """Send the spans of this process from now on as those of ``slipway-SERVICE``, if a collector is set."""
    if tracing.endpoint and not _active:
        from pipeline.runtime.open_telemetry import OpenTelemetry  # noqa: PLC0415 - off costs nothing

        _active.append(OpenTelemetry(tracing, service))


def stop_tracing() -> None:
    """Send the spans that were not sent yet, for a few seconds at most, and send no more."""
    while _active:
        _active.pop().close()


def start_request(request_id: str, parent: str) -> EndRequest:
    """Start the span of an API request. *parent*: its header ``traceparent``."""
    return _active[0].start_request(request_id, parent) if _active else _ignore


def trace_post(post: UUID, request_id: str | None) -> None:
    """Record the span of a new post: the parent of the stages' work on it, in the request that made it."""
    if _active:
        _active[0].trace_post(post, request_id)


def trace_work(stage: str, claimed: ClaimedDelivery) -> AbstractContextManager[RecordVerdict]:
    """Open a span for a stage's work on a delivery, in the trace of its post."""
    return _active[0].trace_work(stage, claimed) if _active else nullcontext(_return)


def trace_call(method: str, url: str, visible: bool) -> AbstractContextManager[RecordStatus]:
    """Open a span for a platform call."""
    return _active[0].trace_call(method, url, visible=visible) if _active else nullcontext(_ignore)


def _return(verdict: Verdict | None) -> Verdict | None:
    return verdict


def _ignore(*_: object) -> None:
    pass
