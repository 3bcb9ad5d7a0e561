"""What a running system tells: numbers at /metrics, a line in the log, and the silence of a worker that is frozen."""

from __future__ import annotations

import re
import signal

import requests

from tests.flow.ledger import caption
from tests.stack import Stack, until


def read_metric(stack: Stack, name: str, **labels: str) -> float:
    """Return the sum of a metric's samples that have these labels."""
    text = requests.get(f"{stack.api}/metrics", timeout=30).text
    lines = re.findall(rf"^{name}(?:\{{(.*)\}})? (\S+)$", text, re.MULTILINE)
    wanted = [f'{label}="{value}"' for label, value in labels.items()]
    return sum(float(value) for given, value in lines if all(word in given for word in wanted))


def test_what_goes_live_is_counted_and_logged_with_the_request_that_made_it(stack: Stack) -> None:
    def read_settled() -> float:
        return read_metric(stack, "slipway_deliveries_settled_total", outcome="published")

    def read_log() -> str:
        return (stack.folder / "upkeep.log").read_text()

    before = read_settled()
    answer = stack.post(
        caption=(text := caption()),
        media={"type": "video", "url": stack.media("sample.mp4")},
        accounts=[{"id": str(stack.accounts[p])} for p in ("tiktok", "instagram")],
    )
    post, request = answer.json()["data"]["id"], answer.headers["X-Request-Id"]
    stack.await_status(post, "posted")

    def read_lines() -> list[str]:
        return [line for line in read_log().splitlines() if f"post={post}" in line]

    # The counter may rise by an earlier test's post that is counted only now: the log names the post.
    until(lambda: len(read_lines()) >= 2 and read_settled() >= before + 2, 60)
    assert read_metric(stack, "slipway_delivery_lateness_seconds_count") >= 2
    lines = read_lines()
    assert sorted(re.findall(r"outcome=(\w+) platform=(\w+)", "\n".join(lines))) == [
        ("published", "instagram"),
        ("published", "tiktok"),
    ]
    assert all(f"request_id={request}" in line for line in lines)
    assert text not in read_log()


def test_one_post_is_followed_by_grep_in_the_logs_of_the_processes_that_handled_it(stack: Stack) -> None:
    stack.fault("tiktok", "any", "5xx")
    answer = stack.post(
        caption=(text := caption()),
        media={"type": "video", "url": stack.media("sample.mp4")},
        accounts=[{"id": str(stack.accounts["tiktok"])}],
    )
    post, request = answer.json()["data"]["id"], answer.headers["X-Request-Id"]
    stack.await_status(post, "posted", 60)
    with stack.context.database.begin() as c:
        delivery = c.exec_driver_sql("SELECT id FROM deliveries WHERE post_id = %s", (post,)).scalar_one()

    def grep(name: str) -> list[str]:
        ids = (f"post={post}", f"delivery={delivery}", f"request_id={request}")
        lines = (stack.folder / f"{name}.log").read_text().splitlines()
        return [line for line in lines if all(one in line for one in ids)]

    [accepted] = until(lambda: grep("api") or None, 60)
    assert "request method=POST" in accepted
    [retried] = until(lambda: grep("publish") or None, 60)
    assert "retry state=retrying" in retried
    [published] = until(lambda: grep("upkeep") or None, 60)
    assert "outcome=published" in published
    assert not [log for log in stack.folder.glob("*.log") if text in log.read_text()]


def test_a_frozen_worker_is_silent_and_its_counters_get_old(stack: Stack) -> None:
    """The alerts SlipwayQueueSilent and SlipwayCountsStale read these two."""
    until(lambda: read_metric(stack, "slipway_queue_silence_seconds", queue="upkeep") < 5, 60)
    stack.kill("upkeep", signal.SIGSTOP, wait=False)
    try:
        until(lambda: read_metric(stack, "slipway_queue_silence_seconds", queue="upkeep") > 10, 60)
        until(lambda: read_metric(stack, "slipway_count_age_seconds") > 10, 60)
        assert read_metric(stack, "slipway_queue_silence_seconds", queue="publish.tiktok") < 10
    finally:
        stack.kill("upkeep", signal.SIGCONT, wait=False)
    until(lambda: read_metric(stack, "slipway_count_age_seconds") < 5, 60)
