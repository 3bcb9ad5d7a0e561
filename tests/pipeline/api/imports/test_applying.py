"""Apply, pause, resume, cancel and roll back: posts are made once, and cancelled where nothing was sent."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from pipeline.domain.audit import Actor
from pipeline.imports import control
from pipeline.imports.import_slice import CHUNK
from pipeline.maintenance.expire import expire_imports
from pipeline.store.accounts.grants import deactivate
from pipeline.store.auth.keys import read_caller
from pipeline.store.auth.workspaces import set_approval
from pipeline.store.database import rows
from pipeline.store.deliveries.move import recompute_post_status
from tests.pipeline.api.imports.importing import Importer, do_step, write_lines
from tests.pipeline.api.running_server import ABSENT, BASE, ask


def apply(importer: Importer, planned: dict[str, Any]) -> dict[str, Any]:
    """Apply a plan to its end."""
    answer = importer.act(planned["id"], "apply", {"plan": planned["plan"]["hash"]})
    assert answer.status_code == 202, answer.text
    return importer.work(UUID(planned["id"]))


def test_each_accepted_row_is_a_post_and_names_it(importer: Importer) -> None:
    done = apply(importer, importer.plan(importer.body(1), importer.body(2, caption=""), importer.body(3)))
    assert done["state"] == "applied"
    assert done["counts"] == {"rows": 3, "accepted": 2, "duplicate": 0, "rejected": 1}
    assert done["result"] == {"created": 2}
    posts = importer.posts()
    assert [p.caption for p in posts] == ["Row 1", "Row 3"]
    assert [p.id for p in posts] == [r.post_id for r in importer.records(done["id"]) if r.post_id]
    assert {p.import_id for p in posts} == {UUID(done["id"])}


def test_each_post_that_is_made_is_a_line_of_the_log_and_a_repeat_is_none(
    importer: Importer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "slipway.imports")
    bodies = [importer.body(1), importer.body(2)]
    done = apply(importer, importer.plan(*bodies))
    apply(importer, importer.plan(*bodies))
    lines = [one.getMessage() for one in caplog.records if one.name == "slipway.imports"]
    made = importer.server.sql(
        """SELECT post_id, string_agg(CAST(id AS text), ',') AS ids, min(CAST(workspace_id AS text)) AS w
               FROM deliveries WHERE post_id = ANY(:posts) GROUP BY post_id""",
        posts=[p.id for p in importer.posts()],
    )
    expected = {f"post post={m.post_id} delivery={m.ids} import={done['id']} workspace={m.w}" for m in made}
    assert len(expected) == len(lines) == 2
    assert set(lines) == expected


def test_posts_of_an_import_without_a_key_are_by_whom_applied_it(importer: Importer) -> None:
    context, workspace = importer.server.context, importer.tenant.workspace
    planned = importer.plan(importer.body(1))
    identity = UUID(planned["id"])
    with context.database.begin() as c:
        set_approval(c, workspace, needed=True, by_author=False)
        c.execute(text("UPDATE imports SET key_id = NULL WHERE id = :id"), {"id": identity})
        caller = read_caller(c, workspace, None)
    assert caller is not None
    ann, bob = (replace(caller, actor=Actor(kind="user", name=name)) for name in ("ann", "bob"))
    control.apply(context, ann, identity, planned["plan"]["hash"])
    control.rename(context, bob, identity, "Bob's name for it")
    assert importer.work(identity)["state"] == "applied"
    with context.database.begin() as c:
        [found] = rows(c, "SELECT author FROM approvals WHERE workspace_id = :w", w=workspace)
    assert "ann" in found.author


def test_the_same_file_twice_makes_nothing_new(importer: Importer) -> None:
    bodies = [
        importer.body(1),
        importer.body(1),
        importer.body(2, external_id="x"),
        importer.body(2, external_id="x"),
    ]
    done = apply(importer, importer.plan(*bodies))
    made = {p.id for p in importer.posts()}
    assert len(made) == 3
    *_, named, repeated = importer.records(done["id"])
    assert (named.verdict, repeated.verdict) == ("accepted", "duplicate")
    assert named.post_id == repeated.post_id is not None
    again = importer.plan(*bodies)
    assert again["counts"] == {"rows": 4, "accepted": 0, "duplicate": 4, "rejected": 0}
    assert {r.post_id for r in importer.records(again["id"])} == made
    assert apply(importer, again)["result"] == {}
    assert len(importer.posts()) == 3


def test_a_row_is_recognised_long_after_its_import_has_expired(importer: Importer) -> None:
    bodies = [importer.body(1), importer.body(1), importer.body(2)]
    first = apply(importer, importer.plan(*bodies))
    with importer.server.context.database.begin() as c:
        for table in ("imports", "replays", "posts"):
            older = f"UPDATE {table} SET created_at = created_at - interval '1 year' WHERE workspace_id = :w"  # noqa: S608
            c.execute(text(older), {"w": importer.tenant.workspace})
    assert expire_imports(importer.server.context) >= 1
    assert importer.records(first["id"]) == []
    again = importer.plan(*bodies)
    assert again["counts"] == {"rows": 3, "accepted": 0, "duplicate": 3, "rejected": 0}


def test_a_row_whose_post_was_deleted_makes_another(importer: Importer) -> None:
    apply(importer, importer.plan(importer.body(1), importer.body(2)))
    [gone, kept] = [post.id for post in importer.posts()]
    ids = {"post_ids": [str(gone)]}
    answer = ask(importer.server, importer.tenant.key, "POST", "/posts/delete", ids)
    assert answer.json()["data"]["deletedIds"] == [str(gone)]
    again = importer.plan(importer.body(1), importer.body(2))
    assert again["counts"] == {"rows": 2, "accepted": 1, "duplicate": 1, "rejected": 0}
    assert apply(importer, again)["result"] == {"created": 1}
    assert [post.id for post in importer.posts()][:2] == [gone, kept]
    assert importer.plan(importer.body(1), importer.body(2))["counts"]["duplicate"] == 2


def test_one_more_equal_row_makes_one_more_post(importer: Importer) -> None:
    apply(importer, importer.plan(importer.body(1)))
    again = apply(importer, importer.plan(importer.body(1), importer.body(1)))
    assert again["counts"] == {"rows": 2, "accepted": 1, "duplicate": 1, "rejected": 0}
    assert len(importer.posts()) == 2


def test_what_changed_since_the_plan_is_listed_and_nothing_is_done(importer: Importer) -> None:
    planned = importer.plan(importer.body(1), importer.body(2, external_id="x"), importer.body(3))
    importer.server.post(importer.body(2, external_id="x"), importer.tenant.key)
    answer = importer.act(planned["id"], "apply", {"plan": planned["plan"]["hash"]})
    assert (answer.status_code, answer.json()["error_code"]) == (409, "plan_changed")
    assert [(i["path"], i["type"]) for i in answer.json()["issues"]] == [("rows.2", "taken")]
    assert len(importer.posts()) == 1
    found = importer.work(UUID(planned["id"]))
    assert found["state"] == "planned"
    assert (found["plan"]["new"], found["plan"]["duplicate"]) == (2, 1)
    assert found["plan"]["hash"] != planned["plan"]["hash"]
    assert apply(importer, found)["result"] == {"created": 2}


def test_an_account_that_was_taken_out_of_use_since_is_listed(importer: Importer) -> None:
    planned = importer.plan(importer.body(1))
    with importer.server.context.database.begin() as c:
        deactivate(c, UUID(importer.tenant.accounts["tiktok"]))
    answer = importer.act(planned["id"], "apply", {"plan": planned["plan"]["hash"]})
    assert [i["type"] for i in answer.json()["issues"]] == ["inactive"]
    assert importer.work(UUID(planned["id"]))["counts"]["rejected"] == 1


def test_a_row_that_is_refused_while_it_is_applied_becomes_rejected(importer: Importer) -> None:
    other = [{"id": importer.tenant.accounts["instagram"]}]
    planned = importer.plan(importer.body(1), importer.body(2, accounts=other))
    importer.act(planned["id"], "apply", {"plan": planned["plan"]["hash"]})
    with importer.server.context.database.begin() as c:
        deactivate(c, UUID(importer.tenant.accounts["tiktok"]))
    done = importer.work(UUID(planned["id"]))
    assert done["counts"] == {"rows": 2, "accepted": 1, "duplicate": 0, "rejected": 1}
    assert done["result"] == {"created": 1, "refused": 1}
    assert importer.records(done["id"])[0].issues[0]["code"] == "unknown_accounts"


def test_a_strict_import_applies_nothing_unless_all_is_good(importer: Importer) -> None:
    planned = importer.plan(importer.body(1), importer.body(2, caption=""), query="?strict=true")
    answer = importer.act(planned["id"], "apply", {"plan": planned["plan"]["hash"]})
    assert (answer.status_code, answer.json()["error_code"]) == (400, "validation_failed")
    assert importer.posts() == []
    good = importer.plan(importer.body(1), query="?strict=true")
    assert apply(importer, good)["result"] == {"created": 1}


def test_a_changed_row_is_rejected_or_edits_its_post(importer: Importer) -> None:
    apply(importer, importer.plan(importer.body(1, external_id="x"), importer.body(2)))
    later = "2031-06-01T10:00:00Z"
    changed = importer.body(9, external_id="x", scheduled_at=later, ai_generated=True)
    refused = importer.plan(changed)
    assert (refused["plan"]["changed"], refused["counts"]["rejected"]) == (0, 1)
    planned = importer.plan(changed, query="?update=true")
    assert (planned["plan"]["changed"], planned["plan"]["new"]) == (1, 0)
    assert importer.posts()[0].caption == "Row 1", "a plan changes nothing"
    assert apply(importer, planned)["result"] == {"edited": 1}
    post = importer.posts()[0]
    assert (post.caption, post.due_at.month, post.ai_generated) == ("Row 9", 6, True)
    assert len(importer.posts()) == 2


def test_a_paused_import_rests_and_goes_on_where_it_was(importer: Importer) -> None:
    planned = importer.plan(*[importer.body(n) for n in range(CHUNK + 3)])
    importer.act(planned["id"], "apply", {"plan": planned["plan"]["hash"]})
    do_step(importer.server.context, UUID(planned["id"]))
    made = len(importer.posts())  # a small chunk, where requests made posts just now
    assert 0 < made <= CHUNK
    assert importer.act(planned["id"], "pause").json()["data"]["state"] == "paused"
    do_step(importer.server.context, UUID(planned["id"]))
    assert importer.get(UUID(planned["id"]))["done"] == made == len(importer.posts())
    assert importer.act(planned["id"], "resume").json()["data"]["state"] == "applying"
    assert importer.work(UUID(planned["id"]))["result"] == {"created": CHUNK + 3}


def test_a_cancelled_import_keeps_its_posts_and_makes_no_more(importer: Importer) -> None:
    planned = importer.plan(*[importer.body(n) for n in range(CHUNK + 3)])
    importer.act(planned["id"], "apply", {"plan": planned["plan"]["hash"]})
    do_step(importer.server.context, UUID(planned["id"]))
    made = len(importer.posts())
    assert 0 < made <= CHUNK
    for _ in range(2):
        answer = importer.act(planned["id"], "cancel")
        assert (answer.status_code, answer.json()["message"]) == (200, f"Import is canceled ({made} created)")
        assert answer.json()["data"]["state"] == "canceled"
    importer.work(UUID(planned["id"]))
    assert len(importer.posts()) == made
    assert importer.act(planned["id"], "resume").json()["error_code"] == "import_state"


def test_a_rollback_cancels_what_the_import_made_and_nothing_else(importer: Importer) -> None:
    server, key = importer.server, importer.tenant.key
    own = server.post(importer.body(0, external_id="mine"), key).json()["data"]["id"]
    done = apply(
        importer,
        importer.plan(importer.body(0, external_id="mine"), *[importer.body(n) for n in range(1, 4)]),
    )
    _, first, second, third = [str(r.post_id) for r in importer.records(done["id"])]
    json_type = {"Content-Type": "application/json"}
    server.send("PATCH", f"{BASE}/posts/{first}", key, b'{"caption": "by hand"}', **json_type)
    publish(importer, UUID(second))
    assert importer.act(done["id"], "rollback").status_code == 202
    found = importer.work(UUID(done["id"]))
    assert found["state"] == "rolled_back"
    assert found["result"] == {"created": 3, "edited": 1, "live": 1, "canceled": 1}
    statuses = {str(p.id): p.status for p in importer.posts()}
    assert (statuses[own], statuses[first], statuses[third]) == ("scheduled", "scheduled", "canceled")
    assert statuses[second] == "posted"
    assert [r.rollback for r in importer.records(done["id"])] == [None, "edited", "live", "cancelled"]


def publish(importer: Importer, post: UUID) -> None:
    """Make a post live, as if its platform had said so."""
    with importer.server.context.database.begin() as c:
        rows(
            c,
            """UPDATE deliveries SET state = 'published', published_at = now(), remote_id = id::text
               WHERE post_id = :id RETURNING id""",
            id=post,
        )
        recompute_post_status(c, post)


def test_a_file_that_was_rolled_back_can_be_imported_again(importer: Importer) -> None:
    bodies = [importer.body(1), importer.body(1)]
    done = apply(importer, importer.plan(*bodies))
    importer.act(done["id"], "rollback")
    importer.work(UUID(done["id"]))
    again = apply(importer, importer.plan(*bodies))
    assert again["result"] == {"created": 2}
    assert sorted(p.status for p in importer.posts()) == ["canceled", "canceled", "scheduled", "scheduled"]


@pytest.mark.parametrize(("verb", "state"), [("apply", "uploaded"), ("rollback", "planned")])
def test_an_action_that_does_not_suit_the_state_says_which_it_needs(
    importer: Importer, verb: str, state: str
) -> None:
    identity = importer.upload(write_lines(importer.body()))
    assert importer.act(identity, "resume").status_code == 200, "it goes on already"
    if state == "planned":
        importer.work(identity)
    answer = importer.act(identity, verb, {"plan": "0" * 64} if verb == "apply" else None)
    assert (answer.status_code, answer.json()["error_code"]) == (409, "import_state")
    assert state in answer.json()["message"]


def test_a_second_apply_rollback_or_cancel_says_what_is_and_what_was_done(importer: Importer) -> None:
    """And an action that comes too late, what to do instead: never that the plan changed."""
    planned = importer.plan(importer.body(1), importer.body(2))
    identity, plan = planned["id"], {"plan": planned["plan"]["hash"]}

    def say(verb: str) -> tuple[int, str]:
        answer = importer.act(identity, verb, plan if verb == "apply" else None)
        return answer.status_code, answer.json()["message"]

    assert say("apply") == (202, "Import is being applied")
    importer.work(UUID(identity))
    assert say("apply") == (202, "Import is applied (2 created)")
    status, message = say("cancel")
    assert (status, message.partition(":")[0]) == (409, "The import is applied (2 created)")
    assert message.endswith("Roll it back to cancel its posts.")
    assert say("rollback") == (202, "Import is being rolled back (2 created)")
    importer.work(UUID(identity))
    assert say("rollback") == (202, "Import is rolled back (2 created, 2 cancelled)")
    plan["plan"] = "0" * 64
    assert say("apply") == (
        409,
        "The import is rolled back (2 created, 2 cancelled): apply needs one that is planned. "
        "Send the file again for a new plan.",
    )


def test_a_stranger_moves_nothing(importer: Importer) -> None:
    identity = importer.upload(write_lines(importer.body()))
    importer.tenant.key = importer.server.tenant().key
    for name in (identity, ABSENT, "x"):
        assert importer.act(name, "cancel").status_code == 404
