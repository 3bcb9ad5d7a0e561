"""GET /imports/{id}/forecast: days, what fits, and conflicts with quota, pace, grant and content."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import text

from adapters.contract import Platform
from pipeline.store.auth.workspaces import set_approval
from pipeline.store.deliveries.pauses import pause
from pipeline.store.deliveries.to_release import list_to_release
from tests.pipeline.api.imports.importing import Importer
from tests.pipeline.api.imports.test_applying import apply
from tests.pipeline.api.running_server import Server


def forecast(importer: Importer, planned: dict[str, Any]) -> dict[str, Any]:
    answer = importer.server.get(f"/imports/{planned['id']}/forecast", importer.tenant.key)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


def kinds(found: dict[str, Any]) -> list[tuple[str, int]]:
    return [(conflict["kind"], conflict["posts"]) for conflict in found["conflicts"]]


def test_each_account_and_day_says_how_many_posts_and_when_the_last_goes_out(importer: Importer) -> None:
    days = ["2031-05-04", "2031-05-04", "2031-05-06"]
    bodies = [importer.body(n, scheduled_at=f"{day}T1{n}:00:00Z") for n, day in enumerate(days)]
    found = forecast(importer, importer.plan(*bodies))
    fields = ("day", "delivered_as", "posts", "before", "fits", "last_at")
    assert [tuple(d[name] for name in fields) for d in found["days"]] == [
        ("2031-05-04", "post", 2, 0, 2, "2031-05-04T11:00:00.000Z"),
        ("2031-05-06", "post", 1, 0, 1, "2031-05-06T12:00:00.000Z"),
    ]
    assert found["conflicts"] == []
    assert found["more_days"] is False


def test_posts_over_the_daily_quota_are_counted_with_those_that_are_there(importer: Importer) -> None:
    limit = importer.server.context.adapters[Platform.INSTAGRAM].capabilities.daily_posts
    assert limit is not None
    account = [{"id": importer.tenant.accounts["instagram"]}]

    def write(first: int, last: int) -> list[dict[str, Any]]:
        at = [f"2031-05-04T{n // 60:02d}:{n % 60:02d}:00Z" for n in range(first, last)]
        return [importer.body(n, accounts=account, scheduled_at=time) for n, time in enumerate(at, first)]

    apply(importer, importer.plan(*write(0, 10)))
    found = forecast(importer, importer.plan(*write(10, limit + 5)))
    [day] = found["days"]
    assert (day["posts"], day["before"], day["fits"]) == (limit - 5, 10, limit - 10)
    assert day["last_at"] == "2031-05-05T00:04:00.000Z", "a day after the fifth of those that are there"
    assert kinds(found) == [("quota", 5)]
    [account] = found["accounts"]
    assert {name: account[name] for name in ("posts", "on_time", "late", "held")} == {
        "posts": limit - 5,
        "on_time": limit - 10,
        "late": 5,
        "held": 0,
    }
    assert account["first_late"] == f"2031-05-04T{limit // 60:02d}:{limit % 60:02d}:00.000Z"
    assert account["last_at"] == day["last_at"]


def test_inbox_drafts_have_a_quota_of_their_own(importer: Importer) -> None:
    """Four drafts are planned: two more are over, and as many posts are not."""
    can = importer.server.context.adapters[Platform.TIKTOK].capabilities
    assert (can.daily_drafts, can.daily_posts) == (5, 15)
    media = {"type": "slideshow", "urls": ["https://cdn.example.com/1.jpg"]}

    def write(first: int, last: int, mode: str) -> list[dict[str, Any]]:
        tiktok = {"post_mode": mode}
        return [
            importer.body(n, media=media, tiktok=tiktok, scheduled_at=f"2031-05-04T10:{n:02d}:00Z")
            for n in range(first, last)
        ]

    apply(importer, importer.plan(*write(0, 4, "MEDIA_UPLOAD"), *write(4, 9, "DIRECT_POST")))
    inbox = importer.body(12, tiktok={"deliver_as": "inbox"}, scheduled_at="2031-05-04T10:12:00Z")
    rows = [*write(10, 12, "MEDIA_UPLOAD"), inbox, *write(20, 23, "DIRECT_POST")]
    found = forecast(importer, importer.plan(*rows))
    assert [(d["delivered_as"], d["posts"], d["before"], d["fits"]) for d in found["days"]] == [
        ("post", 3, 5, 3),
        ("inbox_draft", 3, 4, 1),
    ]
    assert kinds(found) == [("quota", 2)]
    assert "more inbox drafts than" in found["conflicts"][0]["message"]


def test_a_grant_that_ends_first_and_the_same_content_are_said(importer: Importer) -> None:
    with importer.server.context.database.begin() as c:
        sql = "UPDATE accounts SET expires_at = '2031-01-01', renewable = false WHERE id = :id"
        c.execute(text(sql), {"id": UUID(importer.tenant.accounts["tiktok"])})
    same = [importer.body(1, scheduled_at=f"2031-05-0{n}T10:00:00Z") for n in (1, 2, 3)]
    found = forecast(importer, importer.plan(*same, importer.body(2)))
    assert kinds(found) == [("grant", 4), ("content", 3)]


def test_content_that_an_account_is_to_publish_already_is_said(importer: Importer) -> None:
    other = [{"id": importer.tenant.accounts["instagram"]}]
    apply(importer, importer.plan(importer.body(1), importer.body(2, accounts=other)))
    later = {"scheduled_at": "2031-05-09T10:00:00Z"}
    found = forecast(importer, importer.plan(*(importer.body(n, **later) for n in (1, 2, 3))))
    assert kinds(found) == [("content", 1)]
    assert found["conflicts"][0]["account_id"] == importer.tenant.accounts["tiktok"]


def test_what_is_applied_is_not_forecast_and_strangers_see_nothing(
    importer: Importer, server: Server
) -> None:
    done = apply(importer, importer.plan(importer.body(1)))
    assert forecast(importer, done) == {"accounts": [], "days": [], "conflicts": [], "more_days": False}
    importer.tenant.key = server.tenant().key
    assert importer.server.get(f"/imports/{done['id']}/forecast", importer.tenant.key).status_code == 404


def test_what_a_pause_holds_has_no_time(importer: Importer) -> None:
    planned = importer.plan(importer.body(1), importer.body(2))
    with importer.server.context.database.begin() as c:
        pause(c, "account", importer.tenant.accounts["tiktok"], "wrong campaign")
    found = forecast(importer, planned)
    [account] = found["accounts"]
    assert (account["posts"], account["held"], account["last_at"]) == (2, 2, None)
    assert (found["days"][0]["fits"], found["days"][0]["last_at"]) == (0, None)
    assert kinds(found) == [("pause", 2)]


def test_what_waits_for_an_approval_has_no_time_applied_or_not(importer: Importer) -> None:
    with importer.server.context.database.begin() as c:
        set_approval(c, importer.tenant.workspace, needed=True, by_author=False)
    apply(importer, importer.plan(importer.body(1)))
    found = forecast(importer, importer.plan(importer.body(2), importer.body(3)))
    assert kinds(found) == [("approval", 2)]
    assert "They wait for an approval." in found["conflicts"][0]["message"]
    with importer.server.context.database.begin() as c:
        waiting = list_to_release(c, [UUID(importer.tenant.accounts["tiktok"])], (), None)
    assert [one.hold for one in waiting] == ["approval"]
