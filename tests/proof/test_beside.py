"""What is beside the visible call: time, media, accounts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from pipeline.queues import DELAY
from pipeline.store.database import rows
from tests.proof.fleet import Fleet
from tests.proof.points import PROVEN
from tests.proof.ways import WAYS, kind_of


def test_checks(fleet: Fleet) -> None:
    """Media nobody has seen, first without an answer."""
    new = uuid4().hex
    video = {"type": "video", "url": fleet.stack.media(f"sample.mp4?{new}")}
    urls = [fleet.stack.media(f"sample-{n}.jpg?{new}") for n in (1, 2, 3)]
    media = {
        kind: {"type": "slideshow", "urls": some}
        for kind, some in (("slideshow", urls[:2]), ("photo", urls[2:]))
    }
    fleet.post("reachability", media={"video": video, **media})
    fleet.stack.fault("media", "media", "5xx", times=None)
    fleet.dies("reachability.unanswered", whose=checks(fleet), group="reachability")
    fleet.stack.control("DELETE", "faults")
    points = ("reachability.claimed", "reachability.seen", "reachability.decided")
    fleet.dies(*points, whose=checks(fleet), group="reachability")
    fleet.ends()


def checks(fleet: Fleet) -> dict[str, UUID]:
    """The first check of each way's post."""
    with fleet.stack.context.database.begin() as c:
        found = {
            kind: rows(
                c, "SELECT check_id FROM post_checks WHERE post_id = :p AND position = 0", p=UUID(post)
            )
            for kind, post in fleet.posts.items()
        }
    return {way: found[kind_of(way)][0].check_id for way in WAYS}


def test_too_late(fleet: Fleet) -> None:
    """Posts that are to be skipped when they are late, and are."""
    hours = [(datetime.now(UTC) + timedelta(hours=n)).isoformat() for n in (1, 2)]
    fleet.post(scheduled_at=hours[0], expires_at=hours[1], on_late="skip")
    with fleet.stack.context.database.begin() as c:
        sql = "UPDATE posts SET expires_at = now() - interval '1 s' WHERE id = ANY(CAST(:p AS uuid[])) RETURNING id"
        assert len(rows(c, sql, p=list(fleet.posts.values()))) == len(fleet.posts)
    fleet.change("next_at = now()")
    fleet.dies("delay.late", queues=[DELAY])
    fleet.stack.start_worker("publish")
    for post in fleet.posts.values():
        fleet.stack.becomes(post, "failed", 60)
    assert not any(fleet.live(way) for way in WAYS)


def test_refreshes(fleet: Fleet) -> None:
    """Stale tokens: workers die over their renewal until nobody may try again, and a person connects the accounts."""
    fleet.post()
    fleet.tokens("expired")
    fleet.aim("publish.disarmed")
    fleet.dies(*PROVEN["test_refreshes"], whose=fleet.accounts)
    fleet.connect()
    fleet.ends()


def test_grants(fleet: Fleet) -> None:
    """Grants that were taken away; the accounts are connected again, and what waited for them goes on."""
    fleet.post("upkeep")
    fleet.tokens("revoked")
    fleet.blocks()
    fleet.connect()
    fleet.dies("resume.committed", group="upkeep")
    fleet.dies("publish.settled")
    fleet.ends()
