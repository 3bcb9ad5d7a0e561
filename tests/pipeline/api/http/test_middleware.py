"""What all responses have in common; health, metrics and the OpenAPI document."""

from __future__ import annotations

import re
import socket
from urllib.parse import urlsplit

import pytest

from pipeline.api.health import Liveness, Readiness
from pipeline.api.http.response_models import Success
from pipeline.broker.queues import ALL_QUEUES
from tests.pipeline.api.running_server import BASE, Server, Tenant, video


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("POST", f"{BASE}/nothing", 404, None),
        ("GET", f"{BASE}/posts/", 404, None),
        ("GET", "//", 404, None),
        ("DELETE", f"{BASE}/posts", 405, "GET, HEAD, POST"),
        ("OPTIONS", f"{BASE}/posts", 405, "GET, HEAD, POST"),
        ("PATCH", "/healthz", 405, "GET, HEAD"),
        ("POST", f"{BASE}/posts/x", 405, "GET, HEAD, PATCH"),
        ("PROPFIND", f"{BASE}/posts", 405, "GET, HEAD, POST"),
    ],
)
def test_unknown_routes_and_methods_answer_in_the_same_envelope(
    server: Server, method: str, path: str, status: int, allow: str | None
) -> None:
    answer = server.send(method, path)
    assert (answer.status_code, answer.headers.get("Allow")) == (status, allow)
    assert answer.json()["error_code"] == {404: "not_found", 405: "method_not_allowed"}[status]


@pytest.mark.parametrize("given", ["a" * 128, "trace/1:2=3+4@x~.y_z"])
def test_a_sane_request_id_is_kept(server: Server, given: str) -> None:
    found = server.send("GET", "/healthz", None, None, **{"X-Request-Id": given})
    Success[Liveness].model_validate_json(found.content)
    assert found.headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", ["", "a" * 129, "<script>", "é".encode().decode("latin-1")])
def test_any_other_is_replaced(server: Server, given: str) -> None:
    given_headers = {"X-Request-Id": given.encode("latin-1")}
    found = server.http.get(server.url + "/healthz", headers=given_headers, timeout=60)
    assert re.fullmatch(r"[0-9a-f]{32}", found.headers["X-Request-Id"])


def test_an_issue_that_shows_half_a_surrogate_is_still_json(server: Server, tenant: Tenant) -> None:
    answer = server.post(b'{"caption":"\\ud800","\\udfff":1}', tenant.key)
    assert answer.status_code == 422
    assert {issue["path"] for issue in answer.json()["issues"]} == {"caption", ""}


def test_a_body_that_ends_too_early_stores_nothing_and_harms_nobody(server: Server) -> None:
    tenant = server.tenant()
    at = urlsplit(server.url)
    with socket.create_connection((at.hostname, at.port), 5) as client:
        client.sendall(
            f"POST {BASE}/posts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {tenant.key}\r\n"
            "Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{".encode()
        )
    assert server.get("/posts", tenant.key).json()["data"]["summary"]["total"] == 0


def test_the_connection_is_usable_after_a_refused_body(server: Server, tenant: Tenant) -> None:
    for _ in range(3):
        assert server.post(b"x" * 500_000, None).status_code == 401
        assert server.post(b"x" * 3_000_000, tenant.key).status_code == 413
        assert server.post(video(tenant), tenant.key).status_code == 201


def test_readyz_says_each_part(server: Server) -> None:
    answer = server.send("GET", "/readyz")
    Success[Readiness].model_validate_json(answer.content)
    parts = answer.json()["data"]["parts"]
    assert (parts["database"], parts["broker"]) == (True, True)


def test_metrics_are_text_of_every_queue(server: Server) -> None:
    answer = server.send("GET", "/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    for queue in ALL_QUEUES:
        assert f'slipway_queue_messages{{queue="{queue}"}}' in answer.text
