"""A rollback undoes an import: its external ids are free for the next file, and what it kept is said in the plan."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from pipeline.imports import control
from pipeline.maintenance.expire import expire_imports
from pipeline.runtime.failpoint import failpoint
from pipeline.store.auth.keys import find_caller
from tests.pipeline.api.imports.importing import Importer, do_step
from tests.pipeline.api.imports.test_applying import apply, publish
from tests.pipeline.api.imports.test_rows import fetch
from tests.pipeline.api.running_server import BASE, ask


def roll_back(importer: Importer, done: dict[str, Any]) -> dict[str, Any]:
    assert importer.act(done["id"], "rollback").status_code == 202
    return importer.work(UUID(done["id"]))


def receipts(importer: Importer, identity: str) -> list[dict[str, Any]]:
    return [*map(json.loads, fetch(importer, identity).text.splitlines())]


def test_the_corrected_file_makes_new_posts_with_the_ids_of_those_that_were_rolled_back(
    importer: Importer,
) -> None:
    bodies = [importer.body(n, external_id=f"spring-{n}") for n in range(3)]
    roll_back(importer, apply(importer, importer.plan(*bodies)))
    corrected = [bodies[0], {**bodies[1], "caption": "Corrected"}, bodies[2]]
    planned = importer.plan(*corrected)
    assert planned["plan"] | {"hash": ""} == {
        "hash": "", "new": 3, "changed": 0, "duplicate": 0, "rejected": 0, "warnings": 2,
    }  # fmt: skip
    assert apply(importer, planned)["result"] == {"created": 3}
    assert [(p.external_id, p.caption, p.status) for p in importer.posts()][3:] == [
        ("spring-0", "Row 0", "scheduled"),
        ("spring-1", "Corrected", "scheduled"),
        ("spring-2", "Row 2", "scheduled"),
    ]
    assert importer.plan(*corrected)["plan"]["duplicate"] == 3, "the ids belong to the new posts"


def test_a_request_with_the_id_gets_the_canceled_post_until_an_import_has_used_it(importer: Importer) -> None:
    server, key = importer.server, importer.tenant.key
    body = importer.body(1, external_id="spring")
    done = apply(importer, importer.plan(body))
    [first] = [str(p.id) for p in importer.posts()]
    roll_back(importer, done)
    answer = server.post(body, key).json()["data"]
    assert (answer["id"], answer["status"]) == (first, "canceled")
    assert server.post({**body, "caption": "Other"}, key).status_code == 409
    apply(importer, importer.plan({**body, "caption": "Other"}))
    second = server.post({**body, "caption": "Other"}, key).json()["data"]
    assert (second["id"] != first, second["status"]) == (True, "scheduled")
    assert server.post(body, key).status_code == 409
    assert len(importer.posts()) == 2


def test_an_id_is_taken_by_one_of_two_plans(importer: Importer) -> None:
    bodies = [importer.body(n, external_id="spring") for n in (1, 2)]
    roll_back(importer, apply(importer, importer.plan(bodies[0])))
    plans = [importer.plan(body) for body in bodies]
    assert [apply(importer, plans[0])["result"], plans[1]["plan"]["new"]] == [{"created": 1}, 1]
    answer = importer.act(plans[1]["id"], "apply", {"plan": plans[1]["plan"]["hash"]})
    assert (answer.status_code, answer.json()["issues"][0]["type"]) == (409, "taken")
    statuses = [p.status for p in importer.posts() if p.external_id == "spring"]
    assert statuses == ["canceled", "scheduled"]


def test_the_id_of_a_post_that_was_armed_stays_taken(importer: Importer) -> None:
    body = importer.body(1, external_id="spring")
    done = apply(importer, importer.plan(body))
    importer.server.sql(
        """INSERT INTO attempts (delivery_id, account_id, n, generation, fence, armed_at, closed_at, outcome)
               SELECT id, account_id, 1, 0, 1, now(), now(), 'refused' FROM deliveries WHERE post_id = :post
               RETURNING id""",
        post=importer.posts()[0].id,
    )
    assert roll_back(importer, done)["result"] == {"created": 1, "canceled": 1}
    found = importer.plan({**body, "caption": "Corrected"})
    assert found["plan"]["rejected"] == 1


def test_the_plan_says_which_rows_have_a_canceled_post(importer: Importer) -> None:
    bodies = [importer.body(1, external_id="spring"), importer.body(2)]
    apply(importer, importer.plan(*bodies))
    posts = importer.posts()
    chosen = {"post_ids": [str(post.id) for post in posts]}
    assert ask(importer.server, importer.tenant.key, "POST", "/posts/cancel", chosen).ok
    found = importer.plan(*bodies)
    assert (found["plan"]["duplicate"], found["plan"]["warnings"]) == (2, 2)
    first, second = [r["warnings"][0] for r in receipts(importer, found["id"])]
    assert first["code"] == second["code"] == "POST_CANCELED"
    assert first["message"] == (
        f"Its post {posts[0].id} is canceled, so nothing is published for this row. "
        "Give the row another external_id to make another."
    )
    assert second["message"].endswith("Delete that post to make another.")
    changed = importer.plan({**bodies[0], "caption": "Changed"}, query="?update=true")
    [record] = importer.records(changed["id"])
    assert record.issues[0]["message"] == "The post is canceled: it can no longer be changed."


def test_equal_rows_without_an_id_are_warned_of_and_make_a_post_each(importer: Importer) -> None:
    found = importer.plan(importer.body(1), importer.body(2), importer.body(1))
    assert (found["plan"]["new"], found["plan"]["warnings"]) == (3, 2)
    *_, last = receipts(importer, found["id"])
    assert [w["message"] for w in last["warnings"] if w["code"] == "EQUAL_ROW"] == [
        "It is equal to row 1 and has no external_id: each of them makes a post."
    ]
    assert (last["issues"], last["error"]) == ([], None)


def test_a_step_that_was_begun_before_a_rollback_inserts_nothing(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    context, planned = importer.server.context, importer.plan(importer.body(1))
    with context.database.begin() as c:
        caller = find_caller(c, importer.tenant.key)
    assert caller is not None
    importer.act(planned["id"], "apply", {"plan": planned["plan"]["hash"]})

    def move(name: str, *about: Any) -> None:
        failpoint(name, *about)
        if name == "imports.edited":
            control.cancel(context, caller, UUID(planned["id"]))
            control.rollback(context, caller, UUID(planned["id"]))

    monkeypatch.setattr("pipeline.imports.apply.failpoint", move)
    do_step(context, UUID(planned["id"]))
    assert (importer.get(UUID(planned["id"]))["state"], importer.posts()) == ("rolling_back", [])
    assert importer.work(UUID(planned["id"]))["state"] == "rolled_back"
    assert importer.posts() == []


def test_a_deleted_import_loses_its_file_and_rows_and_keeps_counts_and_posts(importer: Importer) -> None:
    context, key = importer.server.context, importer.tenant.key
    done = apply(importer, importer.plan(importer.body(1)))
    publish(importer, importer.posts()[0].id)
    for _ in range(2):
        answer = ask(importer.server, key, "DELETE", f"/imports/{done['id']}", b"")
        assert (answer.status_code, answer.json()["data"]["expired"]) == (200, True)
    refused = importer.server.get(f"/imports/{done['id']}/rows", key)
    assert (refused.status_code, refused.json()["error_code"]) == (409, "import_state")
    assert importer.act(done["id"], "rollback").json()["error_code"] == "import_state"
    assert expire_imports(context) == 1
    assert importer.records(done["id"]) == []
    after = importer.get(UUID(done["id"]))
    assert (after["state"], after["counts"], after["result"]) == ("applied", done["counts"], done["result"])
    assert [p.status for p in importer.posts()] == ["posted"]
    assert expire_imports(context) == 0


def test_a_plan_that_is_deleted_is_canceled_and_an_import_at_work_is_not_deleted(importer: Importer) -> None:
    key, planned = importer.tenant.key, importer.plan(importer.body(1))
    assert (
        ask(importer.server, key, "DELETE", f"/imports/{planned['id']}", b"").json()["data"]["state"]
        == "canceled"
    )
    answer = importer.act(planned["id"], "apply", {"plan": planned["plan"]["hash"]})
    assert answer.json()["error_code"] == "import_state"
    at_work = importer.plan(importer.body(2))
    importer.act(at_work["id"], "apply", {"plan": at_work["plan"]["hash"]})
    answer = ask(importer.server, key, "DELETE", f"/imports/{at_work['id']}", b"")
    assert (answer.status_code, answer.json()["error_code"]) == (409, "import_state")
    assert answer.json()["message"].startswith("The import is being applied: delete needs one that is ")
    assert ask(importer.server, key, "DELETE", f"{BASE}/imports/x", b"").status_code == 404
