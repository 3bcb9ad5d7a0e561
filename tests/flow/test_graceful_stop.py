"""Stop workers in the middle of work: they exit in time with status 0, and others continue their work at once.

The sandbox's ledger shows that each post is live once. The moves show that nothing was rescued: no lease expired and no
crash was counted.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable
from pathlib import Path
from uuid import UUID, uuid4

from adapters.contract import Platform
from pipeline.broker.queues import DELAY, PUBLISH, STATUS
from pipeline.store.database import rows
from tests.crash_table import Crashes, arm_failpoints, merge_armed
from tests.flow.ledger import caption, states_of
from tests.stack import FAST, Stack, until

SHUTDOWN = float(FAST["SLIPWAY_WORKER__SHUTDOWN"])
SLACK = 15
"""Seconds a worker may take beyond its shutdown time, on a machine busy with other tests."""
POSTS = 20
LONG = {"SLIPWAY_PUBLISH__LEASE": "120", "SLIPWAY_REACHABILITY__LEASE": "120"}
"""Leases longer than these tests wait: a delivery that is not handed back would fail them."""


def test_posts_with_a_worker_stopped_among_them_are_live_once_and_nothing_was_rescued(
    stack: Stack,
) -> None:
    text = caption()
    stack.kill("publish")
    start(stack, "first", "publish", **LONG)
    await_ready(stack, "first")
    stack.fault("linkedin", "finalize", "latency", times=None, delay_ms=500)
    posts = [stack.create_post(f"{text} {n}.", "linkedin") for n in range(POSTS)]
    until(lambda: len(stack.live(text)) >= 4, 60)
    assert stop_workers(stack, "first") == [0], read_log(stack, "first")
    assert len(stack.live(text)) < POSTS, "it stopped in the midst"
    stack.control("DELETE", "faults")
    start(stack, "second", "publish", **LONG)
    for post in posts:
        stack.await_status(post, "posted", 60)
    assert sorted(line["caption"] for line in stack.live(text)) == sorted(
        f"{text} {n}." for n in range(POSTS)
    )
    assert list_rescues(stack, *posts) == []
    assert not any("unknown" in states_of(stack, post) for post in posts)
    assert stop_workers(stack, "second") == [0], read_log(stack, "second")


def test_what_hangs_when_the_time_is_over_is_handed_back_and_live_once(
    stack: Stack, crashes: Crashes
) -> None:
    """Not armed, armed, in a look, in a check; and handed back by a worker that is killed before it can dispatch."""
    (crashes.folder / "dies").mkdir()
    stack.kill("publish")
    stack.kill("reachability")
    dies = merge_armed(
        arm_hangs(crashes.folder / "dies", "publish.claimed"), crashes.arm("publish.handed-back")
    )
    start(
        stack,
        "first",
        "publish",
        "--queues",
        queues("instagram", "tiktok", "linkedin", STATUS, DELAY),
        **arm_hangs(crashes.folder, "publish.claimed", "publish.armed", "status.claimed"),
        **LONG,
    )
    start(stack, "dies", "publish", "--queues", queues("facebook"), **dies, **LONG)
    start(stack, "checks", "reachability", **arm_hangs(crashes.folder, "reachability.claimed"), **LONG)
    await_ready(stack, "first", "dies", "checks")
    texts, posts = {}, {}
    for place, platform, name in (
        ("reachability.claimed", "youtube", f"sample.mp4?unseen={uuid4().hex}"),
        ("publish.claimed", "instagram", "sample.mp4"),
        ("publish.armed", "tiktok", "sample.mp4"),
        ("status.claimed", "linkedin", "sample.mp4"),
        ("dies/publish.claimed", "facebook", "sample.mp4"),
    ):
        texts[platform] = caption()
        posts[platform] = stack.create_post(
            texts[platform], platform, media={"type": "video", "url": stack.media(name)}
        )
        until((crashes.folder / place).exists, 30)

    assert stop_workers(stack, "first", "dies", "checks") == [0, -signal.SIGKILL, 0], read_log(stack, "first")
    assert crashes.has_reached("publish.handed-back")
    start(stack, "second", "publish", **LONG)
    stack.start_worker("reachability")
    for platform, post in posts.items():
        stack.await_status(post, "posted", 60)
        assert len(stack.live(texts[platform])) == 1
    armed = posts.pop("tiktok")
    assert list_rescues(stack, *posts.values()) == []
    assert list_rescues(stack, armed) == ["unknown"], "its call was cut: looked at, never sent again unseen"
    assert stop_workers(stack, "second") == [0], read_log(stack, "second")


def start(stack: Stack, name: str, *words: str, **more: str) -> None:
    """Start a worker as production does. *words*: its group and options."""
    stack.start(name, "pipeline.cli", "worker", *words, "--slots", "4", "--name", f"{name}@%h", **more)


def await_ready(stack: Stack, *names: str) -> None:
    until(lambda: all(" ready" in read_log(stack, name) for name in names), 60)


def stop_workers(stack: Stack, *names: str) -> list[int]:
    """Send SIGTERM to these workers and return their exit statuses; fail if one takes too long."""
    for name in names:
        stack.parts[name].send_signal(signal.SIGTERM)
    return [stack.parts[name].wait(SHUTDOWN + SLACK) for name in names]


def read_log(stack: Stack, name: str) -> str:
    return (stack.folder / f"{name}.log").read_text()


def queues(*names: str) -> str:
    return ",".join(PUBLISH[Platform(name)] if name in set(Platform) else name for name in names)


def arm_hangs(where: Path, *names: str) -> dict[str, str]:
    """Return variables that make one thread hang at each of these failpoints until its marker file is deleted."""
    return arm_failpoints({name: where / name for name in names}, "hang")


def list_rescues(stack: Stack, *posts: str) -> Iterable[str]:
    """Return the states into which maintenance has rescued deliveries of these posts."""
    with stack.context.database.begin() as c:
        found = rows(
            c,
            """SELECT m.target FROM moves m JOIN deliveries d ON d.id = m.delivery_id
               WHERE d.post_id = ANY(CAST(:posts AS uuid[])) AND m.mover = 'rescue'""",
            posts=[UUID(post) for post in posts],
        )
    return [r.target for r in found]
