"""A key that is restricted to accounts cannot use files that another key uploaded."""

from __future__ import annotations

from typing import Any

from tests.pipeline.api.files.test_routes import uploaded
from tests.pipeline.api.running_server import Server, Tenant, ask, code, video


def test_a_key_bound_to_accounts_uses_only_its_own_uploads(server: Server, tenant: Tenant) -> None:
    bound = server.key(tenant, "tiktok")
    theirs = uploaded(server, tenant)
    mine = uploaded(server, Tenant(workspace=tenant.workspace, key=bound))
    post = server.post(slideshow(tenant, mine), bound)
    assert post.status_code == 201
    assert server.post(slideshow(tenant, theirs), tenant.key).status_code == 201
    media = slideshow(tenant, theirs)["media"]
    edit = ask(server, bound, "PATCH", f"/posts/{post.json()['data']['id']}", {"media": media})
    for refused in (server.post(slideshow(tenant, theirs), bound), edit):
        assert code(refused) == (400, "media_unreachable")
        assert f"media URL 0 ({theirs}) cannot be used: HTTP 404." in refused.json()["message"]
    report = ask(server, bound, "POST", "/posts/validate", slideshow(tenant, mine, theirs)).json()["data"]
    assert [e["field"] for e in report["refused"] if e["code"] == "media_unreachable"] == ["media.urls[1]"]


def slideshow(tenant: Tenant, *urls: str) -> dict[str, Any]:
    return video(tenant, media={"type": "slideshow", "urls": urls}, scheduled_at="2090-01-01T00:00:00Z")
