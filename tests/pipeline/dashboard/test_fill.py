"""Fill the week: drafts get the next times that their accounts have free, are confirmed, and scheduled as they were."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from uuid import UUID

from playwright.sync_api import Page, expect

from adapters.contract import Platform
from pipeline.accounts.posting_times import change_posting_times
from pipeline.actions.edit import edit
from pipeline.actions.post_changes import Change
from pipeline.dashboard.fill import STEP
from pipeline.domain.posting_times import DAYS
from tests.actors import TESTER
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.dashboard.accessibility import check_accessibility, press_tab_until
from tests.pipeline.dashboard.site import Client
from tests.pipeline.store.ledger import together

FILL = "/dashboard/fill"
_TAKE = re.compile(r'name="take" value="(([0-9a-f-]{36})~[0-9a-f]{32}~([^"]+))"')


def set_times(core: CoreFixture, name: str, *times: str, days: Sequence[str] = DAYS) -> None:
    given = {"times": {day: [*times] if day in days else [] for day in DAYS}, "time_zone": "UTC"}
    with core.context.database.begin() as c:
        change_posting_times(c, TESTER, core.accounts[name], core.workspace, "UTC", given)


def draft(core: CoreFixture, caption: str, *names: str) -> UUID:
    return core.accept(draft=True, caption=caption, account_ids=[core.accounts[name] for name in names]).id


def read_plan(page: str) -> dict[UUID, tuple[str, datetime]]:
    """Return what each draft of a plan is confirmed by, and its time."""
    return {UUID(post): (text, datetime.fromisoformat(at)) for text, post, at in _TAKE.findall(page)}


def due(core: CoreFixture, post: UUID) -> set[datetime]:
    return {one.due_at for one in core.deliveries(post)}


def test_drafts_get_free_times_in_their_order_and_what_changed_since_is_left_and_named(
    http: Client, core: CoreFixture
) -> None:
    core.account("one"), core.account("two", Platform.YOUTUBE), core.account("never")
    core.decided()
    set_times(core, "one", "09:00", "12:00", "18:00")
    set_times(core, "two", "12:00", days=["monday", "wednesday"])
    set_times(core, "never")
    first, both = draft(core, "First", "one"), draft(core, "Both", "one", "two")
    after, changed, out = (draft(core, words, "one") for words in ("After", "Changed", "Out"))
    draft(core, "Never", "never")
    lost = draft(core, "Lost file", "one")
    check = core.decided(url="https://media.example/lost.mp4", verdict="refused", seen="404")
    core.run("UPDATE post_checks SET check_id = :check WHERE post_id = :post", check=check, post=lost)
    page = html.unescape(http.get(FILL, params={"workspace": str(core.workspace)}).text)
    plan = read_plan(page)
    assert [*plan] == [first, both, after, changed, out]
    times = [at for _, at in plan.values()]
    assert times == sorted(times)
    assert len({*times}) == len(times)
    assert times[1].weekday() in (0, 2)
    assert f"{times[1]:%H:%M}" == "12:00"
    left = page.partition('id="left-out"')[2]
    assert re.search(r"Never</a>.*?None of the next four weeks' times is free", left, re.DOTALL)
    assert re.search(r"Lost file</a>.*?lost\.mp4", left, re.DOTALL)
    edit(core.context, core.caller, changed, Change(given=frozenset({"caption"}), caption="Other words"))
    form = {"take": [text for post, (text, _) in plan.items() if post != out]}
    done = html.unescape(http.post(FILL, form).text)
    assert "Scheduled 3 drafts. 1 was left out" in done
    assert re.search(r"Other words</a>.*?Left out. It was changed since the plan was made.", done, re.DOTALL)
    for one in (first, both, after):
        assert (core.status(one), due(core, one)) == ("scheduled", {plan[one][1]})
    assert [core.status(one) for one in (changed, out, lost)] == ["draft"] * 3
    assert "Scheduled 0 drafts. 4 were left out" in http.post(FILL, form).text
    text, at = read_plan(http.get(FILL, params={"workspace": str(core.workspace)}).text)[out]
    core.accept(scheduled_at=at, caption="Taken")
    assert "another post has taken" in http.post(FILL, {"take": text}).text
    assert [http.post(FILL, given).status_code for given in ({}, {"take": "x"})] == [400, 400]


def test_of_two_that_fill_the_same_time_at_once_one_is_left(http: Client, core: CoreFixture) -> None:
    core.account("one")
    core.decided()
    set_times(core, "one", *(f"{hour:02d}:30" for hour in range(24)))
    for n in range(10):
        pair = [draft(core, f"{words} {n}", "one") for words in ("Mine", "Theirs")]
        plan = read_plan(http.get(FILL, params={"workspace": str(core.workspace)}).text)
        (mine, at), (theirs, other) = (plan[post] for post in pair)
        later = theirs.replace(f"{other:%Y-%m-%dT%H:%M:%SZ}", f"{at:%Y-%m-%dT%H:%M:%SZ}")
        assert later != theirs
        together(*(partial(http.post, FILL, {"take": text}) for text in (mine, later)))
        assert sorted(core.status(post) for post in pair) == ["draft", "scheduled"]


def test_a_hundred_go_in_steps_from_the_list_of_drafts(browser: Page, core: CoreFixture) -> None:
    core.account("one")
    core.decided()
    set_times(core, "one", *(f"{hour:02d}:30" for hour in range(24)))
    drafts = [draft(core, f"Draft {n}", "one") for n in range(2 * STEP + 5)]
    browser.goto(f"/dashboard/queue?when=drafts&order=time&workspace={core.workspace}")
    expect(browser.locator(".row.queue")).to_have_count(len(drafts))
    browser.get_by_label("Select all on this page").check()
    browser.get_by_role("button", name=f"Select all {len(drafts)}").click()
    browser.get_by_role("button", name="Fill the week").click()
    expect(browser.locator(".pick-one:checked")).to_have_count(len(drafts))
    check_accessibility(browser, "fill")
    press_tab_until(browser, browser.get_by_label("Schedule Draft 3", exact=True))
    browser.keyboard.press("Space")
    browser.get_by_role("button", name=f"Schedule {len(drafts) - 1}").click()
    expect(browser.locator("#filled")).to_contain_text(f"Scheduled {len(drafts) - 1} drafts.")
    expect(browser.locator(".row.filled")).to_have_count(len(drafts) - 1)
    check_accessibility(browser, "filled")
    assert core.status(drafts.pop(3)) == "draft"
    times = [min(due(core, one)) for one in drafts]
    assert times == sorted({*times})
    assert {core.status(one) for one in drafts} == {"scheduled"}
