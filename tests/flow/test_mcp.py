"""An agent over MCP, from its plan to the platform: the sandbox's ledger has one post, whatever it repeats."""

from __future__ import annotations

from uuid import uuid4

from tests.pipeline.mcp.client import Agent
from tests.stack import Stack, until


def test_an_agent_is_refused_plans_and_commits_twice_and_one_post_is_live(stack: Stack) -> None:
    agent = Agent(stack.api, stack.key)
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
    until(lambda: agent.call("get_post", post_id=first["id"])["status"] == "posted", 40)
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
    assert told == ["post.scheduled", "delivery.published", "post.posted"]
