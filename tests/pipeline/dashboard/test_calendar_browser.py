"""The calendar in a browser: a post is dragged by mouse or finger, goes back when that is refused; keys do the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from playwright.sync_api import FloatRect, Locator, Page, Route, expect

from pipeline.accounts.posting_times import change_posting_times
from pipeline.domain.delivery import State
from pipeline.domain.posting_times import DAYS
from pipeline.store.accounts.accounts import find_accounts
from tests.actors import TESTER
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.dashboard.accessibility import (
    NARROW,
    assert_everything_is_within,
    check_accessibility,
    press_tab_until,
)
from tests.pipeline.store.ledger import HOUR, Post

HOSTILE = '<img src=x onerror="document.title=1">'
DAY = timedelta(days=1)
RELOAD = "document.body.dispatchEvent(new Event('slipway:posts'))"
THIN = 90
"""Pixels: no card is narrower."""
Window = Callable[..., Page]


def plan(core: CoreFixture, caption: str = "Drag me", due: datetime | None = None) -> Post:
    """Store a post for 12:15, UTC, of the Tuesday of the week after next, whatever week it is."""
    now = datetime.now(UTC)
    tuesday = now + timedelta(days=15 - now.weekday())
    if "one" not in core.accounts:
        core.account("one")
        core.decided()
    at = due or tuesday.replace(hour=12, minute=15, second=0, microsecond=0)
    accepted = core.accept(caption=caption, scheduled_at=at)
    return Post(
        id=accepted.id, workspace=core.workspace, deliveries=[d.id for d in core.deliveries(accepted.id)]
    )


def open_calendar(page: Page, core: CoreFixture, at: datetime, view: str = "week", **more: str) -> None:
    query = {"workspace": core.workspace, "view": view, "date": at.date(), **more}
    page.goto("/dashboard/calendar?" + "&".join(f"{name}={value}" for name, value in query.items()))


def find_card(page: Page, caption: str = "Drag me") -> Locator:
    card = page.locator("#shown .entry", has_text=caption).first
    expect(card).to_be_visible()
    return card


def find_place(page: Page, to: str) -> Locator:
    """Return the day or the hour of the calendar that this text names."""
    return page.locator(f'[data-to="{to}"]')


def measure(found: Locator) -> FloatRect:
    box = found.bounding_box()
    assert box is not None
    return box


def lift(page: Page, card: Locator) -> None:
    """Press a card with the mouse and move a little, so that it is dragged."""
    box = measure(card)
    page.mouse.move(box["x"] + 20, box["y"] + 12)
    page.mouse.down()
    page.mouse.move(box["x"] + 30, box["y"] + 20, steps=3)
    expect(page.locator(".lifted")).to_be_visible()


def carry(page: Page, to: Locator) -> None:
    box = measure(to)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=6)
    expect(page.locator(".target")).to_have_count(1)


def drag(page: Page, card: Locator, to: Locator) -> None:
    lift(page, card)
    carry(page, to)
    page.mouse.up()


def due(core: CoreFixture, post: Post) -> datetime:
    found: datetime = core.ledger.delivery(post.deliveries[0]).due_at
    return found


def write_hour(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H}:00"


def test_a_card_that_is_dragged_to_an_hour_keeps_its_minute_and_can_go_back(
    browser: Page, core: CoreFixture
) -> None:
    post = plan(core)
    before = due(core, post)
    to = before + DAY + 2 * HOUR
    plan(core, "Other", to)
    open_calendar(browser, core, before)
    lift(browser, find_card(browser))
    carry(browser, find_place(browser, write_hour(to)))
    expect(browser.locator(".lifted")).to_contain_text(f"{to:%a, %d %b %Y} 14:15")
    browser.mouse.up()
    expect(browser.locator("#moved")).to_contain_text(f"Moved to {to:%a, %d %b %Y} 14:15.")
    assert due(core, post) == to
    expect(find_place(browser, write_hour(to)).locator(".entry", has_text="Drag me")).to_be_visible()
    assert "/dashboard/calendar" in browser.url
    browser.get_by_role("button", name="Undo").click()
    expect(browser.locator("#moved")).to_contain_text(f"Moved to {before:%a, %d %b %Y} 12:15.")
    assert due(core, post) == before
    expect(find_place(browser, write_hour(before)).locator(".entry", has_text="Drag me")).to_be_visible()


def test_a_finger_lifts_a_card_with_a_long_press(open_window: Window, core: CoreFixture) -> None:
    post = plan(core)
    before = due(core, post)
    plan(core, "Other", before + HOUR)
    page = open_window(viewport=NARROW, has_touch=True, is_mobile=True)
    open_calendar(page, core, before, "day")
    start, end = measure(find_card(page)), measure(find_place(page, write_hour(before + HOUR)))
    finger = page.context.new_cdp_session(page)

    def touch(kind: str, *at: float) -> None:
        points = [{"x": at[0], "y": at[1]}] if at else []
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", start["x"] + 60, start["y"] + 12)
    expect(page.locator(".lifted")).to_be_visible()
    touch("touchMove", end["x"] + 60, end["y"] + 20)
    expect(page.locator(".lifted")).to_contain_text("13:15")
    touch("touchEnd")
    expect(page.locator("#moved")).to_contain_text("13:15.")
    assert due(core, post) == before + HOUR


ARMED = "armed_at = now(), armed_deadline = now() + interval '1 minute', working_since = now()"


def test_a_card_stays_when_its_post_may_not_be_moved(browser: Page, core: CoreFixture) -> None:
    post = plan(core)
    core.ledger.put(post, State.PUBLISHING)
    before = due(core, post)
    plan(core, "Other", before + HOUR)
    # an open calendar that hears of the change in time shows a card that cannot be dragged
    browser.route("**/dashboard/events*", lambda route: route.abort())
    open_calendar(browser, core, before)
    card = find_card(browser)
    core.ledger.change(post.deliveries[0], ARMED)
    drag(browser, card, find_place(browser, write_hour(before + HOUR)))
    expect(browser.get_by_text("is being sent, or may be live already; nothing was changed")).to_be_visible()
    expect(browser.get_by_role("button", name="Undo")).to_be_hidden()
    expect(find_place(browser, write_hour(before)).locator(".entry", has_text="Drag me")).to_be_visible()
    assert due(core, post) == before


def test_a_lost_answer_is_said(browser: Page, core: CoreFixture) -> None:
    post = plan(core)
    before = due(core, post)
    plan(core, "Other", before + HOUR)
    open_calendar(browser, core, before)
    browser.route("**/reschedule", lambda route: route.abort())
    drag(browser, find_card(browser), find_place(browser, write_hour(before + HOUR)))
    expect(browser.get_by_text("There was no answer.")).to_be_visible()
    assert due(core, post) == before


def test_a_card_in_hand_is_not_replaced_by_what_was_read_before(browser: Page, core: CoreFixture) -> None:
    post = plan(core)
    before = due(core, post)
    plan(core, "Other", before + HOUR)
    browser.route("**/dashboard/events*", lambda route: route.abort())
    open_calendar(browser, core, before)
    asked: list[Route] = []

    def hold(route: Route) -> None:
        asked.append(route)

    browser.route("**/dashboard/calendar*", hold)
    with browser.expect_request("**/dashboard/calendar*"):
        browser.evaluate(RELOAD)
    lift(browser, find_card(browser))
    core.ledger.update("posts", post.id, "caption = 'Renamed'")
    with browser.expect_response("**/dashboard/calendar*") as answer:
        asked[0].continue_()
    answer.value.finished()
    browser.unroute("**/dashboard/calendar*")
    carry(browser, find_place(browser, write_hour(before + HOUR)))
    expect(find_card(browser)).to_have_class(re.compile("entry blue"))
    browser.mouse.up()
    expect(browser.get_by_text("The post has changed since you read it")).to_be_visible()
    find_card(browser, "Renamed")
    assert due(core, post) == before


def test_a_day_that_was_opened_is_not_replaced_by_a_late_answer(browser: Page, core: CoreFixture) -> None:
    day = due(core, plan(core, "First"))
    plan(core, "Second", day + DAY)
    browser.route("**/dashboard/events*", lambda route: route.abort())
    open_calendar(browser, core, day, "month", day=f"{day:%Y-%m-%d}")
    asked: list[Route] = []

    def hold_first(route: Route) -> None:
        asked.append(route)
        if len(asked) > 1:
            route.continue_()

    browser.route("**/dashboard/calendar*", hold_first)
    with browser.expect_request("**/dashboard/calendar*"):
        browser.evaluate(RELOAD)
    browser.get_by_role("link", name="Next day").click()
    panel = browser.get_by_role("complementary")
    expect(panel.get_by_role("link", name="Second")).to_be_visible()
    browser.evaluate(
        "void (window.late = new Promise((done) => addEventListener('htmx:afterRequest', done)))"
    )
    asked[0].continue_()
    browser.evaluate("window.late.then(() => null)")
    assert panel.get_by_role("link").all_inner_texts()[-2:] == ["Second", "Show in queue"]
    assert f"day={day + DAY:%Y-%m-%d}" in browser.url


def test_a_drag_that_is_given_up_moves_nothing(browser: Page, core: CoreFixture) -> None:
    post = plan(core)
    plan(core, "Other", due(core, post) + HOUR)
    open_calendar(browser, core, due(core, post))
    asked: list[str] = []
    browser.on("request", lambda request: asked.append(request.method))
    place = find_place(browser, write_hour(due(core, post) + HOUR))
    lift(browser, find_card(browser))
    carry(browser, place)
    browser.keyboard.press("Escape")
    expect(browser.locator(".lifted, .target")).to_have_count(0)
    browser.mouse.up()
    lift(browser, find_card(browser))
    carry(browser, find_place(browser, write_hour(due(core, post))))
    browser.mouse.up()
    expect(browser.locator(".lifted")).to_have_count(0)
    core.ledger.put(post, State.CANCELLED)
    browser.reload()
    box = measure(find_card(browser))
    browser.mouse.move(box["x"] + 20, box["y"] + 12)
    browser.mouse.down()
    browser.mouse.move(box["x"] + 60, box["y"] + 90, steps=6)
    assert browser.locator(".lifted").count() == 0
    browser.mouse.up()
    assert "POST" not in asked
    assert "/dashboard/calendar" in browser.url


def test_a_new_post_appears_and_the_focus_stays(browser: Page, core: CoreFixture) -> None:
    post = plan(core, "First")
    open_calendar(browser, core, due(core, post), "day")
    link = find_card(browser, "First").get_by_role("link")
    link.focus()
    core.accept(caption="Second", scheduled_at=due(core, post) - timedelta(minutes=10))
    find_card(browser, "Second")
    expect(link).to_be_focused()
    expect(link).to_have_text("First")


def test_a_click_opens_the_day_beside_the_month_with_an_address_of_its_own(
    browser: Page, core: CoreFixture
) -> None:
    posts = [plan(core, f"Post {n}") for n in range(5)]
    day = due(core, posts[0])
    open_calendar(browser, core, day, "month")
    browser.locator(f"#d{day:%Y-%m-%d}").click()
    panel = browser.get_by_role("complementary", name=f"{day:%A} {day.day} {day:%B}")
    expect(panel.get_by_role("link", name="Post 4")).to_be_visible()
    expect(browser.locator(f"#d{day:%Y-%m-%d}")).to_have_attribute("aria-current", "date")
    assert f"day={day:%Y-%m-%d}" in browser.url
    drag(browser, panel.locator(".entry").first, find_place(browser, f"{day + DAY:%Y-%m-%d}"))
    expect(browser.locator("#moved")).to_contain_text("Moved to")
    assert sorted(due(core, post) for post in posts) == [*[day] * 4, day + DAY]
    browser.reload()
    expect(panel.locator(".entry")).to_have_count(4)
    panel.get_by_role("link", name="Next day").click()
    following = day + DAY
    beside = browser.get_by_role("complementary", name=f"{following:%A} {following.day} {following:%B}")
    expect(beside.locator(".entry")).to_have_count(1)
    beside.get_by_role("link", name="Close").click()
    expect(browser.locator("#day")).to_be_hidden()
    assert "day=" not in browser.url


def open_in_berlin(open_window: Window) -> Page:
    """Return a page of a browser in New York whose session has the clock of Berlin."""
    page = open_window(viewport={"width": 1400, "height": 1000}, timezone_id="America/New_York")
    zone = {"name": "slipway-zone", "value": "Europe/Berlin", "domain": "127.0.0.1", "path": "/dashboard"}
    page.context.add_cookies([zone])  # type: ignore[list-item]
    return page


def test_the_clock_is_that_of_the_session_whatever_the_browsers_does(
    open_window: Window, core: CoreFixture
) -> None:
    """In New York, clocks skip 02:30 on 14 March 2027; in Berlin they do not."""
    post = plan(core, due=datetime(2027, 3, 13, 23, 30, tzinfo=UTC))  # 00:30 in Berlin
    plan(core, "Other", datetime(2027, 3, 14, 1, 0, tzinfo=UTC))
    page = open_in_berlin(open_window)
    open_calendar(page, core, datetime(2027, 3, 14, tzinfo=UTC))
    drag(page, find_card(page), find_place(page, "2027-03-14T02:00"))
    expect(page.locator("#moved")).to_contain_text("Moved to Sun, 14 Mar 2027 02:30.")
    expect(find_card(page)).to_contain_text("02:30")
    assert due(core, post) == datetime(2027, 3, 14, 1, 30, tzinfo=UTC)


def test_an_hour_that_comes_twice_is_two_places(open_window: Window, core: CoreFixture) -> None:
    night = datetime(2027, 10, 30, 22, tzinfo=UTC)  # midnight in Berlin, where clocks go back at 03:00
    post = plan(core, due=night + timedelta(minutes=15))
    for n in (2, 3):
        plan(core, f"Other {n}", night + n * HOUR)
    page = open_in_berlin(open_window)
    open_calendar(page, core, datetime(2027, 10, 31, tzinfo=UTC))
    for hours, offset in {3: "+01:00", 2: "+02:00"}.items():
        place = find_place(page, f"2027-10-31T02:00{offset}")
        drag(page, find_card(page), place)
        expect(place.locator(".entry", has_text="Drag me")).to_contain_text("02:15")
        assert due(core, post) == night + hours * HOUR + timedelta(minutes=15)


def test_the_zone_of_the_browser_is_the_first_that_is_shown(open_window: Window) -> None:
    page = open_window(timezone_id="Asia/Tokyo")
    page.goto("/dashboard/")
    page.get_by_role("link", name="Calendar").click()
    expect(page.locator("#shown")).to_have_attribute("data-zone", "Asia/Tokyo")


def test_the_keyboard_alone_walks_opens_and_moves(browser: Page, core: CoreFixture) -> None:
    post = plan(core)
    at = due(core, post)
    for caption, due_at in {"Later": at + HOUR, "Next day": at + DAY, "Far": at + DAY + HOUR}.items():
        plan(core, caption, due_at)
    open_calendar(browser, core, at)
    press_tab_until(browser, find_card(browser).get_by_role("link"))
    for key, caption in {
        "ArrowDown": "Later",
        "ArrowRight": "Far",
        "ArrowUp": "Next day",
        "ArrowLeft": "Drag me",
    }.items():
        browser.keyboard.press(key)
        expect(find_card(browser, caption).get_by_role("link")).to_be_focused()
    browser.keyboard.press("e")
    field = browser.get_by_label("New time, UTC")
    expect(field).to_have_value(f"{at:%Y-%m-%dT%H:%M}")
    field.fill("2020-01-02T09:30")
    field.press("Enter")
    expect(browser.get_by_role("dialog").get_by_role("alert")).to_contain_text("in the past")
    field.fill(f"{at + 2 * DAY:%Y-%m-%dT%H:%M}")
    field.press("Enter")
    expect(browser.locator("#moved")).to_contain_text("Moved to")
    assert due(core, post) == at + 2 * DAY
    expect(find_place(browser, write_hour(at + 2 * DAY)).locator(".entry")).to_contain_text("Drag me")
    link = find_card(browser).get_by_role("link")
    link.focus()
    browser.keyboard.press("Enter")
    expect(browser).to_have_url(re.compile(f"/dashboard/posts/{post.id}"))


def test_in_the_month_arrows_go_by_day(browser: Page, core: CoreFixture) -> None:
    open_calendar(browser, core, datetime(2029, 1, 1, tzinfo=UTC), "month")
    browser.locator("#d2029-01-12").focus()
    for key, day in {"ArrowRight": 13, "ArrowDown": 20, "ArrowLeft": 19, "ArrowUp": 12}.items():
        browser.keyboard.press(key)
        expect(browser.locator(f"#d2029-01-{day}")).to_be_focused()
    browser.keyboard.press("Enter")
    expect(browser.get_by_role("complementary")).to_contain_text("Nothing goes out on this day.")


def test_no_card_is_narrow_and_a_hostile_caption_stays_text(browser: Page, core: CoreFixture) -> None:
    posts = [plan(core, f"Post {n} {HOSTILE}") for n in range(9)]
    day = due(core, posts[0])
    for name, more in {"week": {}, "month": {}, "panel": {"day": str(day.date())}, "day": {}}.items():
        open_calendar(browser, core, day, "month" if more else name, **more)
        for width in (1440, 1100, 1099, 900, 390):
            browser.set_viewport_size({"width": width, "height": 800})
            cards = browser.locator("#shown .entry:visible")
            widths = cards.evaluate_all("cards => cards.map((one) => one.getBoundingClientRect().width)")
            assert min(widths, default=THIN) >= THIN, (name, width)
    browser.get_by_role("button", name="Move").first.click()
    expect(browser.get_by_role("dialog")).to_contain_text(HOSTILE[:20])
    assert browser.locator("main img").count() == 0
    assert browser.title().startswith("Calendar")


def test_a_card_that_is_dropped_on_a_free_time_gets_it(browser: Page, core: CoreFixture) -> None:
    post = plan(core)
    before = due(core, post)
    with core.context.database.begin() as c:
        times = {"times": {day: ["10:40", "12:15"] for day in DAYS}}
        change_posting_times(c, TESTER, core.accounts["one"], core.workspace, "UTC", times)
    open_calendar(browser, core, before)
    to = before.replace(hour=10, minute=40)
    free = browser.locator(f'.free[data-exact="{to.isoformat(timespec="minutes")}"]')
    expect(browser.locator(f'.free[data-exact="{before.isoformat(timespec="minutes")}"]')).to_have_count(0)
    drag(browser, find_card(browser), free)
    expect(browser.locator("#moved")).to_contain_text(f"Moved to {to:%a, %d %b %Y} 10:40.")
    assert due(core, post) == to
    expect(free).to_have_count(0)


def test_the_week_of_an_account_is_drawn_dragged_and_saved(browser: Page, core: CoreFixture) -> None:
    account, page = core.account("one"), browser
    page.goto(f"/dashboard/accounts/{account}/times")
    week = page.get_by_role("group", name="The week")
    check_accessibility(page, "posting-times")
    week.locator('[data-day="5"][data-hour="7"]').click()  # adds 07:00
    expect(page.get_by_label("Saturday", exact=True)).to_have_value("07:00 09:00 12:00 18:00")
    monday = week.get_by_role("button", name="Monday 12:00")
    monday.drag_to(week.locator('[data-day="2"][data-hour="15"]'))
    expect(page.get_by_label("Wednesday", exact=True)).to_have_value("09:00 12:00 15:00 18:00")
    expect(page.get_by_label("Monday", exact=True)).to_have_value("09:00 18:00")
    press_tab_until(page, week.get_by_role("button", name="Monday 09:00"))
    for key in ("ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    expect(week.get_by_role("button", name="Tuesday 09:15")).to_be_focused()
    page.keyboard.press("Delete")
    page.get_by_label("Time zone").fill("Mars")
    press_tab_until(page, page.get_by_role("button", name="Save"))
    page.keyboard.press("Enter")
    expect(page.locator("#problem-time_zone")).to_contain_text("Mars")
    page.get_by_label("Time zone").fill("Europe/Oslo")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    with core.context.database.begin() as c:
        [found] = find_accounts(c, core.workspace, [account])
    times = found.posting_times["times"]
    assert (times["monday"], times["tuesday"]) == (["18:00"], ["09:00", "12:00", "18:00"])
    assert (times["saturday"][0], found.posting_times["time_zone"]) == ("07:00", "Europe/Oslo")
    page.set_viewport_size({"width": 390, "height": 844})
    assert_everything_is_within(page, "posting-times at 390")
