"""Every operation that changes something writes an audit row with its request, and a new one cannot forget to."""

from __future__ import annotations

from typing import Any

import pytest
import requests

from pipeline.api.app import OPERATIONS
from pipeline.api.openapi.sample_requests import find_sample_request
from pipeline.store.database import Database, rows
from tests.pipeline.accounts.consent_page import (
    OAuthWorkspace,
    build_stack_fixture,
    grant_consent,
    press_decline,
    tick_accounts,
)
from tests.pipeline.api.accounts.test_connect import start_url, visit
from tests.pipeline.api.operator.test_dead_letters import TOKEN, URL, dead
from tests.pipeline.api.reference.scene import ORDER, SETTINGS, arrange
from tests.pipeline.api.reference.test_recorded_answers import operations, send
from tests.pipeline.api.running_server import BASE, Server, ask, video
from tests.stack import Stack

CHANGES_NOTHING = {
    "createPost": "a new post is its own record",
    "createPosts": "new posts are their own records",
    "validatePost": "stores nothing",
}
"""Operations that are no GET and write no row, with the reason."""
ELSEWHERE = {
    "connectChoice",
    "connectDeauthorize",
    "replayDeadLetters",
    "discardDeadLetters",
    "stopSteeringJob",
}
"""Operations that the samples do not get to change anything: tests of their own below."""


SERVER_SETTINGS = {**SETTINGS, "SLIPWAY_API__OPERATOR_TOKEN": TOKEN}


def list_of(database: Database, answer: requests.Response) -> list[Any]:
    """Return the audit rows of the request of this answer."""
    with database.begin() as c:
        return rows(c, "SELECT * FROM audit WHERE request_id = :id", id=answer.headers["X-Request-Id"])


def test_every_operation_that_changes_something_is_recorded_with_its_request(server: Server) -> None:
    changing = {one.id for one in OPERATIONS if one.method != "GET"} - CHANGES_NOTHING.keys()
    scene, known, recorded = arrange(server), operations(), dict[str, Any]()
    for name in ORDER:
        method, path, _ = known[name]
        answer = send(scene, method, path, find_sample_request(name))
        recorded[name] = list_of(server.context.database, answer)
        if answer.headers["Content-Type"] == "application/json":
            scene.learn(name, answer.json()["data"])
    for name in changing - ELSEWHERE:
        assert recorded.get(name), f"{name} changes something: call record_change in its transaction"
        for one in recorded[name]:
            assert (one.actor_kind, one.address) == ("key", "127.0.0.1"), name
            assert one.workspace_id == scene.tenant.workspace, name
            assert one.actor_name == (
                "an upload URL" if name == "putFile" else scene.tenant.key.partition(".")[0]
            )
    for name in recorded.keys() - changing:
        assert recorded[name] == [], f"{name} changes nothing"
    assert recorded["updatePost"][0].after == {"caption": "Our new mug, in four colours"}


@pytest.mark.parametrize(("verb", "more"), [("replay", {}), ("discard", {"why": "over"})])
@pytest.mark.parametrize("is_operator", [True, False])
def test_dead_letters_are_recorded(
    server: Server, verb: str, more: dict[str, str], *, is_operator: bool
) -> None:
    tenant = server.tenant()
    letter = dead(server, tenant)
    who = TOKEN if is_operator else tenant.key
    answer = ask(server, who, "POST", f"{URL}/{verb}", {"ids": [letter], **more})
    found = list_of(server.context.database, answer)
    assert {x.kind for x in found} == {"steering job", "post"}
    name = "the operator" if is_operator else tenant.key.partition(".")[0]
    for x in found:
        assert (x.verb, x.actor_name, x.address) == (verb, name, "127.0.0.1")
        assert x.workspace_id == tenant.workspace


stack = build_stack_fixture()


def test_accounts_that_are_confirmed_are_recorded_as_the_key_that_began(stack: Stack) -> None:
    home = OAuthWorkspace.new(stack)
    one, two = home.add_person("facebook"), home.add_person("facebook")
    page = visit(grant_consent(start_url(home, "facebook"), f"{one},{two}"))
    assert list_of(stack.context.database, page) == [], "nothing is changed before the person confirms"
    found = list_of(stack.context.database, tick_accounts(page, one, two))
    assert [(x.verb, x.kind, x.actor_id, x.address) for x in found] == [
        ("connect", "account", home.key_id, "127.0.0.1")
    ] * 2
    assert {x.after["username"] for x in found} == {one, two}
    assert {x.subject for x in found} == {str(a.id) for a in home.accounts()}


def test_a_sign_in_that_is_declined_is_recorded(stack: Stack) -> None:
    home = OAuthWorkspace.new(stack)
    page = visit(grant_consent(start_url(home, "tiktok"), home.add_person("tiktok")))
    [found] = list_of(stack.context.database, press_decline(page))
    assert (found.verb, found.kind, found.actor_id) == ("decline", "sign-in", home.key_id)


def test_a_stopped_steering_job_is_recorded(server: Server) -> None:
    tenant = server.tenant()
    server.post(video(tenant, scheduled_at="2090-01-01T00:00:00Z"), tenant.key)
    counted: dict[str, Any] = {}
    for _ in range(2):  # the count, then the job by its token
        token = {"token": counted["token"]} if counted else {}
        body = {"verb": "pause", "filter": {"account_id": tenant.accounts["tiktok"]}, **token}
        counted = ask(server, tenant.key, "POST", "/posts/steer", body).json()["data"]
    answer = server.send("POST", f"{BASE}/posts/steer/{counted['job']['id']}/stop", tenant.key)
    assert answer.json()["data"]["state"] == "stopped"
    [one] = list_of(server.context.database, answer)
    assert (one.actor_kind, one.workspace_id) == ("key", tenant.workspace)
