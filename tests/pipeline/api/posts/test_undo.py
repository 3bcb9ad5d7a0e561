"""POST /posts/steer/{id}/undo over HTTP: by whom, of what, once, and never two posts of one external_id."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
import requests

from pipeline.domain.account import Plan, Subscription
from pipeline.store.database import rows
from tests.pipeline.api.imports.importing import Importer
from tests.pipeline.api.imports.test_applying import apply
from tests.pipeline.api.posts.test_steer import post, status, steer, work
from tests.pipeline.api.running_server import ABSENT, Server, Tenant, ask


@pytest.fixture
def tenant(server: Server) -> Tenant:
    return server.tenant()


def undo(server: Server, key: str, job: str) -> requests.Response:
    return ask(server, key, "POST", f"/posts/steer/{job}/undo", b"")


def do(server: Server, tenant: Tenant, verb: str, **more: Any) -> str:
    """Run a job over all posts at TikTok; return its id."""
    body = {"verb": verb, "filter": {"platform": "tiktok"}, "confirm": True, **more}
    job: str = steer(server, tenant.key, body).json()["data"]["job"]["id"]
    work(server, tenant, job)
    return job


def receipts(server: Server, tenant: Tenant, job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = server.get(f"/posts/steer/{job}/receipts", tenant.key).json()["data"][
        "receipts"
    ]
    return found


def test_a_cancel_is_undone_by_one_job_however_often_it_is_asked(server: Server, tenant: Tenant) -> None:
    made = post(server, tenant)
    job = do(server, tenant, "cancel")
    ended = server.get(f"/posts/steer/{job}", tenant.key).json()["data"]["ended_at"]
    assert ended is not None
    assert status(server, tenant, made) == "canceled"
    answer = undo(server, tenant.key, job)
    first = answer.json()["data"]
    assert (answer.status_code, answer.json()["message"]) == (200, "Steering job is undone by another")
    assert (first["verb"], first["state"], first["counted"], first["ended_at"]) == (
        "undo",
        "working",
        1,
        None,
    )
    assert first["arguments"] == {"undoes": job, "undone": "cancel"}
    done = work(server, tenant, first["id"])
    assert (done["done"], done["skipped"]) == (1, 0)
    assert server.get(f"/posts/{made}", tenant.key).json()["data"]["status"] == "scheduled"
    assert undo(server, tenant.key, job).json()["data"]["id"] == first["id"]
    listed = server.get("/posts/steer", tenant.key).json()["data"]["jobs"]
    assert [one["id"] for one in listed] == [first["id"], job]
    assert [r["outcome"] for r in receipts(server, tenant, first["id"])] == ["done"]


def test_a_key_undoes_what_it_sees_and_may(server: Server, tenant: Tenant) -> None:
    post(server, tenant)
    job = do(server, tenant, "pause")
    reader = server.key(tenant, read_only=True)
    bound = server.key(tenant, "tiktok")
    answers = {who: undo(server, who, job) for who in (reader, bound, server.tenant().key)}
    assert [a.status_code for a in answers.values()] == [403, 404, 404]
    assert {a.status_code for a in (undo(server, tenant.key, ABSENT), undo(server, tenant.key, "x"))} == {404}
    assert undo(server, tenant.key, job).status_code == 200


def test_a_plan_that_does_not_publish_only_pauses_again(server: Server) -> None:
    lapsed = server.tenant(Plan.BUSINESS, Subscription.CANCELED)
    jobs = [do(server, lapsed, verb) for verb in ("pause", "cancel", "pause")]
    with server.context.database.begin() as c:  # as if it had resumed before it lapsed
        sql = "UPDATE steering_jobs SET verb = 'resume' WHERE id = :id RETURNING id"
        assert rows(c, sql, id=UUID(jobs[2]))
    codes = [undo(server, lapsed.key, job).json().get("error_code") for job in jobs]
    assert codes == ["subscription_required", "subscription_required", None]


@pytest.mark.parametrize("by", ["external_id", "row"])
def test_a_post_whose_place_an_import_took_since_stays_canceled(server: Server, by: str) -> None:
    """Whatever gave its id, or its row, back to imports after the cancel."""
    importer = Importer(server=server, tenant=server.tenant())
    tenant = importer.tenant
    body = importer.body(1, **({"external_id": "spring"} if by == "external_id" else {}))
    apply(importer, importer.plan(body))
    job = do(server, tenant, "cancel")
    with server.context.database.begin() as c:
        if by == "row":
            rows(c, "DELETE FROM replays WHERE workspace_id = :w RETURNING token", w=tenant.workspace)
        else:
            rows(
                c,
                "UPDATE replays SET released = true WHERE workspace_id = :w RETURNING token",
                w=tenant.workspace,
            )
    apply(importer, importer.plan(body))
    first, second = importer.posts()
    done = work(server, tenant, undo(server, tenant.key, job).json()["data"]["id"])
    assert (done["done"], done["skipped"]) == (0, 1)
    [receipt] = receipts(server, tenant, done["id"])
    assert receipt["why"].startswith("cannot_undo: Another post has taken its external_id")
    assert [status(server, tenant, str(p.id)) for p in (first, second)] == ["canceled", "scheduled"]


def test_an_import_after_the_undo_finds_the_post_though_its_id_was_released(server: Server) -> None:
    importer = Importer(server=server, tenant=server.tenant())
    tenant = importer.tenant
    body = importer.body(1, external_id="spring")
    apply(importer, importer.plan(body))
    job = do(server, tenant, "cancel")
    server.sql(
        "UPDATE replays SET released = true WHERE workspace_id = :w RETURNING token", w=tenant.workspace
    )
    assert work(server, tenant, undo(server, tenant.key, job).json()["data"]["id"])["done"] == 1
    assert importer.plan(body)["plan"]["duplicate"] == 1
    assert len(importer.posts()) == 1
