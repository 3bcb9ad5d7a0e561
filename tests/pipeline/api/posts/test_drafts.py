"""Drafts over HTTP: stored, checked, listed, changed, and sent on their way by a request of their own."""

from __future__ import annotations

from typing import Any

from pipeline.domain.level import LEVELS
from tests.pipeline.api.posts.test_auto_times import next_time, set_times, to_time
from tests.pipeline.api.running_server import Server, Tenant, ask, code, read, video

LATER = "2090-01-01T00:00:00.000Z"


def draft(server: Server, tenant: Tenant, **more: Any) -> dict[str, Any]:
    answer = server.post(video(tenant, draft=True, scheduled_at=None, **more), tenant.key)
    assert answer.ok, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


def schedule(server: Server, tenant: Tenant, identity: str, **body: Any) -> Any:
    return ask(server, tenant.key, "POST", f"/posts/{identity}/schedule", body)


def test_a_draft_has_a_status_of_its_own_and_no_time(server: Server) -> None:
    tenant = server.tenant()
    made = draft(server, tenant, caption="same")
    assert (made["status"], made["scheduled_at"]) == ("draft", None)
    shown = read(server, tenant, made["id"])
    assert (shown["status"], shown["scheduled_at"]) == ("draft", None)
    assert {one["status"] for one in shown["accounts"]["states"]} == {"draft"}
    for status, ids in (("draft", [made["id"]]), ("scheduled", []), ("pending", [])):
        page = server.get(f"/posts?status={status}", tenant.key).json()["data"]
        assert [one["id"] for one in page["posts"]] == ids, status
        assert page["summary"]["by_status"]["draft"] == 1
    again = draft(server, tenant, caption="same")
    assert (again["id"], again["duplicate"], again["status"]) == (made["id"], True, "draft")


def test_it_is_changed_and_scheduled_once(server: Server) -> None:
    tenant = server.tenant()
    made = draft(server, tenant)
    path = f"/posts/{made['id']}"
    edited = ask(server, tenant.key, "PATCH", path, {"caption": "Better"}).json()["data"]
    assert (edited["status"], edited["scheduled_at"]) == ("draft", None)
    refused = ask(server, tenant.key, "PATCH", path, {"scheduled_at": LATER})
    assert code(refused) == (400, "validation_failed")
    assert "schedule it by POST /posts/{id}/schedule" in refused.json()["message"]
    done = schedule(server, tenant, made["id"], scheduled_at=LATER).json()
    assert (done["message"], done["data"]["status"], done["data"]["scheduled_at"]) == (
        "Post scheduled",
        "scheduled",
        LATER,
    )
    assert read(server, tenant, made["id"])["caption"] == "Better"
    twice = schedule(server, tenant, made["id"])
    assert code(twice) == (400, "validation_failed")
    assert "The post is scheduled: only a draft is scheduled" in twice.json()["message"]


def test_no_edit_makes_a_draft_known_to_code_that_would_send_it(server: Server) -> None:
    tenant = server.tenant()
    made = draft(server, tenant, accounts=[{"id": tenant.accounts["tiktok"]}])
    both = [{"id": tenant.accounts[name]} for name in ("tiktok", "instagram")]
    for change in ({"caption": "Better"}, {"accounts": both}):
        assert ask(server, tenant.key, "PATCH", f"/posts/{made['id']}", change).ok
        assert set(list_levels(server, made["id"])) == {LEVELS["draft"]}, change
    assert schedule(server, tenant, made["id"], scheduled_at=LATER).ok
    assert list_levels(server, made["id"]) == [1, 1]


def list_levels(server: Server, post: str) -> list[int]:
    found = server.sql("SELECT level FROM deliveries WHERE post_id = CAST(:post AS uuid)", post=post)
    return [one.level for one in found]


def test_it_goes_out_at_once_or_at_a_free_posting_time(server: Server) -> None:
    tenant = server.tenant()
    set_times(server, tenant)
    accounts = [{"id": tenant.accounts["tiktok"]}]
    first, second = (draft(server, tenant, caption=text, accounts=accounts) for text in ("one", "two"))
    assert schedule(server, tenant, first["id"]).json()["data"]["status"] == "pending"
    found = schedule(server, tenant, second["id"], scheduled_at="auto").json()["data"]
    assert to_time(found["scheduled_at"]) == next_time()


def test_it_is_canceled_and_deleted_and_no_reschedule_moves_it(server: Server) -> None:
    tenant = server.tenant()
    first, second = draft(server, tenant, caption="one"), draft(server, tenant, caption="two")
    canceled = ask(server, tenant.key, "POST", "/posts/cancel", {"post_ids": [first["id"]]}).json()["data"]
    assert canceled["canceled"] == 1
    assert code(schedule(server, tenant, first["id"])) == (400, "validation_failed")
    deleted = ask(server, tenant.key, "POST", "/posts/delete", {"post_ids": [second["id"]]}).json()["data"]
    assert deleted["deletedIds"] == [second["id"]]
