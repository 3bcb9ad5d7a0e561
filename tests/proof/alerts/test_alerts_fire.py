"""Freeze, kill and starve each part of a running system: the alert of its runbook fires, and ends after the mend.

Prometheus and Alertmanager are real, with the files of config/; only their times are divided by ``FACTOR``. Each row of
``ROUNDS`` happens at once, on one system. Nothing else fires than what follows from it, so an alert names its part.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count

import pytest
import requests

from pipeline.broker.queues import ALL_QUEUES, WORKER_GROUPS
from tests import broker_outages, database_outages
from tests.proof.alerts.prometheus import FACTOR, Alert
from tests.proof.alerts.scene import (
    GROUPS,
    Fault,
    Scene,
    block_epoch_file,
    freeze,
    keep_moves_open,
    kill,
    leave_out,
    on_broker,
    on_database,
    refuse_facebook,
)
from tests.stack import until

WITHIN = 90
"""Seconds of an idle machine in which every alert of a round fires; those of the longest ``for`` need half of it."""
POLL = 0.5
HEALTHY_MINUTES = int(os.environ.get("SLIPWAY_HEALTHY_MINUTES", "12"))
"""Minutes of the rules in which a healthy system fires nothing: a fifth of an hour, an hour when asked for."""
BURST = 20
TIKTOK_POSTS = 15
"""What TikTok takes of an account in a day."""
TIKTOK_WITHIN = 300
"""Seconds of an idle machine in which it takes them, at six requests a minute, and the rest have been told of it."""
AFTERWARDS = {"LatenessFastBurn", "LatenessSlowBurn", "BacklogStuck"}
"""What a post that is held up for long tells, and still tells when it has gone out late."""


def silent(*queues: str) -> list[Alert]:
    """Return an alert for each of these queues."""
    return [("QueueSilent", queue) for queue in queues]


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """Faults at once; platforms to which a post is due then, and live after the mend; the alerts that must fire."""

    faults: Sequence[Fault]
    posts: Sequence[str] = ()
    alerts: Sequence[Alert]
    others: Sequence[Alert] = ()
    """Alerts that follow, and may fire."""


LATE = ("Overdue", "tiktok")
NOTHING_RUNS: Sequence[Alert] = [("CanariesLost", ""), *silent(*ALL_QUEUES), ("SendGuardClosed", "")]
"""No worker takes anything: it does not renew the epoch either."""
RECOVERY: Sequence[Alert] = [
    *NOTHING_RUNS,
    ("CountsStale", ""),
    ("BeatStopped", ""),
    ("MonitorDown", "flower"),
]
"""What is told until the workers have found the engines again; some end, and are started anew."""
ROUNDS = {
    "freeze publish, beat and flower": Round(
        faults=[freeze("publish"), freeze("beat"), freeze("flower")],
        posts=["tiktok"],
        alerts=[
            *silent(*WORKER_GROUPS["publish"]),
            LATE,
            ("BeatStopped", ""),
            ("MonitorDown", "flower"),
        ],
    ),
    "freeze reachability and upkeep": Round(
        faults=[freeze("reachability"), freeze("upkeep")],
        alerts=[*silent(*WORKER_GROUPS["reachability"], *WORKER_GROUPS["upkeep"]), ("CountsStale", "")],
    ),
    "kill all workers, beat and flower": Round(
        faults=[*map(kill, (*GROUPS, "beat", "flower"))],
        posts=["tiktok"],
        alerts=[
            *NOTHING_RUNS,
            ("CountsStale", ""),
            LATE,
            ("BeatStopped", ""),
            ("MonitorDown", "flower"),
        ],
    ),
    "starve queues and the export": Round(
        faults=[
            leave_out("publish", "publish.tiktok"),
            leave_out("reachability", "reachability.bulk"),
            leave_out("upkeep", "imports"),
            keep_moves_open,
        ],
        posts=["tiktok"],
        alerts=[*silent("publish.tiktok", "reachability.bulk", "imports"), ("CountsStale", ""), LATE],
    ),
    # without the export a delivery that is tried again is seen only in the moment of its try
    "starve a platform": Round(
        faults=[refuse_facebook], posts=["facebook"], alerts=[("Overdue", "facebook")]
    ),
    "starve the epoch file": Round(faults=[block_epoch_file], alerts=[("SendGuardClosed", "")]),
    "freeze the api": Round(faults=[freeze("api")], alerts=[("ServiceDown", "api")]),
    "kill the api": Round(faults=[kill("api")], alerts=[("ServiceDown", "api")]),
    "freeze the engines": Round(
        faults=[on_database(database_outages.hung), on_broker(broker_outages.hung)],
        alerts=[("PartDown", "database"), ("PartDown", "broker")],
        others=RECOVERY,
    ),
    "kill the engines": Round(
        faults=[on_database(database_outages.dead), on_broker(broker_outages.dead)],
        alerts=[("PartDown", "database"), ("PartDown", "broker")],
        others=RECOVERY,
    ),
    "starve the broker of memory": Round(
        faults=[on_broker(broker_outages.full)],
        alerts=[*NOTHING_RUNS, ("CountsStale", ""), ("BeatStopped", "")],
    ),
    "starve the database of writes": Round(
        faults=[on_database(database_outages.read_only)],
        alerts=[*NOTHING_RUNS, ("CountsStale", "")],
        others=[("BeatStopped", "")],
    ),
}


@pytest.mark.timeout(1200)
def test_a_healthy_system_with_bursts_quotas_and_processing_videos_fires_nothing(scene: Scene) -> None:
    """Each burst is more than TikTok takes in a day, and meets a busy platform; videos are processed for a while.

    Bursts end once Facebook's calls of the hour are used up, if that is before the time is over.
    """
    stack, end = scene.stack, time.monotonic() + HEALTHY_MINUTES * 60 / FACTOR
    until(lambda: not scene.prometheus.list_firing(), WITHIN, poll=POLL)
    stack.accounts["bursts"] = stack.connect("tiktok", "bursts", name="bursts")
    posts: list[str] = []
    number = count()
    while time.monotonic() < end and not count_held(scene, posts, "facebook", "rate"):
        stack.fault("facebook", "prepare", "429", times=2)
        posts += [stack.create_post(f"burst {next(number)}", "bursts", "facebook") for _ in range(BURST)]
        for post in posts[-BURST:]:
            await_settled(scene, post)
            assert scene.prometheus.list_firing() == set()

    def is_over() -> bool:
        assert scene.prometheus.list_firing() == set()
        held = count_held(scene, posts, "tiktok", "daily_quota")
        return time.monotonic() >= end and held == len(posts) - TIKTOK_POSTS

    left = max(0.0, end - time.monotonic())
    until(is_over, left + TIKTOK_WITHIN, lambda: f"TikTok: {list_states(scene, posts)}", POLL)
    assert [alert for status, alert, _ in scene.list_received() if status == "firing"] == []


@pytest.mark.parametrize("name", ROUNDS)
def test_the_alert_of_each_part_fires_and_ends(scene: Scene, name: str) -> None:
    wanted, may = set(ROUNDS[name].alerts), {*ROUNDS[name].alerts, *ROUNDS[name].others}
    until(lambda: not without(scene.prometheus.list_firing(), AFTERWARDS), WITHIN, poll=POLL)
    scene.list_received()
    with ExitStack() as faults:
        for fault in ROUNDS[name].faults:
            faults.enter_context(fault(scene))
        posts = [scene.stack.create_post(f"due in: {name}", platform) for platform in ROUNDS[name].posts]
        until(
            lambda: wanted <= scene.prometheus.list_firing(),
            WITHIN,
            lambda: f"these do not fire: {wanted - scene.prometheus.list_firing()}",
            POLL,
        )
        more = without(scene.prometheus.list_firing(), AFTERWARDS) - may
    until(
        lambda: have_ended(scene, wanted),
        WITHIN,
        lambda: f"these do not end: {wanted & scene.prometheus.list_firing()}",
        POLL,
    )
    for post in posts:
        scene.stack.await_status(post, "posted", WITHIN)
    assert not more, "an alert that names another part"
    sent = scene.list_received()
    assert {alert for status, alert, _ in sent if status == "firing"} <= {
        alert for alert, _ in may
    } | AFTERWARDS
    for link in {link for *_, link in sent}:
        page, _, section = link.partition("#")
        assert f'id="{section}"' in requests.get(page, timeout=30).text


def await_settled(scene: Scene, post: str) -> None:
    """Wait until Facebook has published this post, or holds it until its hour is over."""

    def is_settled() -> bool:
        found = scene.stack.state(post, "facebook")
        return any((found["state"] == "published", found["held_for"] == "rate"))

    until(is_settled, WITHIN, lambda: f"Facebook: {scene.stack.state(post, 'facebook')}", POLL)


def count_held(scene: Scene, posts: Iterable[str], platform: str, hold: str) -> int:
    """Return how many of these posts wait for the platform for this reason."""
    return [scene.stack.state(post, platform)["held_for"] for post in posts].count(hold)


def list_states(scene: Scene, posts: Iterable[str]) -> Counter[tuple[str, str | None]]:
    """Return how many of these posts are in which state at TikTok, and held for what."""
    found = [scene.stack.state(post, "tiktok") for post in posts]
    return Counter((state["state"], state["held_for"]) for state in found)


def have_ended(scene: Scene, alerts: set[Alert]) -> bool:
    """Return whether none of these fires any more; start what has ended by itself."""
    scene.restart_ended()
    return not alerts & scene.prometheus.list_firing()


def without(alerts: Iterable[Alert], names: Iterable[str]) -> set[Alert]:
    """Return the alerts that have none of these names."""
    return {(name, subject) for name, subject in alerts if name not in names}
