"""Steering over HTTP with real workers: jobs of the same deliveries keep the order in which they were confirmed."""

from __future__ import annotations

from typing import Any

import requests

from pipeline.store.database import rows
from tests.flow.ledger import caption
from tests.stack import Stack, until

POSTS = 15


def send(stack: Stack, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = requests.request(
        method,
        f"{stack.api}/api/partner/v1/posts/steer{path}",
        json=body,
        timeout=60,
        headers={"Authorization": f"Bearer {stack.key}"},
    )
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def confirm(stack: Stack, *verbs: str) -> list[dict[str, Any]]:
    """Confirm these verbs for the account one right after the other, and wait for the ends of the jobs."""
    chosen = {"account_id": str(stack.accounts["tiktok"])}
    jobs = [
        send(stack, "POST", "", {"verb": verb, "filter": chosen, "confirm": True})["job"] for verb in verbs
    ]
    for job in jobs:
        assert job["selected"] == POSTS
    return [finish(stack, job["id"]) for job in jobs]


def finish(stack: Stack, job: str) -> dict[str, Any]:
    def find_done() -> dict[str, Any] | None:
        found = send(stack, "GET", f"/{job}")
        return found if found["state"] == "done" else None

    return until(find_done, 60)


def count_paused(stack: Stack) -> int:
    with stack.context.database.begin() as c:
        sql = """SELECT h.delivery_id FROM paused_deliveries h JOIN deliveries d ON d.id = h.delivery_id
                 WHERE d.account_id = :a"""
        return len(rows(c, sql, a=stack.accounts["tiktok"]))


def test_pause_and_resume_right_after_each_other(stack: Stack) -> None:
    for _ in range(POSTS):
        stack.create_post(caption(), "tiktok", scheduled_at="2090-01-01T00:00:00Z")
    pause, resume = confirm(stack, "pause", "resume")
    assert (pause["done"], resume["done"], count_paused(stack)) == (POSTS, POSTS, 0)
    _, resume, again = confirm(stack, "pause", "resume", "pause")
    assert (again["done"], again["skipped"], count_paused(stack)) == (POSTS, 0, POSTS)
    assert resume["done"] + resume["skipped"] == POSTS
    listed = send(stack, "GET", "?limit=2")["jobs"]
    assert [job["id"] for job in listed] == [again["id"], resume["id"]]
    [cancel] = confirm(stack, "cancel")
    assert (cancel["done"], count_paused(stack)) == (POSTS, 0)
