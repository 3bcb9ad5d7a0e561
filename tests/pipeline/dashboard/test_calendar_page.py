"""The calendar as it is served: whose posts, at what time of the clock, how many, which may be moved, and how heavy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any
from uuid import UUID

import pytest

from adapters.contract import Platform
from pipeline.dashboard.calendar import ROWS
from pipeline.dashboard.clock import ZONE_COOKIE
from pipeline.domain.account import Role
from pipeline.domain.delivery import Reason, State
from pipeline.stages.post_state import compute_version
from pipeline.store.deliveries.queue import SOME
from pipeline.store.posts.views import read_post
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.dashboard.site import Client, Site
from tests.pipeline.store.ledger import HOUR, Ledger

PAGE = "/dashboard/calendar"
WINTER = datetime(2027, 1, 12, 8, 30, tzinfo=UTC)
"""A Tuesday."""
DAY = timedelta(days=1)
_CARD = re.compile(
    r'<li class="entry (?P<colour>\w+)"(?: data-version="(?P<version>\w+)")?>.*?'
    r'<a id="\w+" href="(?P<link>[^"]+)" dir="auto">(?P<words>[^<]*)</a><small><b>(?P<time>[\d:]+)</b>'
)


def show(http: Client, workspace: UUID | str | None = None, zone: str = "", **asked: Any) -> str:
    """Return the page with this address; *zone*: of the session's clock."""
    fields = {"workspace": str(workspace), **asked} if workspace else asked
    answer = http.get(PAGE, params=fields, cookies={ZONE_COOKIE: zone} if zone else {})
    assert answer.status_code == 200, answer.text
    return answer.text


def list_cards(page: str) -> list[Mapping[str, str]]:
    return [
        {name: unescape(value or "") for name, value in one.groupdict().items()}
        for one in _CARD.finditer(page)
    ]


def list_words(page: str) -> list[str]:
    return [card["words"] for card in list_cards(page)]


def read_day(page: str, day: str) -> str:
    """Return the cell of a day of the month."""
    found = re.search(rf'<li class="day[^>]*data-to="{day}">.*?(?=<li class="day|</ol>)', page, re.DOTALL)
    assert found is not None
    return found[0]


def test_a_card_has_the_time_of_the_clock_and_the_version_of_its_post(
    http: Client, core: CoreFixture
) -> None:
    one, two = core.account("one"), core.account("two", Platform.YOUTUBE)
    core.decided()
    post = core.accept(account_ids=[one, two], scheduled_at=WINTER, caption="<img onerror=1>")
    with core.context.database.begin() as c:
        view = read_post(c, core.workspace, post.id)
    assert view is not None
    for view_name in ("week", "day", "month"):
        for zone, at in {"Europe/Berlin": "09:30", "Asia/Kolkata": "14:00"}.items():
            page = show(http, core.workspace, zone, view=view_name, date="2027-01-12")
            [card] = list_cards(page)
            assert (card["time"], card["words"], card["colour"]) == (at, "<img onerror=1>", "blue")
            assert card["link"] == f"/dashboard/posts/{post.id}"
            assert compute_version(view).startswith(card["version"])
            assert 'aria-label="TikTok, YouTube"' in page
            assert f'data-zone="{zone}"' in page
            assert "<img onerror" not in page


def test_a_platform_and_some_clients_have_their_posts_only(
    http: Client, core: CoreFixture, ledger: Ledger
) -> None:
    one, two = core.account("one"), core.account("two", Platform.YOUTUBE)
    core.decided()
    core.accept(account_ids=[one], scheduled_at=WINTER, caption="first")
    core.accept(account_ids=[two], scheduled_at=WINTER, caption="second")
    other = ledger.fresh()
    ledger.update("posts", other.id, "due_at = :at, caption = 'third'", at=WINTER)
    for view in ("day", "month"):
        asked: dict[str, Any] = {"view": view, "date": "2027-01-12"}
        assert list_words(show(http, core.workspace, platform="youtube", **asked)) == ["second"]
        some = ".".join(one.hex[-12:] for one in (core.workspace, other.workspace))
        page = show(http, some, **asked)
        assert sorted(list_words(page)) == ["first", "second", "third"]
        assert re.search(r"2 of \d+ clients", page)
        assert list_words(show(http, other.workspace, **asked)) == ["third"]


@pytest.mark.parametrize(
    ("state", "armed", "movable"),
    [
        (State.SCHEDULED, False, True),
        (State.FAILED, False, True),
        (State.PUBLISHING, True, False),
        (State.PUBLISHED, False, False),
    ],
)
def test_only_posts_that_may_be_edited_may_be_moved(
    http: Client, core: CoreFixture, state: State, armed: bool, movable: bool
) -> None:
    post = core.ledger.post([core.account("one")], due=DAY)
    core.ledger.put(post, state, armed=armed)
    [card] = list_cards(show(http, core.workspace, view="day", date=(datetime.now(UTC) + DAY).date()))
    assert bool(card["version"]) is movable


def test_who_may_only_look_moves_nothing_and_strangers_see_nothing(site: Site, core: CoreFixture) -> None:
    core.ledger.post([core.account("one")], due=DAY)
    asked: dict[str, Any] = {"view": "day", "date": (datetime.now(UTC) + DAY).date()}
    with site.log_in(site.add_user({core.workspace: Role.VIEWER})) as viewer:
        [card] = list_cards(show(viewer, **asked))
        assert not card["version"]
    with site.log_in(site.add_user({core.workspace: Role.AUTHOR})) as author:
        [card] = list_cards(show(author, **asked))
        assert card["version"]
    with site.log_in(site.add_user({core.ledger.workspace(): Role.ADMIN})) as stranger:
        assert list_cards(show(stranger, **asked)) == []


def test_the_hours_of_a_change_of_clocks_are_all_there(http: Client, core: CoreFixture) -> None:
    one = core.account("one")
    core.decided()
    midnight = datetime(2027, 10, 30, 22, tzinfo=UTC)  # in Berlin, where 02:00 to 03:00 comes twice
    for hour in range(25):
        core.accept(account_ids=[one], scheduled_at=midnight + timedelta(hours=hour), caption=f"{hour}")
    hours = [f"{hour:02}" for hour in (0, 1, 2, 2, *range(3, 24))]
    day = show(http, core.workspace, "Europe/Berlin", view="day", date="2027-10-31")
    assert [card["time"][:2] for card in list_cards(day)] == hours
    assert "<strong>02:00 again</strong>" in day
    twice = re.findall(r'data-to="(2027-10-31T02[^"]*)"', day)
    assert twice == ["2027-10-31T02:00+02:00", "2027-10-31T02:00+01:00"]
    week = show(http, core.workspace, "Europe/Berlin", view="week", date="2027-10-31", hours="all")
    assert len(list_cards(week)) == 25
    assert week.count('title="Clocks skip this hour."') == 6  # of the other days, which have 02:00 once
    skipped = show(http, core.workspace, "Europe/Berlin", view="week", date="2027-03-28", hours="all")
    assert 'data-to="2027-03-28T02:00' not in skipped
    assert skipped.count('title="Clocks skip this hour."') == 1


def test_a_busy_hour_leads_to_the_others_in_the_queue(
    site: Site, http: Client, core: CoreFixture, ledger: Ledger
) -> None:
    core.decided()
    for minute in range(9):
        at = WINTER + timedelta(minutes=minute)
        core.accept(
            account_ids=[core.accounts.get("one") or core.account("one")],
            scheduled_at=at,
            caption=f"{minute}",
        )
    other, third = ledger.fresh(), ledger.fresh()
    for post in (other, third):
        ledger.update("posts", post.id, "due_at = :at", at=WINTER)
        ledger.change(post.deliveries[0], "due_at = :at", at=WINTER)
    for view, shown in {"day": 6, "week": 2}.items():
        page = show(http, core.workspace, view=view, date="2027-01-12")
        assert list_words(page) == [f"{n}" for n in range(shown)]
        [link] = re.findall(rf'<a href="([^"]+)" aria-label="{9 - shown} more at 08:00">', page)
        assert "9 posts" in http.get(unescape(link)).text
    several = f"{core.workspace.hex}.{other.workspace.hex}"
    page = show(http, several, view="week", date="2027-01-12")
    [link] = re.findall(r'<a href="([^"]+)" aria-label="8 more at 08:00">', page)
    found = http.get(unescape(link)).text
    assert "10 posts" in found
    assert "2 clients" in found
    asked = {"action": "cancel", "scope": "all", "filter": unescape(link).partition("?")[2]}
    counted = http.post("/dashboard/queue/count", asked).text
    assert "10 posts" in counted


def test_a_day_of_the_month_has_its_number_bars_platforms_and_one_warning(
    http: Client, core: CoreFixture
) -> None:
    tick, tube = core.account("one"), core.account("two", Platform.YOUTUBE)
    ledger = core.ledger
    posts = [*ledger.posts(4, [tick, tube], due=DAY), *ledger.posts(3, [tick], due=DAY)]
    ledger.put(posts[0], State.BLOCKED, reason=Reason.RECONNECT)
    ledger.put(posts[5], State.BLOCKED, reason=Reason.PERSON_NEEDED)
    for one in posts:
        for delivery in one.deliveries[1:]:
            ledger.change(delivery, "platform = 'youtube'")
    due = ledger.delivery(posts[0].deliveries[0]).due_at
    page = show(http, core.workspace, date=due.date())
    cell = read_day(page, str(due.date()))
    assert f"{due:%B}, 7 posts" in cell
    assert re.findall(r"</svg> (\d+)</span>", cell) == ["7", "4"]
    assert re.findall(r"</svg> (\d+ [a-z ]+)</span>", cell) == ["2 wait"]
    assert not list_cards(cell)
    if due.hour in range(5, 23):
        assert f"M{6 * (due.hour - 5)} 32v-32h5v32" in cell
    [address] = re.findall(rf'id="d{due.date()}" href="([^"]+)"', page)
    assert f"day={due.date()}" in unescape(address), "a link, which needs no script"
    panel = show(http, core.workspace, date=due.date(), day=due.date())
    assert "2 wait for access" in panel
    assert len(list_cards(panel)) == 6


def test_a_day_with_few_posts_shows_them(http: Client, core: CoreFixture) -> None:
    core.account("one")
    core.decided()
    for n in range(4):
        core.accept(scheduled_at=WINTER + n * HOUR, caption=f"{n}")
    core.accept(scheduled_at=WINTER + DAY, caption="alone")
    page = show(http, core.workspace, date="2027-01-01")
    assert list_words(read_day(page, "2027-01-12")) == ["0", "1", "2", "3"]
    assert list_words(page) == ["0", "1", "2", "3", "alone"]
    core.accept(scheduled_at=WINTER, caption="one more")
    assert list_words(show(http, core.workspace, date="2027-01-01")) == ["alone"]


def test_hours_of_a_week_fold_when_they_are_empty_or_have_the_fewest_posts(
    http: Client, core: CoreFixture
) -> None:
    core.account("one")
    core.decided()
    midnight = WINTER.replace(hour=0, minute=0)
    for hour in range(6, 18):
        for n in range(1 if hour in {9, 10} else 2):
            core.accept(scheduled_at=midnight + hour * HOUR + n * DAY, caption=f"{hour}")
    page = show(http, core.workspace, view="week", date="2027-01-12")
    assert len(set(re.findall(r'class="cell r(\d+)"', page))) == ROWS
    for words in ("00:00 to 05:00: nothing", "09:00 to 10:00: 2 posts, folded", "18:00 to 23:00: nothing"):
        assert words in page
    assert "9" not in list_words(page)
    whole = show(http, core.workspace, view="week", date="2027-01-12", hours="all")
    assert {"9", "10"} <= {*list_words(whole)}
    assert "folded" not in whole


@pytest.mark.parametrize(
    ("given", "status", "word"),
    [
        ({"view": "year"}, 400, "view has to be one of month, week, day"),
        ({"date": "1999-12-31"}, 400, "date: give a date from 2000 to 2200"),
        ({"day": "2027-02-30"}, 400, "day: give a date from 2000 to 2200"),
        ({"platform": "myspace"}, 400, "platform has to be one of"),
        ({"workspace": "<b>"}, 404, ""),
    ],
)
def test_a_question_that_cannot_be_answered_is_refused(
    http: Client, core: CoreFixture, given: Mapping[str, str], status: int, word: str
) -> None:
    answer = http.get(PAGE, params={"workspace": str(core.workspace), **given})
    assert answer.status_code == status
    assert word in unescape(answer.text)


@pytest.mark.parametrize("view", ["month", "week", "day"])
def test_the_ends_of_the_years_have_a_calendar(http: Client, core: CoreFixture, view: str) -> None:
    for day in ("2000-01-01", "2200-12-31"):
        assert "Nothing" in show(http, core.workspace, view=view, date=day) or view == "week"


def test_who_has_very_many_clients_sees_the_first_and_is_told_so(site: Site, ledger: Ledger) -> None:
    spaces = [ledger.workspace() for _ in range(SOME + 2)]
    with site.log_in(site.add_user(dict.fromkeys(spaces, Role.VIEWER))) as viewer:
        assert f"First {SOME} of {SOME + 2} clients" in show(viewer)
    with site.log_in(site.add_user({})) as nobody:
        assert nobody.get(PAGE).status_code == 403


def test_a_zone_of_a_cookie_that_is_none_counts_for_nothing(http: Client) -> None:
    assert 'data-zone="UTC"' in show(http, zone="../etc/passwd")
