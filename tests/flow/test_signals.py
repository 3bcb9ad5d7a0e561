"""What a running system tells: numbers at /metrics, and lines in its logs."""

from __future__ import annotations

import re

import requests

from tests.flow.ledger import caption, delivery
from tests.stack import Stack, until


def read_metric(stack: Stack, name: str, **labels: str) -> float:
    """Return the sum of a metric's samples that have these labels."""
    text = requests.get(f"{stack.api}/metrics", timeout=30).text
    lines = re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", text, re.MULTILINE)
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return sum(float(value) for given, value in lines if all(word in given for word in wanted))


def test_one_post_is_counted_and_followed_by_grep_in_the_logs_of_the_processes_that_handled_it(
    stack: Stack,
) -> None:
    def read_settled() -> float:
        return read_metric(stack, "slipway_deliveries_settled_total", outcome="published")

    before = read_settled()
    stack.fault("tiktok", "any", "5xx")
    answer = stack.post(
        caption=(text := caption()),
        media={"type": "video", "url": stack.media("sample.mp4")},
        accounts=[{"id": str(stack.accounts["tiktok"])}],
    )
    post, request = answer.json()["data"]["id"], answer.headers["X-Request-Id"]
    stack.await_status(post, "posted", 60)
    ids = (f"post={post}", f"delivery={delivery(stack, post)}", f"request_id={request}")

    def grep(name: str) -> list[str]:
        lines = (stack.folder / f"{name}.log").read_text().splitlines()
        return [line for line in lines if all(one in line for one in ids)]

    [accepted] = until(lambda: grep("api") or None, 60)
    assert "request method=POST" in accepted
    [retried] = until(lambda: grep("publish") or None, 60)
    assert "retry state=retrying" in retried
    # The counter may rise by an earlier test's post that is counted only now: the log names the post.
    [published] = until(lambda: grep("upkeep") or None, 60)
    assert re.findall(r"outcome=(\w+) platform=(\w+)", published) == [("published", "tiktok")]
    until(lambda: read_settled() > before, 60)
    assert read_metric(stack, "slipway_delivery_lateness_seconds_count") >= 1
    assert not [log for log in stack.folder.glob("*.log") if text in log.read_text()]
