"""An agent over MCP, from its plan to the platform: held, approved by another key, sent once, whatever it repeats."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import requests

from pipeline.domain.account import KeyLimits
from pipeline.store.auth.keys import Terms, create_key
from tests.pipeline.mcp.client import Agent
from tests.stack import Stack, until


def make_key(stack: Stack, name: str, limits: KeyLimits) -> str:
    with stack.context.database.begin() as c:
        return create_key(c, stack.workspace, name, Terms(limits=limits))


def ask(
    stack: Stack, key: str, method: str, path: str, body: dict[str, Any] | None = None
) -> requests.Response:
    url, headers = f"{stack.api}/api/partner/v1{path}", {"Authorization": f"Bearer {key}"}
    return requests.request(method, url, json=body, headers=headers, timeout=60)


def test_an_agent_is_refused_held_approved_and_commits_twice_and_one_post_is_live(stack: Stack) -> None:
    agent = Agent(stack.api, make_key(stack, "agent", KeyLimits(needs_approval=True)))
    caption = f"By an agent {uuid4().hex[:8]}"
    account = {"id": str(stack.accounts["tiktok"])}
    body = {
        "caption": caption,
        "media": {"type": "video", "url": stack.media("sample.mp4")},
        "accounts": [account],
    }
    start = agent.call("list_events")["next_cursor"]
    assert agent.refused("plan_post", **{**body, "caption": ""})["error_code"] == "invalid_payload"
    plan = agent.call("plan_post", **body)
    assert "Publish at tiktok account" in plan["words"]
    first, second = (agent.call("commit", token=plan["token"]) for _ in range(2))
    assert first["id"] == second["id"]

    path = f"/posts/{first['id']}/approval"
    shown = until(
        lambda: (a := ask(stack, agent.key, "GET", path).json()["data"])["hash"] and not a["checking"] and a,
        40,
    )
    assert (shown["state"], stack.state(first["id"], "tiktok")["held_for"]) == ("needed", "approval")
    answer = {"hash": shown["hash"], "now": True}
    assert ask(stack, agent.key, "POST", f"/posts/{first['id']}/approve", answer).status_code == 403
    assert stack.live(caption) == []
    boss = make_key(stack, "boss", KeyLimits(may_approve=True))
    assert ask(stack, boss, "POST", f"/posts/{first['id']}/approve", answer).status_code == 200
    until(lambda: agent.call("get_post", post_id=first["id"])["status"] == "posted", 40)
    assert agent.call("commit", token=plan["token"])["id"] == first["id"]
    assert len(stack.live(caption)) == 1
    told, place = list[str](), start

    def is_told() -> bool:
        nonlocal place
        found = agent.call("list_events", after=place, limit=100)
        place = found["next_cursor"]
        # of this post alone, as the stack serves other tests too; a busy one may hold it for a while
        mine = [e["type"] for e in found["events"] if e["data"]["post_id"] == first["id"]]
        told.extend(kind for kind in mine if kind != "delivery.held")
        return "post.posted" in told

    until(is_told, 20)
    # scheduled once more by the approval, which gave it a new time
    assert told == ["post.scheduled", "post.scheduled", "delivery.published", "post.posted"]
