"""Traces: a collector gets the spans of a post, from its request to the platform's answers, and nothing private."""

from __future__ import annotations

import gzip
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.flow.ledger import ask, caption
from tests.stack import Stack, until

TOKEN = "collector-token-1"
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@dataclass(kw_only=True)
class Collector:
    """Takes OTLP over HTTP and keeps what it got."""

    url: str
    requests: list[tuple[str, str | None, ExportTraceServiceRequest]] = field(default_factory=list)

    def spans(self, trace: str = "") -> list[tuple[str, Any]]:
        """Return the spans of a trace, or of all, each with its service."""
        return [
            (next(a.value.string_value for a in r.resource.attributes if a.key == "service.name"), span)
            for _, _, request in [*self.requests]
            for r in request.resource_spans
            for scope in r.scope_spans
            for span in scope.spans
            if trace in {"", span.trace_id.hex()}
        ]


@contextmanager
def run_collector() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            plain = gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body
            made.requests.append(
                (self.path, self.headers["Authorization"], ExportTraceServiceRequest.FromString(plain))
            )
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Collector(url=f"http://127.0.0.1:{server.server_address[1]}")
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield made
        server.shutdown()
        thread.join()


def restart(stack: Stack) -> None:
    for name in ("api", "publish"):
        stack.kill(name, signal.SIGTERM)
    stack.start_worker("publish")
    stack.start_api()


@pytest.fixture(scope="module")
def collector(stack: Stack) -> Iterator[Collector]:
    """A collector, to which the server and the publish worker of this module send."""
    with run_collector() as made:
        traced = {"SLIPWAY_TRACING__ENDPOINT": made.url, "SLIPWAY_TRACING__HEADERS": f"authorization={TOKEN}"}
        stack.environment |= traced
        restart(stack)
        try:
            yield made
        finally:
            for name in traced:
                del stack.environment[name]
            restart(stack)


def publish(stack: Stack, platforms: Sequence[str], **headers: str) -> tuple[str, str, str]:
    """Publish a post; return its id, the id of its request, and its caption."""
    body = {
        "caption": (text := caption()),
        "media": {"type": "video", "url": stack.media("sample.mp4")},
        "accounts": [{"id": str(stack.accounts[p])} for p in platforms],
    }
    headers["Authorization"] = f"Bearer {stack.key}"
    answer = requests.post(f"{stack.api}/api/partner/v1/posts", json=body, headers=headers, timeout=30)
    post = answer.json()["data"]["id"]
    stack.await_status(post, "posted")
    return post, answer.headers["X-Request-Id"], text


def read(span: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in span.attributes}


def test_the_spans_of_a_post_are_one_trace_from_its_request_to_the_platforms(
    stack: Stack, collector: Collector
) -> None:
    platforms = ["tiktok", "instagram"]
    post, request, _ = publish(stack, platforms)

    def find(name: str) -> list[Any]:
        return [span for _, span in collector.spans(request) if span.name == name]

    def find_published() -> list[Any] | None:
        works = [w for stage in ("publish", "status") for p in platforms for w in find(f"{stage} {p}")]
        published = [work for work in works if read(work)["slipway.state"] == "published"]
        return published if len(published) == len(platforms) else None

    works = until(find_published, 60)
    [served] = until(lambda: find("POST /api/partner/v1/posts") or None, 60)
    assert {read(work)["slipway.post"] for work in works} == {post}
    assert {read(work)["slipway.request_id"] for work in works} == {request}
    spans = collector.spans(request)
    assert {service for service, _ in spans} == {"slipway-api", "slipway-worker"}
    ids = {span.span_id for _, span in spans if span.name.startswith(("publish", "status"))}
    calls = [span for _, span in spans if "server.address" in read(span)]
    assert {call.parent_span_id for call in calls} <= ids
    assert sum(bool(read(call)["slipway.visible"]) for call in calls) == 2
    assert {read(call)["server.address"] for call in calls} == {"127.0.0.1"}
    assert {read(call)["http.response.status_code"] for call in calls} <= {200, 201}
    assert read(served)["http.response.status_code"] == 201
    [made] = until(lambda: find("post") or None, 60)
    assert read(made)["slipway.post"] == post
    assert (served.parent_span_id, made.parent_span_id) == (b"", served.span_id)
    assert {span.parent_span_id for _, span in spans if span.span_id in ids} == {made.span_id}
    assert len({span.span_id for _, span in collector.spans(request)}) == len(collector.spans(request))


def test_the_posts_of_a_batch_are_spans_of_its_request_and_the_parents_of_their_work(
    stack: Stack, collector: Collector
) -> None:
    media = {"type": "video", "url": stack.media("sample.mp4")}
    accounts = [{"id": str(stack.accounts["tiktok"])}]
    posts = [{"caption": caption(), "media": media, "accounts": accounts} for _ in range(2)]
    answer = ask(stack, "POST", "/posts/batch", {"posts": posts})
    made = {one["data"]["id"] for one in answer.json()["data"]["results"]}

    def find(start: str) -> list[Any]:
        found = collector.spans(answer.headers["X-Request-Id"])
        return [span for _, span in found if span.name.startswith(start)]

    until(lambda: {read(w)["slipway.post"] for w in find("publish ")} == made, 60)
    [served] = until(lambda: find("POST /api") or None, 60)
    parents = {read(span)["slipway.post"]: span for span in find("post")}
    assert parents.keys() == made
    assert {span.parent_span_id for span in parents.values()} == {served.span_id}
    for work in find("publish "):
        assert work.parent_span_id == parents[read(work)["slipway.post"]].span_id


def test_a_clients_trace_goes_on_and_the_collector_gets_its_token_the_hosts_and_nothing_private(
    stack: Stack, collector: Collector
) -> None:
    _, request, text = publish(stack, ["youtube", "linkedin"], traceparent=f"00-{TRACE}-{SPAN}-01")
    assert request == TRACE
    until(lambda: len({service for service, _ in collector.spans(TRACE)}) == 2, 60)
    [served] = [span for _, span in collector.spans(TRACE) if span.name.startswith("POST /api")]
    assert served.parent_span_id.hex() == SPAN
    until(lambda: len(collector.spans(TRACE)) > 4, 60)
    assert {(path, token) for path, token, _ in collector.requests} == {("/v1/traces", TOKEN)}
    seen = " ".join(str(read(span)) + span.name + span.status.message for _, span in collector.spans())
    assert not any(span.events for _, span in collector.spans())
    for private in (text, stack.key, "sample.mp4", "access_token", "Bearer", "?", "upload/"):
        assert private not in seen
    attributes = [
        a
        for _, _, exported in collector.requests
        for r in exported.resource_spans
        for a in r.resource.attributes
    ]
    assert {a.value.string_value for a in attributes if a.key == "host.name"} == {socket.gethostname()}
