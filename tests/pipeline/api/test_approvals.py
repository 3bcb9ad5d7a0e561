"""A key that needs approval, at each door over HTTP: what it writes waits. And what a key that may approve does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from pipeline.actions.steer_step import run_steering_step
from pipeline.domain.account import KeyLimits
from tests.pipeline.api.imports.importing import Importer
from tests.pipeline.api.reference.scene import fail
from tests.pipeline.api.running_server import Server, Tenant, ask, code, video
from tests.pipeline.api.test_mandate import Writer, later


@pytest.fixture
def agent(server: Server, tenant: Tenant) -> Writer:
    """A key that needs approval; ``made`` makes posts by another one."""
    key = server.key(tenant, limits=KeyLimits(needs_approval=True))
    body = video(tenant, scheduled_at=later(days=2))
    return Writer(server=server, tenant=tenant, key=key, body=body)


def approver(agent: Writer) -> str:
    return agent.server.key(agent.tenant, limits=KeyLimits(may_approve=True))


def create(by: Writer) -> str:
    return str(by.ask("POST", "/posts", by.body).json()["data"]["id"])


def create_many(by: Writer) -> str:
    [result] = by.ask("POST", "/posts/batch", {"posts": [by.body]}).json()["data"]["results"]
    return str(result["data"]["id"])


def edit(by: Writer) -> str:
    post = by.made()
    assert by.ask("PATCH", f"/posts/{post}", {"caption": "Other words"}).status_code == 200
    return post


def schedule(by: Writer) -> str:
    draft = by.made(draft=True, scheduled_at=None)
    assert by.ask("POST", f"/posts/{draft}/schedule", {"scheduled_at": later(days=2)}).status_code == 200
    return draft


def retry(by: Writer) -> str:
    post = by.made()
    fail(by.server, post)
    assert by.ask("POST", "/posts/retry", {"post_ids": [post]}).json()["data"]["ids"] == [post]
    return post


def steer(verb: str, before: str = "", **more: Any) -> Callable[[Writer], str]:
    def door(by: Writer) -> str:
        post = by.made()
        if verb == "retry":
            fail(by.server, post)
        for one, key in ((before, by.tenant.key), (verb, by.key)):
            if one:
                asked = {"verb": one, "filter": {"platform": "tiktok"}, "confirm": True}
                asked |= more if one == verb else {}
                job = ask(by.server, key, "POST", "/posts/steer", asked).json()["data"]["job"]["id"]
                run_steering_step(by.server.context, UUID(job))
        return post

    return door


def undo(by: Writer) -> str:
    post = by.made()
    asked = {"verb": "cancel", "filter": {"platform": "tiktok"}, "confirm": True}
    job = ask(by.server, by.tenant.key, "POST", "/posts/steer", asked).json()["data"]["job"]["id"]
    run_steering_step(by.server.context, UUID(job))
    undone = by.ask("POST", f"/posts/steer/{job}/undo").json()["data"]["id"]
    run_steering_step(by.server.context, UUID(undone))
    return post


def import_rows(by: Writer) -> str:
    importer = Importer(server=by.server, tenant=Tenant(workspace=by.tenant.workspace, key=by.key))
    plan = importer.plan(by.body)
    assert importer.act(plan["id"], "apply", {"plan": plan["plan"]["hash"]}).ok
    importer.work(UUID(plan["id"]))
    return str(importer.posts()[-1].id)


DOORS: dict[str, Callable[[Writer], str]] = {
    "createPost": create,
    "createPosts": create_many,
    "updatePost": edit,
    "schedulePost": schedule,
    "retryPosts": retry,
    "steerPosts: reschedule": steer("reschedule", shift_seconds=60),
    "steerPosts: retry": steer("retry"),
    "steerPosts: resume": steer("resume", "pause"),
    "undoSteeringJob": undo,
    "applyImport": import_rows,
}
"""By operation. Each returns a post that the key sends, or changes, or sends again."""


@pytest.mark.parametrize("door", DOORS)
def test_what_such_a_key_sends_by_any_door_waits(agent: Writer, door: str) -> None:
    post = DOORS[door](agent)
    found = agent.ask("GET", f"/posts/{post}/approval").json()["data"]
    assert found["state"] == "needed"
    answer = agent.ask("POST", f"/posts/{post}/approve", {"hash": found["hash"]})
    assert code(answer) == (403, "mandate_exceeded")


def settle_checks(agent: Writer, post: str) -> None:
    """As if its media had been checked."""
    agent.server.sql(
        "UPDATE deliveries SET state = 'scheduled' WHERE post_id = :id RETURNING id", id=UUID(post)
    )


def test_a_key_that_may_approves_what_it_has_seen(agent: Writer) -> None:
    post, key = create(agent), approver(agent)
    path = f"/posts/{post}"

    def say(verb: str, **body: Any) -> Any:
        return ask(agent.server, key, "POST", f"{path}/{verb}", body)

    def held_for() -> Any:
        [account] = agent.ask("GET", path).json()["data"]["accounts"]["states"]
        return account["held_for"]

    assert code(say("approve", hash="0" * 64)) == (409, "approval_changed"), "its media are being checked"
    settle_checks(agent, post)
    shown = agent.ask("GET", f"{path}/approval").json()["data"]["hash"]
    assert held_for() == "approval"
    assert agent.ask("PATCH", path, {"caption": "Other words"}).ok
    settle_checks(agent, post)
    assert code(say("approve", hash=shown)) == (409, "approval_changed")
    shown = agent.ask("GET", f"{path}/approval").json()["data"]["hash"]
    assert say("send-back", hash=shown, why="The price is wrong.").json()["data"]["state"] == "sent_back"
    assert code(say("approve", hash=shown, now=True, scheduled_at=later(days=3))) == (422, "invalid_payload")
    done = say("approve", hash=shown)
    assert (done.json()["data"]["state"], done.json()["data"]["sent_back"]) == ("approved", None)
    assert say("approve", hash=shown).ok, "twice is once"
    assert held_for() is None


def test_what_the_mandate_refuses_is_in_the_audit(agent: Writer) -> None:
    post = create(agent)
    agent.ask("POST", f"/posts/{post}/approve", {"hash": "0" * 64})
    found = agent.server.sql(
        "SELECT * FROM audit WHERE verb = 'refuse' AND subject = :key", key=agent.key.partition(".")[0]
    )
    [one] = found
    assert (one.actor_kind, one.kind, one.after["path"]) == (
        "key",
        "key",
        f"/api/partner/v1/posts/{post}/approve",
    )
    assert one.after["refused"] == [
        "This key may not approve posts: a key with may_approve, or a person, does."
    ]
