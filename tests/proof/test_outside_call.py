"""Crash workers outside the visible call: schedule, media checks, accounts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from pipeline.broker.queues import DELAY
from pipeline.store.database import rows
from tests.proof.points import PROVEN
from tests.proof.scenario import ONE_PER_MESSAGE, CrashScenario
from tests.proof.targets import TARGETS, get_kind


def test_checks(scenario: CrashScenario) -> None:
    """Unchecked media, whose host fails first."""
    new = uuid4().hex
    video = {"type": "video", "url": scenario.stack.media(f"sample.mp4?{new}")}
    urls = [scenario.stack.media(f"sample-{n}.jpg?{new}") for n in (1, 2, 3)]
    media = {
        kind: {"type": "slideshow", "urls": some}
        for kind, some in (("slideshow", urls[:2]), ("photo", urls[2:]))
    }
    scenario.post("reachability", media={"video": video, **media})
    scenario.stack.fault("media", "media", "5xx", times=None)
    scenario.crash_workers("reachability.unanswered", subjects=checks(scenario), group="reachability")
    scenario.stack.control("DELETE", "faults")
    points = ("reachability.claimed", "reachability.seen", "reachability.decided")
    scenario.crash_workers(*points, subjects=checks(scenario), group="reachability")
    scenario.finish()


def checks(scenario: CrashScenario) -> dict[str, UUID]:
    """Return target -> the first check of its post."""
    with scenario.stack.context.database.begin() as c:
        found = {
            kind: rows(
                c, "SELECT check_id FROM post_checks WHERE post_id = :p AND position = 0", p=UUID(post)
            )
            for kind, post in scenario.posts.items()
        }
    return {target: found[get_kind(target)][0].check_id for target in TARGETS}


def test_too_late(scenario: CrashScenario) -> None:
    """Posts with ``on_late="skip"`` that are late."""
    hours = [(datetime.now(UTC) + timedelta(hours=n)).isoformat() for n in (1, 2)]
    scenario.post(scheduled_at=hours[0], expires_at=hours[1], on_late="skip")
    with scenario.stack.context.database.begin() as c:
        sql = "UPDATE posts SET expires_at = now() - interval '1 s' WHERE id = ANY(CAST(:p AS uuid[])) RETURNING id"
        assert len(rows(c, sql, p=list(scenario.posts.values()))) == len(scenario.posts)
    scenario.update_deliveries("next_at = now()")
    scenario.crash_workers("delay.late", queues=[DELAY], slots=1)
    scenario.stack.start_worker("publish")
    for post in scenario.posts.values():
        scenario.stack.await_status(post, "failed", 60)
    assert not any(scenario.find_live(target) for target in TARGETS)


def test_refreshes(scenario: CrashScenario) -> None:
    """Expired tokens: workers crash during the refresh until no try is left, and the accounts are reconnected."""
    scenario.post()
    scenario.set_tokens("expired")
    scenario.arm("publish.disarmed")
    scenario.crash_workers(*PROVEN["test_refreshes"], subjects=scenario.accounts)
    scenario.connect()
    scenario.finish()


def test_grants(scenario: CrashScenario) -> None:
    """Revoked tokens: the accounts are reconnected, and the deliveries that waited for them continue."""
    scenario.post("upkeep")
    scenario.set_tokens("revoked")
    scenario.await_blocked()
    scenario.connect()
    scenario.crash_workers("resume.committed", group="upkeep")
    scenario.crash_workers("publish.settled", settings=ONE_PER_MESSAGE)
    scenario.finish()
