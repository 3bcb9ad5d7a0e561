"""POST /posts/steer over HTTP: count, confirm, receipts; hostile and contradictory bodies; other workspaces."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest
import requests

from pipeline.actions.steer_step import run_steering_step
from pipeline.actions.steering import Steering
from pipeline.actions.steering import steer as start
from pipeline.broker.queues import IMPORTS
from pipeline.domain.account import Plan, Subscription
from pipeline.domain.level import LEVEL
from pipeline.domain.steering import Arguments, Verb
from pipeline.store.auth.keys import read_caller
from pipeline.store.canaries import record_canary
from pipeline.store.database import rows
from pipeline.store.deliveries.selection import ListFilter
from tests.pipeline.api.imports.importing import Importer
from tests.pipeline.api.running_server import ABSENT, BASE, Server, Tenant, ask, video

LATER = "2031-05-04T10:00:00Z"
CANCEL = {"verb": "cancel", "filter": {"platform": "tiktok"}}


@pytest.fixture
def tenant(server: Server) -> Tenant:
    return server.tenant()


def steer(server: Server, key: str, body: Any) -> requests.Response:
    return ask(server, key, "POST", "/posts/steer", body)


def work(server: Server, tenant: Tenant, identity: str) -> dict[str, Any]:
    """Do steps until the job rests; return it."""
    while True:
        found: dict[str, Any] = server.get(f"/posts/steer/{identity}", tenant.key).json()["data"]
        if found["state"] in ("done", "failed"):
            return found
        run_steering_step(server.context, UUID(identity))


def post(server: Server, tenant: Tenant, **more: Any) -> str:
    made: str = server.post(video(tenant, scheduled_at=LATER, **more), tenant.key).json()["data"]["id"]
    return made


def status(server: Server, tenant: Tenant, identity: str) -> str:
    found: str = server.get(f"/posts/{identity}", tenant.key).json()["data"]["status"]
    return found


def test_what_an_import_made_is_counted_then_cancelled_with_receipts(server: Server) -> None:
    importer = Importer(server=server, tenant=server.tenant())
    tenant = importer.tenant
    planned = importer.plan(importer.body(1), importer.body(2))
    importer.act(planned["id"], "apply", {"plan": planned["plan"]["hash"]})
    importer.work(UUID(planned["id"]))
    other = post(server, tenant)
    body = {"verb": "cancel", "filter": {"import_id": planned["id"], "due_from": "2031-01-01T00:00:00Z"}}
    counted = steer(server, tenant.key, body).json()["data"]
    assert counted["count"] == {"deliveries": 2, "posts": 2, "states": {"accepted": 2}}
    assert counted["job"] is None
    answer = steer(server, tenant.key, {**body, "token": counted["token"]})
    job = answer.json()["data"]["job"]
    assert (answer.status_code, job["state"]) == (200, "working")
    again = steer(server, tenant.key, {**body, "token": counted["token"]}).json()["data"]
    assert again["job"]["id"] == job["id"]
    done = work(server, tenant, job["id"])
    assert done["filter"] == {"import_id": planned["id"], "due_from": LATER.replace("05-04T10", "01-01T00")}
    assert (done["counted"], done["selected"], done["done"], done["skipped"]) == (2, 2, 2, 0)
    path = f"/posts/steer/{job['id']}/receipts"
    page = server.get(f"{path}?limit=1", tenant.key).json()["data"]
    rest = server.get(f"{path}?limit=1&cursor={page['next_cursor']}", tenant.key).json()["data"]
    receipts = page["receipts"] + rest["receipts"]
    assert rest["next_cursor"] is None
    assert {r["post_id"] for r in receipts} == {str(p.id) for p in importer.posts()} - {other}
    assert {(r["outcome"], r["why"]) for r in receipts} == {("done", None)}
    assert server.get(f"{path}?outcome=skipped", tenant.key).json()["data"]["receipts"] == []
    assert status(server, tenant, other) == "scheduled"
    assert {status(server, tenant, r["post_id"]) for r in receipts} == {"canceled"}


def test_canceled_has_one_spelling_and_the_earlier_one_is_taken(server: Server, tenant: Tenant) -> None:
    one = post(server, tenant)
    ask(server, tenant.key, "POST", "/posts/cancel", {"post_ids": [one]})
    shown = server.get(f"/posts/{one}", tenant.key).json()["data"]["accounts"]["states"][0]
    assert (shown["status"], shown["state"]) == ("canceled", "canceled")
    explained = server.get(f"/posts/{one}/explain", tenant.key).json()["data"]["accounts"][0]
    assert explained["state"] == "canceled"
    for spelling in ("canceled", "cancelled"):
        chosen = {"state": spelling, "account_id": tenant.accounts["tiktok"]}
        counted = steer(server, tenant.key, {"verb": "pause", "filter": chosen}).json()["data"]
        assert "cancelled" not in json.dumps(counted)
        confirmed = steer(server, tenant.key, {"verb": "pause", "filter": chosen, "confirm": True}).json()[
            "data"
        ]
        assert confirmed["job"]["filter"]["state"] == "canceled"


def test_no_word_of_a_document_is_cancelled(server: Server) -> None:
    assert "'cancelled'" not in str(server.send("GET", "/openapi.json").json()["components"])


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"filter": {"platform": "tiktok"}}, "verb"),
        ({**CANCEL, "verb": "replay"}, "verb"),
        ({**CANCEL, "verb": "undo"}, "verb"),
        ({"verb": "cancel", "filter": {"acount_id": "x"}}, "filter.acount_id"),
        ({"verb": "cancel", "filter": {"due_from": LATER, "due_to": LATER}}, "filter.due_to"),
        ({"verb": "cancel", "filter": []}, "filter"),
        ({**CANCEL, "shift_seconds": 60}, "verb"),
        ({**CANCEL, "why": "because"}, "why"),
        ({**CANCEL, "token": "x"}, "token"),
        ({**CANCEL, "verb": "reschedule"}, "shift_seconds"),
        ({**CANCEL, "verb": "reschedule", "shift_seconds": 10**12}, "shift_seconds"),
        ({**CANCEL, "verb": "reschedule", "window": {"start": LATER, "end": LATER}}, "window.end"),
        ({**CANCEL, "verb": "pause", "why": "a\u0000b"}, "why"),
    ],
)
def test_a_wrong_body_names_its_field_and_stores_nothing(
    server: Server, tenant: Tenant, body: Any, path: str
) -> None:
    kept = post(server, tenant)
    answer = steer(server, tenant.key, {"confirm": True, **body})
    assert answer.status_code == 422, answer.text
    assert path in [issue["path"] for issue in answer.json()["issues"]]
    assert server.sql("SELECT id FROM steering_jobs WHERE workspace_id = :w", w=tenant.workspace) == []
    assert status(server, tenant, kept) == "scheduled"


def test_a_filter_of_nulls_is_an_empty_one(server: Server, tenant: Tenant) -> None:
    empty = {"verb": "cancel", "filter": {"platform": None, "account_id": None}, "confirm": True}
    assert "select every post" in steer(server, tenant.key, empty).json()["message"]


def test_jobs_are_listed_page_by_page_and_stopped(server: Server, tenant: Tenant) -> None:
    kept = post(server, tenant)
    pause, resume, cancel = (
        steer(server, tenant.key, {**CANCEL, "verb": verb, "confirm": True}).json()["data"]["job"]
        for verb in ("pause", "resume", "cancel")
    )
    assert (pause["waits_for"], resume["waits_for"], cancel["waits_for"]) == ([], [pause["id"]], [])
    page = server.get("/posts/steer?limit=2", tenant.key).json()["data"]
    rest = server.get(f"/posts/steer?limit=2&cursor={page['next_cursor']}", tenant.key).json()["data"]
    pages = [[job["id"] for job in one["jobs"]] for one in (page, rest)]
    assert pages == [[cancel["id"], resume["id"]], [pause["id"]]]
    assert rest["next_cursor"] is None
    assert server.get("/posts/steer", server.tenant().key).json()["data"]["jobs"] == []
    assert server.get("/posts/steer?limit=0", tenant.key).status_code == 422
    for _ in range(2):
        answer = server.send("POST", f"{BASE}/posts/steer/{cancel['id']}/stop", tenant.key, b"")
        assert (answer.status_code, answer.json()["data"]["state"]) == (200, "stopped")
    run_steering_step(server.context, UUID(cancel["id"]))
    assert status(server, tenant, kept) == "scheduled"
    assert work(server, tenant, pause["id"])["done"] == 1
    answer = server.send("POST", f"{BASE}/posts/steer/{pause['id']}/stop", tenant.key, b"")
    assert (answer.status_code, answer.json()["data"]["state"]) == (200, "done")
    for absent, who in ((ABSENT, tenant.key), (resume["id"], server.tenant().key)):
        assert server.send("POST", f"{BASE}/posts/steer/{absent}/stop", who, b"").status_code == 404
    assert server.get(f"/posts/steer/{resume['id']}", tenant.key).json()["data"]["state"] == "working"


def test_a_job_that_waits_for_a_newer_worker_says_so(server: Server, tenant: Tenant) -> None:
    post(server, tenant)
    body = {"verb": "pause", "filter": {"platform": "tiktok"}, "confirm": True}
    job = steer(server, tenant.key, body).json()["data"]["job"]
    assert job["held_for"] is None
    with server.context.database.begin() as c:
        record_canary(c, IMPORTS, LEVEL)
        rows(
            c,
            "UPDATE steering_jobs SET level = :n WHERE id = :id RETURNING id",
            n=LEVEL + 1,
            id=UUID(job["id"]),
        )
    shown = server.get(f"/posts/steer/{job['id']}", tenant.key).json()["data"]
    assert (shown["state"], shown["held_for"]) == ("working", "newer_worker")


def test_other_workspaces_are_neither_selected_nor_shown(server: Server, tenant: Tenant) -> None:
    kept, stranger = post(server, tenant), server.tenant()
    body = {"verb": "cancel", "filter": {"account_id": tenant.accounts["tiktok"]}, "confirm": True}
    found = steer(server, stranger.key, body).json()["data"]
    assert found["count"]["deliveries"] == 0
    assert work(server, stranger, found["job"]["id"])["selected"] == 0
    for path in (f"/posts/steer/{found['job']['id']}", f"/posts/steer/{found['job']['id']}/receipts"):
        assert server.get(path, tenant.key).status_code == 404
    for absent in (ABSENT, "x"):
        assert server.get(f"/posts/steer/{absent}", tenant.key).status_code == 404
    assert status(server, tenant, kept) == "scheduled"


def test_jobs_of_dead_letters_are_the_operators(server: Server, tenant: Tenant) -> None:
    with server.context.database.begin() as c:
        caller = read_caller(c, tenant.workspace, None)
    assert caller is not None
    asked = Steering(verb=Verb.REPLAY, filter=ListFilter(platform="tiktok"), arguments=Arguments())
    job = start(server.context, caller, asked, confirm=True).job
    assert job is not None
    for path in (f"/posts/steer/{job.id}", f"/posts/steer/{job.id}/receipts"):
        assert server.get(path, tenant.key).status_code == 404


def test_a_lapsed_plan_may_stop_posts_but_not_send_them(server: Server) -> None:
    tenant = server.tenant(Plan.BUSINESS, Subscription.PAST_DUE)
    answers = {
        verb: steer(server, tenant.key, {**CANCEL, "verb": verb}).status_code
        for verb in ("cancel", "pause", "retry", "resume")
    }
    assert answers == {"cancel": 200, "pause": 200, "retry": 402, "resume": 402}
