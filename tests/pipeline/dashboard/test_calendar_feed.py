"""The cards of the calendar: whose posts, at what time of the zone's clocks, which may be moved, and how many more."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipeline.dashboard.calendar import ZONE_COOKIE
from pipeline.domain.account import Role
from pipeline.domain.delivery import State
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.dashboard.site import Client, Site

FEED = "/dashboard/calendar/posts"
ABSENT = "01a2106e-0000-7000-8000-000000000000"
WINTER = datetime(2027, 1, 12, 8, 30, tzinfo=UTC)
"""A Tuesday."""
DAY = timedelta(days=1)


def feed(
    http: Client,
    core: CoreFixture,
    first: str = "2027-01-11",
    days: int = 7,
    **more: Any,
) -> list[Mapping[str, Any]]:
    end = (datetime.fromisoformat(first) + timedelta(days=days)).date()
    asked = {"workspace": core.workspace, "view": "timeGridWeek", "start": first, "end": end, **more}
    answer = http.get(FEED, params=asked)
    assert answer.status_code == 200, answer.text
    found: list[Mapping[str, Any]] = answer.json()
    return found


def test_a_card_has_the_time_of_the_zones_clocks_and_the_version_of_its_post(
    http: Client, core: CoreFixture
) -> None:
    one, two = core.account("one"), core.account("two")
    core.decided()
    post = core.accept(account_ids=[one, two], scheduled_at=WINTER, caption="<img onerror=1>")
    for zone, at in {"Europe/Berlin": "2027-01-12T09:30:00", "Asia/Kolkata": "2027-01-12T14:00:00"}.items():
        [card] = feed(http, core, zone=zone)
        assert (card["start"], card["title"], card["startEditable"]) == (at, "<img onerror=1>", True)
        shown = card["extendedProps"]
        assert (shown["link"], shown["status"]) == (f"/dashboard/posts/{post.id}", "scheduled")
        assert shown["accounts"].count("on tiktok") == 2
        assert shown["version"].startswith('"')


def test_the_calendar_of_an_account_has_its_posts_only(http: Client, core: CoreFixture) -> None:
    one, two = core.account("one"), core.account("two")
    core.decided()
    core.accept(account_ids=[one], scheduled_at=WINTER, caption="first")
    core.accept(account_ids=[two], scheduled_at=WINTER, caption="second")
    assert [card["title"] for card in feed(http, core, account=two)] == ["second"]
    assert len(feed(http, core, view="dayGridMonth", first="2026-12-28", days=42)) == 2


@pytest.mark.parametrize(
    ("state", "armed", "movable"),
    [
        (State.SCHEDULED, False, True),
        (State.RETRYING, False, True),
        (State.FAILED, False, True),
        (State.PUBLISHING, True, False),
        (State.UNKNOWN, True, False),
        (State.PUBLISHED, False, False),
        (State.CANCELLED, False, False),
    ],
)
def test_only_posts_that_may_be_edited_may_be_moved(
    http: Client, core: CoreFixture, state: State, armed: bool, movable: bool
) -> None:
    post = core.ledger.post([core.account("one")], due=DAY)
    core.ledger.put(post, state, armed=armed)
    today = datetime.now(UTC).date()
    [card] = feed(http, core, first=today.isoformat(), days=3)
    assert card["startEditable"] is movable
    assert (card["extendedProps"]["version"] is not None) is movable


def test_who_may_only_look_moves_nothing_and_strangers_see_nothing(site: Site, core: CoreFixture) -> None:
    core.ledger.post([core.account("one")], due=DAY)
    asked: dict[str, Any] = {"first": datetime.now(UTC).date().isoformat(), "days": 3}
    with site.log_in(site.add_user({core.workspace: Role.VIEWER})) as viewer:
        [card] = feed(viewer, core, **asked)
        assert card["startEditable"] is False
    with site.log_in(site.add_user({core.workspace: Role.AUTHOR})) as author:
        [card] = feed(author, core, **asked)
        assert card["startEditable"] is True
    with site.log_in(site.add_user({core.ledger.workspace(): Role.ADMIN})) as stranger:
        for path in ("/dashboard/calendar", FEED):
            answer = stranger.get(path, params={"workspace": str(core.workspace)})
            assert answer.status_code == 404


def test_the_hours_of_a_change_of_clocks_are_all_there(http: Client, core: CoreFixture) -> None:
    one = core.account("one")
    core.decided()
    midnight = datetime(2027, 10, 30, 22, tzinfo=UTC)  # in Berlin, where 02:00 to 03:00 comes twice
    for hour in range(25):
        core.accept(account_ids=[one], scheduled_at=midnight + timedelta(hours=hour), caption=f"{hour}")
    shown = feed(http, core, first="2027-10-31", days=1, zone="Europe/Berlin")
    assert [card["start"][11:13] for card in shown] == [f"{hour:02}" for hour in (0, 1, 2, 2, *range(3, 24))]


def test_a_day_with_very_many_posts_shows_some_and_leads_to_the_others(
    http: Client, core: CoreFixture
) -> None:
    core.ledger.posts(5000, [core.account("one")], due=DAY)
    due = datetime.now(UTC) + DAY
    cards = feed(http, core, first=(due - DAY).date().isoformat(), days=3, view="dayGridMonth")
    *posts, others = cards
    assert len(posts) == 5
    assert (others["title"], others["startEditable"]) == ("and 4,995 more", False)
    link = others["extendedProps"]["link"]
    assert link.startswith(f"/dashboard/queue?workspace={core.workspace}&due_from=")


@pytest.mark.parametrize(
    ("given", "status", "word"),
    [
        ({"view": "year"}, 400, "view: choose one of"),
        ({"start": "soon"}, 400, "start, end: give two dates"),
        ({"end": "2027-06-01"}, 400, "1 to 42 days"),
        ({"end": "2027-01-11"}, 400, "1 to 42 days"),
        ({"start": "1999-12-31", "end": "2000-01-02"}, 400, "between 2000 and 2200"),
        ({"zone": "Europe/Berlim"}, 400, "did you mean Europe/Berlin"),
        ({"workspace": ABSENT}, 404, ""),
        ({"workspace": "<b>"}, 404, ""),
        ({"account": "x"}, 404, ""),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(
    http: Client, core: CoreFixture, given: Mapping[str, str], status: int, word: str
) -> None:
    asked = {
        "workspace": str(core.workspace),
        "view": "timeGridWeek",
        "start": "2027-01-11",
        "end": "2027-01-18",
    }
    answer = http.get(FEED, params={**asked, **given})
    assert answer.status_code == status
    assert word in answer.text


def test_the_page_shows_its_zone_and_keeps_the_one_that_is_chosen(
    site: Site, http: Client, core: CoreFixture
) -> None:
    page = f"{site.url}/dashboard/calendar?workspace={core.workspace}"
    assert "clocks in <strong>UTC</strong> (UTC+00:00 now)" in http.get(page).text
    of_browser = http.get(page, cookies={ZONE_COOKIE: "Europe/Paris"})
    assert "clocks in <strong>Europe/Paris</strong>" in of_browser.text
    chosen = http.get(f"{page}&zone=Asia/Kolkata")
    assert "clocks in <strong>Asia/Kolkata</strong> (UTC+05:30 now)" in chosen.text
    assert "clocks in <strong>Asia/Kolkata</strong>" in http.get(page).text


def test_a_zone_of_a_cookie_that_is_none_counts_for_nothing(http: Client) -> None:
    answer = http.get("/dashboard/calendar", cookies={ZONE_COOKIE: "../etc/passwd"})
    assert "clocks in <strong>UTC</strong>" in answer.text
