"""Clients that are generated send and ask for application/octet-stream; the URL says what the bytes have to be."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from tests.pipeline.api.running_server import BASE, Server, Tenant
from tests.pipeline.media import samples

BYTES = "application/octet-stream"
PNG = samples.image("PNG")


@pytest.fixture
def upload(server: Server, tenant: Tenant) -> dict[str, Any]:
    """An upload of a PNG that was opened."""
    body, kind = b'{"contentType": "image/png"}', {"Content-Type": "application/json"}
    answer = server.send("POST", f"{BASE}/files", tenant.key, body, **kind)
    data: dict[str, Any] = answer.json()["data"]
    return data


def test_the_parameters_of_an_upload_are_the_parts_of_its_url(upload: dict[str, Any]) -> None:
    url = urlsplit(upload["uploadUrl"])
    parts = {"file_id": url.path.split("/")[-2], **dict(parse_qsl(url.query))}
    assert {name: str(value) for name, value in upload["parameters"].items()} == parts


def test_bytes_without_their_type_are_taken_if_they_are_of_the_type_of_the_url(
    server: Server, upload: dict[str, Any]
) -> None:
    def put(body: bytes) -> tuple[int, dict[str, Any]]:
        answer = server.http.put(upload["uploadUrl"], data=body, headers={"Content-Type": BYTES}, timeout=30)
        return answer.status_code, answer.json()

    status, refused = put(samples.image("JPEG"))
    assert (status, refused["error_code"]) == (415, "unsupported_media_type")
    status, stored = put(PNG)
    assert (status, stored["data"]["contentType"]) == (200, "image/png")
    for accepted, served in ((BYTES, BYTES), ("image/*", "image/png"), (f"{BYTES}, */*", "image/png")):
        back = server.http.get(upload["url"], headers={"Accept": accepted}, timeout=60)
        assert (back.content, back.headers["Content-Type"]) == (PNG, served)
        assert back.headers["Vary"] == "Accept"
