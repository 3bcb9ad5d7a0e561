"""Post options over HTTP: in validation, in the stored post, in edits, and their errors."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.contract import Platform
from pipeline.api.posts.action_response_models import ValidationReport
from tests.pipeline.api.posts.test_action_routes import LATER, created, data_of, patch, steer
from tests.pipeline.api.running_server import Server, Tenant, code, read, video
from tests.post_options import SECTIONS


@pytest.fixture
def tenant(server: Server) -> Tenant:
    """A workspace with an account of each platform."""
    return server.tenant(platforms=tuple(Platform))


def everywhere(tenant: Tenant) -> dict[str, Any]:
    return {"accounts": [{"id": tenant.accounts[platform]} for platform in SECTIONS]}


def test_sections_are_stored_and_read_as_they_were_sent(server: Server, tenant: Tenant) -> None:
    post = created(server, tenant, **everywhere(tenant), **SECTIONS)
    found = read(server, tenant, post)
    assert {name: found[name] for name in SECTIONS} == SECTIONS
    assert (found["tiktok"], found["pinterest"]) == (None, None)
    [listed] = [p for p in server.get("/posts", tenant.key).json()["data"]["posts"] if p["id"] == post]
    assert listed == found


def test_an_edit_replaces_one_section_and_null_clears_it(server: Server, tenant: Tenant) -> None:
    post = created(server, tenant, **everywhere(tenant), **SECTIONS)
    assert patch(server, tenant, post, {"youtube": {"title": "B"}, "facebook": None}).status_code == 200
    found = read(server, tenant, post)
    expected = {**SECTIONS, "youtube": {"title": "B"}, "facebook": None}
    assert {name: found[name] for name in SECTIONS} == expected


def test_a_section_needs_an_account_of_its_platform(server: Server, tenant: Tenant) -> None:
    expected = "youtube may only be sent when at least one account is YouTube; none is."
    body = video(tenant) | {"youtube": SECTIONS["youtube"]}  # to TikTok
    refused = server.post(body, tenant.key)
    assert code(refused) == (400, "validation_failed")
    assert [(one["path"], one["message"]) for one in refused.json()["issues"]] == [("youtube", expected)]
    report = data_of(steer(server, tenant, "validate", body), ValidationReport)
    assert [(found["field"], found["message"]) for found in report["refused"]] == [("youtube", expected)]
    edited = patch(server, tenant, created(server, tenant), {"youtube": SECTIONS["youtube"]})
    assert (code(edited), edited.json()["message"]) == ((400, "validation_failed"), expected)


def test_every_platform_with_options_has_its_section(server: Server, tenant: Tenant) -> None:
    found = read(server, tenant, created(server, tenant))
    assert {platform.value for platform in Platform} <= found.keys()


def test_ai_generated_is_stored_edited_and_warned_of_where_there_is_no_label(
    server: Server, tenant: Tenant
) -> None:
    body = video(tenant, scheduled_at=LATER, ai_generated=True) | everywhere(tenant)
    report = data_of(steer(server, tenant, "validate", body), ValidationReport)
    warned = [w for w in report["warnings"] if w["code"] == "AI_LABEL_NOT_SUPPORTED"]
    assert [(w["field"], w["account_id"]) for w in warned] == [("ai_generated", tenant.accounts["linkedin"])]
    first = server.post(body, tenant.key)
    assert first.status_code == 201, first.text
    assert [w["code"] for w in first.json()["data"]["warnings"]].count("AI_LABEL_NOT_SUPPORTED") == 1
    post = first.json()["data"]["id"]
    assert read(server, tenant, post)["ai_generated"] is True
    assert server.post(body, tenant.key).json()["data"]["duplicate"] is True
    assert server.post({**body, "ai_generated": False}, tenant.key).status_code == 201
    edited = patch(server, tenant, post, {"caption": "Another"}).json()["data"]["warnings"]
    assert "AI_LABEL_NOT_SUPPORTED" in {w["code"] for w in edited}
    assert read(server, tenant, post)["ai_generated"] is True
    for value in (False, None):
        assert patch(server, tenant, post, {"ai_generated": value}).status_code == 200
        assert read(server, tenant, post)["ai_generated"] is False
        assert patch(server, tenant, post, {"ai_generated": True}).status_code == 200
    assert code(server.post({**body, "ai_generated": "yes"}, tenant.key)) == (422, "invalid_payload")


PICTURES = [f"https://cdn.example.com/{n}.jpg" for n in range(2)]


def picture_post(tenant: Tenant, **more: Any) -> dict[str, Any]:
    accounts = [{"id": tenant.accounts[platform]} for platform in ("instagram", "tiktok")]
    media = {"type": "slideshow", "urls": PICTURES, **more}
    return video(tenant, scheduled_at=LATER) | {"media": media, "accounts": accounts}


def test_alternative_texts_are_stored_edited_and_warned_of(server: Server, tenant: Tenant) -> None:
    body = picture_post(tenant, alt_texts=["A mug", None])
    report = data_of(steer(server, tenant, "validate", body), ValidationReport)
    [warned] = [w for w in report["warnings"] if w["code"] == "ALT_TEXT_NOT_SUPPORTED"]
    assert (warned["field"], warned["account_id"]) == ("media.alt_texts", tenant.accounts["tiktok"])
    post = server.post(body, tenant.key).json()["data"]["id"]
    assert read(server, tenant, post)["media"] == body["media"]
    assert server.post(body, tenant.key).json()["data"]["duplicate"] is True
    other = {**body, "media": {**body["media"], "alt_texts": ["A mug", "Another"]}}
    assert server.post(other, tenant.key).status_code == 201
    assert patch(server, tenant, post, {"media": other["media"]}).status_code == 200
    assert read(server, tenant, post)["media"]["alt_texts"] == ["A mug", "Another"]


def film(**more: Any) -> dict[str, Any]:
    return {"type": "video", "url": "https://cdn.example.com/v.mp4", **more}


@pytest.mark.parametrize("cover", [2.5, "https://cdn.example.com/cover.jpg"])
def test_a_cover_is_stored_edited_checked_and_warned_of(
    server: Server, tenant: Tenant, cover: float | str
) -> None:
    body = video(tenant, scheduled_at=LATER, media=film(cover=cover)) | everywhere(tenant)
    report = data_of(steer(server, tenant, "validate", body), ValidationReport)
    without = {w["account_id"] for w in report["warnings"] if w["code"] == "COVER_NOT_SUPPORTED"}
    names = () if isinstance(cover, str) else ("facebook", "linkedin", "youtube")
    assert without == {tenant.accounts[name] for name in names}
    pending = [w["field"] for w in report["warnings"] if w["code"] == "REACHABILITY_PENDING"]
    assert pending == (["media.cover", "media.url"] if isinstance(cover, str) else ["media.url"])
    post = server.post(body, tenant.key).json()["data"]["id"]
    assert read(server, tenant, post)["media"] == body["media"]
    assert server.post(body, tenant.key).json()["data"]["duplicate"] is True
    assert server.post({**body, "media": film(cover=1)}, tenant.key).status_code == 201
    assert patch(server, tenant, post, {"media": film(cover=1)}).status_code == 200
    assert read(server, tenant, post)["media"]["cover"] == 1
