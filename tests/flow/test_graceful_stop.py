"""Workers told to stop in the midst of work: gone in their time, with status 0; the rest is somebody else's at once.

The sandbox's ledger judges that each post is live once. That nothing had to be rescued (no lease ran out, no crash was
counted) is told by the moves: a rescue is one.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from pipeline.queues import PUBLISH
from pipeline.store.database import rows
from tests.flow.ledger import caption, slideshow, states_of
from tests.flow.test_failpoints import _points
from tests.stack import FAST, Stack, until

SHUTDOWN = float(FAST["SLIPWAY_WORKER__SHUTDOWN"])
SLACK = 10
"""Seconds beyond its time that a worker gets to close its lines, on a machine that is busy with other tests."""
LONG = {"SLIPWAY_PUBLISH__LEASE": "120", "SLIPWAY_REACHABILITY__LEASE": "120"}
"""Leases that would keep what was not handed back for longer than these tests wait."""


def start(stack: Stack, name: str, group: str = "publish", **more: str) -> None:
    """As production does."""
    stack.start(name, "pipeline.cli", "worker", group, "--slots", "4", "--name", f"{name}@%h", **more)
    until(lambda: f"{name}@" in (text := said(stack, name)) and "ready" in text, 60)


def said(stack: Stack, name: str) -> str:
    return (stack.folder / f"{name}.log").read_text()


def stops(stack: Stack, name: str) -> None:
    """SIGTERM to the one process; it must be gone in its time."""
    stack.parts[name].send_signal(signal.SIGTERM)
    assert stack.parts[name].wait(SHUTDOWN + SLACK) == 0, said(stack, name)


def rescues(stack: Stack, *posts: str) -> list[Any]:
    with stack.core.database.begin() as c:
        return rows(
            c,
            """SELECT m.target, d.crashes FROM moves m JOIN deliveries d ON d.id = m.delivery_id
               WHERE d.post_id = ANY(CAST(:posts AS uuid[])) AND m.mover = 'rescue'""",
            posts=[UUID(post) for post in posts],
        )


def test_forty_posts_with_a_worker_stopped_among_them_are_live_once_and_nothing_was_rescued(
    stack: Stack,
) -> None:
    text = caption()
    stack.kill("publish")
    start(stack, "first", SLIPWAY_PUBLISH__LEASE="120")
    stack.fault("linkedin", "finalize", "latency", times=None, delay_ms=1000)
    posts = [stack.accepted(f"{text} {n}.", "linkedin") for n in range(40)]
    until(lambda: len(stack.live(text)) >= 4, 60)
    stops(stack, "first")
    assert len(stack.live(text)) < 40, "it stopped in the midst"
    assert stack.core.pulse.length(PUBLISH["linkedin"]) > 20, "the broker has what it did not begin"  # type: ignore[operator, index]
    stack.control("DELETE", "faults")
    start(stack, "second", **LONG)
    for post in posts:
        stack.becomes(post, "posted", 60)
    assert sorted(line["caption"] for line in stack.live(text)) == sorted(f"{text} {n}." for n in range(40))
    assert rescues(stack, *posts) == []
    assert not any("unknown" in states_of(stack, post) for post in posts)
    stops(stack, "second")


def test_what_hangs_when_the_time_is_over_is_handed_back_and_live_once(stack: Stack, tmp_path: Path) -> None:
    """Threads that hang where nothing is armed, after arm, and in a look; each in a post of its own."""
    stack.kill("publish")
    where = {"publish.claimed": "instagram", "publish.armed": "tiktok", "status.claimed": "linkedin"}
    points = _points(tuple(where), tmp_path).replace("=kill@", "=hang@")
    start(stack, "first", FAILPOINTS=points, **LONG)
    texts, posts = [], []
    for name, platform in where.items():
        texts.append(caption())
        posts.append(stack.accepted(texts[-1], platform))
        until((tmp_path / name).exists, 30)
    stops(stack, "first")
    start(stack, "second", **LONG)
    for text, post in zip(texts, posts, strict=True):
        stack.becomes(post, "posted", 60)
        assert len(stack.live(text)) == 1
    unarmed, armed, looked = posts
    assert rescues(stack, unarmed, looked) == []
    assert [r.target for r in rescues(stack, armed)] == ["unknown"], "its call was cut: looked at, not sent"
    stops(stack, "second")


def test_a_worker_killed_while_it_hands_back_loses_nothing(stack: Stack, tmp_path: Path) -> None:
    text = caption()
    stack.kill("publish")
    points = f"publish.claimed=hang@{tmp_path / 'hangs'},publish.handed-back=kill@{tmp_path / 'dies'}"
    start(stack, "first", FAILPOINTS=points, **LONG)
    post = stack.accepted(text, "tiktok", media=slideshow(stack))
    until((tmp_path / "hangs").exists, 30)
    stack.parts["first"].send_signal(signal.SIGTERM)
    assert stack.parts["first"].wait(SHUTDOWN + SLACK) == -signal.SIGKILL
    assert (tmp_path / "dies").exists()
    start(stack, "second")
    stack.becomes(post, "posted", 60)
    assert len(stack.live(text)) == 1
    stops(stack, "second")


def test_a_check_under_way_when_the_time_is_over_is_another_worker_s_at_once(
    stack: Stack, tmp_path: Path
) -> None:
    stack.kill("reachability")
    start(
        stack, "first", "reachability", FAILPOINTS=f"reachability.claimed=hang@{tmp_path / 'hangs'}", **LONG
    )
    text, media = caption(), {"type": "video", "url": stack.media(f"sample.mp4?unseen={uuid4().hex}")}
    post = stack.accepted(text, "tiktok", media=media)
    assert (tmp_path / "hangs").exists()
    assert stack.read(post)["status"] == "pending"
    stops(stack, "first")
    stack.start_worker("reachability")
    stack.becomes(post, "posted", 60)
    assert len(stack.live(text)) == 1
