"""Pages of other origins: refused by default, allowed for the origins that a setting names."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from config.settings import SettingsError, load
from tests.pipeline.api.running_server import BASE, Server, Tenant, serving, video

ALLOWED = "https://app.example.com"
PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


@pytest.fixture(scope="module")
def open_server(
    module_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    settings = {"SLIPWAY_API__CORS_ORIGINS": f"{ALLOWED}, http://localhost:3000"}
    with serving(module_environment | settings, tmp_path_factory.mktemp("cors")) as running:
        yield running


def list_cors_headers(headers: object) -> set[str]:
    return {name.lower() for name in headers if name.lower().startswith("access-control-")}  # type: ignore[attr-defined]


def test_it_is_off_by_default(server: Server, tenant: Tenant) -> None:
    headers = {**tenant.headers, "Origin": ALLOWED, **PREFLIGHT}
    for method in ("GET", "OPTIONS"):
        answer = server.http.request(method, f"{server.url}{BASE}/posts", headers=headers, timeout=30)
        assert not list_cors_headers(answer.headers)
        assert answer.status_code == (200 if method == "GET" else 405)


def test_a_page_of_a_named_origin_may_send_and_read_everything(open_server: Server) -> None:
    origin = "http://localhost:3000"
    tenant = open_server.tenant()
    answers = [
        open_server.post(video(tenant), tenant.key, Origin=origin),
        open_server.send("GET", f"{BASE}/posts", tenant.key, Origin=origin),
        open_server.send("GET", f"{BASE}/posts", None, Origin=origin),
        open_server.send("GET", f"{BASE}/nothing", None, Origin=origin),
    ]
    assert [a.status_code for a in answers] == [201, 200, 401, 404]
    for answer in answers:
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert "X-Request-Id" in answer.headers["Access-Control-Expose-Headers"]
        assert "Origin" in answer.headers["Vary"]
    answer = open_server.send("OPTIONS", f"{BASE}/posts", None, None, Origin=ALLOWED, **PREFLIGHT)
    assert answer.headers["Access-Control-Allow-Origin"] == ALLOWED
    assert {"POST", "PATCH"} <= set(answer.headers["Access-Control-Allow-Methods"].split(", "))
    allowed = set(answer.headers["Access-Control-Allow-Headers"].split(", "))
    assert {"Authorization", "Idempotency-Key"} <= allowed


@pytest.mark.parametrize(
    ("origin", "path"),
    [
        ("https://app.example.com.evil.example", f"{BASE}/posts"),
        ("https://APP.example.com", f"{BASE}/posts"),
        ("null", f"{BASE}/posts"),
        (ALLOWED, "/metrics"),
        (ALLOWED, "/api/operator/v1/dead-letters"),
    ],
)
def test_other_origins_and_paths_are_not_allowed(open_server: Server, origin: str, path: str) -> None:
    for method in ("GET", "OPTIONS"):
        answer = open_server.http.request(
            method, open_server.url + path, headers={"Origin": origin, **PREFLIGHT}, timeout=30
        )
        assert not list_cors_headers(answer.headers)


@pytest.mark.parametrize(
    "given",
    ["*", "app.example.com", "https://app.example.com/", "https://a.example,ftp://b"],
)
def test_what_is_no_origin_is_refused_at_the_start(given: str) -> None:
    with pytest.raises(SettingsError, match=r"SLIPWAY_API__CORS_ORIGINS.*is not an origin"):
        load({"SLIPWAY_API__CORS_ORIGINS": given})
