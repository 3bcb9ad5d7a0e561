"""The calendar in a browser: a card is dragged, goes back when that is refused, and the keyboard does the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Browser, FloatRect, Locator, Page, Route, expect

from pipeline.domain.delivery import State
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.dashboard.accessibility import check_accessibility, press_tab_until
from tests.pipeline.store.ledger import Post
from tests.waiting import until

HOSTILE = '<img src=x onerror="document.title=1">'
WEEK = timedelta(days=7)
HOUR_HEIGHT = 48
"""Pixels of an hour: two slots of the library's default height."""


def plan(core: CoreFixture, caption: str = "Drag me", due: datetime | None = None) -> Post:
    """Store a post for noon, UTC, of the Tuesday of the week after next, whatever week it is."""
    now = datetime.now(UTC)
    monday = now - timedelta(days=now.weekday())
    noon = (monday + timedelta(days=8)).replace(hour=12, minute=0, second=0, microsecond=0)
    core.account("one")
    core.decided()
    accepted = core.accept(caption=caption, scheduled_at=due or noon)
    return Post(
        id=accepted.id, workspace=core.workspace, deliveries=[d.id for d in core.deliveries(accepted.id)]
    )


def open_calendar(
    page: Page, core: CoreFixture, at: datetime, view: str = "timeGridWeek", zone: str = "UTC"
) -> None:
    place = f"/dashboard/calendar?workspace={core.workspace}&zone={zone}"
    page.goto(f"{place}#{view}/{at:%Y-%m-%d}")


def find_card(page: Page, caption: str = "Drag me") -> Locator:
    card = page.locator(".ec-event:not(.ec-preview, .ec-ghost)", has_text=caption)
    expect(card).to_be_visible()
    return card


def find_place(page: Page) -> FloatRect:
    """Return where the card is. It has no place for a moment when the calendar reads its posts again."""
    return until(lambda: find_card(page).bounding_box(), 20, lambda: "the card has no place")


def find_grip(page: Page, card: Locator) -> tuple[float, float] | None:
    """Return a point at the card's left edge where the page shows the card and nothing above it."""
    box = card.bounding_box()
    if box is None:
        return None
    point = box["x"] + 20, box["y"] + 8
    is_shown = page.evaluate("([x, y]) => !!document.elementFromPoint(x, y)?.closest('.ec-event')", point)
    if not is_shown:  # a calendar that reads its posts again scrolls back
        card.evaluate("card => card.scrollIntoView({block: 'center'})")
    return point if is_shown else None


def press(page: Page, card: Locator) -> tuple[float, float]:
    """Hold a card by its left edge, and return where that is."""
    x, y = until(lambda: find_grip(page, card), 20, lambda: "the card has no place where it is seen")
    page.mouse.move(x, y)
    page.mouse.down()
    return x, y


def drag(page: Page, card: Locator, *, right: float = 0, down: float = 0) -> None:
    """Drag a card by its left edge."""
    x, y = press(page, card)
    page.mouse.move(x + 10, y + 10, steps=4)
    page.mouse.move(x + right, y + down, steps=8)
    page.mouse.up()


def due(core: CoreFixture, post: Post) -> datetime:
    found: datetime = core.ledger.delivery(post.deliveries[0]).due_at
    return found


def test_a_card_that_is_dragged_is_rescheduled(browser: Page, core: CoreFixture) -> None:
    post = plan(core)
    before = due(core, post)
    open_calendar(browser, core, before)
    width = browser.locator(".ec-col-head").first.bounding_box()
    assert width is not None
    drag(browser, find_card(browser), right=width["width"], down=2 * HOUR_HEIGHT)
    expect(browser.get_by_text("Rescheduled to")).to_be_visible()
    assert due(core, post) == before + timedelta(days=1, hours=2)
    find_card(browser)
    assert "/dashboard/calendar" in browser.url
    browser.get_by_role("link", name="Open the post").click()
    expect(browser.get_by_role("heading", name="Post", exact=False).first).to_be_visible()


def test_a_card_in_hand_is_not_replaced_by_what_was_read_before(browser: Page, core: CoreFixture) -> None:
    post = plan(core)
    before = due(core, post)
    open_calendar(browser, core, before)
    card = find_card(browser)
    asked: list[Route] = []

    def hold(route: Route) -> None:
        asked.append(route)

    browser.route("**/dashboard/calendar/posts*", hold)
    with browser.expect_request("**/dashboard/calendar/posts*"):
        browser.evaluate("document.body.dispatchEvent(new Event('slipway:posts'))")
    x, y = press(browser, card)
    held = card.element_handle()
    with browser.expect_response("**/dashboard/calendar/posts*") as answer:
        asked[0].continue_()
    answer.value.finished()
    browser.unroute("**/dashboard/calendar/posts*")
    browser.mouse.move(x, y + HOUR_HEIGHT, steps=8)
    assert held.evaluate("card => card.isConnected")
    browser.mouse.up()
    expect(browser.get_by_text("Rescheduled to")).to_be_visible()
    assert due(core, post) == before + timedelta(hours=1)
    expect(find_card(browser)).to_contain_text("13:00")


def test_in_the_month_a_card_keeps_its_time_of_day(browser: Page, core: CoreFixture) -> None:
    post = plan(core)
    before = due(core, post)
    open_calendar(browser, core, before, "dayGridMonth")
    width = browser.locator(".ec-col-head").first.bounding_box()
    assert width is not None
    drag(browser, find_card(browser), right=2 * width["width"])
    expect(browser.get_by_text("Rescheduled to")).to_be_visible()
    assert due(core, post) == before + timedelta(days=2)


ARMED = "armed_at = now(), armed_deadline = now() + interval '1 minute', working_since = now()"
EDITED = "spent = spent + 1, error = NULL, last_attempted_at = now()"


@pytest.mark.parametrize(
    ("meanwhile", "words"),
    [
        (ARMED, "is being sent, or may be live already; nothing was changed"),
        (EDITED, "The post has changed since you read it"),
    ],
)
def test_a_card_goes_back_when_its_post_may_not_be_moved(
    browser: Page, core: CoreFixture, meanwhile: str, words: str
) -> None:
    post = plan(core)
    core.ledger.put(post, State.PUBLISHING)
    before = due(core, post)
    # an open calendar that hears of the change in time shows a card that cannot be dragged
    browser.route("**/dashboard/events*", lambda route: route.abort())
    open_calendar(browser, core, before)
    card, place = find_card(browser), find_place(browser)
    core.ledger.change(post.deliveries[0], meanwhile)
    drag(browser, card, down=2 * HOUR_HEIGHT)
    expect(browser.get_by_text(words)).to_be_visible()
    until(lambda: find_place(browser) == place, 20, lambda: "the card does not go back")
    assert due(core, post) == before


def test_a_new_post_appears_on_an_open_calendar(browser: Page, core: CoreFixture) -> None:
    post = plan(core, "First")
    open_calendar(browser, core, due(core, post))
    find_card(browser, "First")
    core.accept(caption="Second", scheduled_at=due(core, post) + timedelta(hours=2))
    find_card(browser, "Second")


def test_a_card_whose_post_is_over_stays_where_it_is(browser: Page, core: CoreFixture) -> None:
    post = plan(core)
    core.ledger.put(post, State.CANCELLED)
    open_calendar(browser, core, due(core, post))
    card, place = find_card(browser), find_place(browser)
    asked: list[str] = []
    browser.on("request", lambda request: asked.append(request.method))
    drag(browser, card, down=2 * HOUR_HEIGHT)
    assert find_place(browser) == place
    assert "POST" not in asked


def test_the_clocks_are_those_of_the_chosen_zone_whatever_the_browsers_do(
    chromium: Browser, browser: Page, core: CoreFixture
) -> None:
    """In New York, clocks skip 02:30 on 14 March 2027; in Berlin they do not."""
    post = plan(core, due=datetime(2027, 3, 13, 23, 30, tzinfo=UTC))  # 00:30 in Berlin
    state = browser.context.storage_state()
    origin = browser.url.partition("/dashboard")[0]
    with chromium.new_context(
        base_url=origin,
        storage_state=state,
        timezone_id="America/New_York",
        viewport={"width": 1400, "height": 1000},
    ) as context:
        page = context.new_page()
        open_calendar(page, core, datetime(2027, 3, 14, tzinfo=UTC), zone="Europe/Berlin")
        expect(page.get_by_text("clocks in Europe/Berlin (UTC+0")).to_be_visible()
        card = find_card(page, "00:30 Drag me")
        drag(page, card, down=2 * HOUR_HEIGHT)
        expect(page.get_by_text("Rescheduled to 2027-03-14 02:30 Europe/Berlin")).to_be_visible()
        find_card(page, "02:30 Drag me")
    assert due(core, post) == datetime(2027, 3, 14, 1, 30, tzinfo=UTC)


def test_the_zone_of_the_browser_is_the_first_that_is_shown(
    chromium: Browser, browser: Page, core: CoreFixture
) -> None:
    cookies = [one for one in browser.context.cookies() if one["name"] != "slipway-zone"]
    origin = browser.url.partition("/dashboard")[0]
    with chromium.new_context(base_url=origin, timezone_id="Asia/Tokyo") as context:
        context.add_cookies(cookies)  # type: ignore[arg-type]  # as the browser gave them
        page = context.new_page()
        page.goto("/dashboard/")
        page.get_by_role("link", name="Calendar").click()
        expect(page.get_by_text("clocks in Asia/Tokyo (UTC+09:00 now)")).to_be_visible()


def test_the_keyboard_alone_reschedules_a_post(browser: Page, core: CoreFixture) -> None:
    post = plan(core)
    open_calendar(browser, core, due(core, post))
    find_card(browser)
    press_tab_until(browser, find_card(browser).get_by_role("link"))
    browser.keyboard.press("Enter")
    expect(browser.get_by_role("button", name="Reschedule")).to_be_visible()
    press_tab_until(browser, browser.get_by_label("New time"))
    browser.keyboard.type("01022030")
    browser.keyboard.press("Tab")
    browser.keyboard.type("0930AM")
    browser.keyboard.press("Enter")
    expect(browser.get_by_text("Rescheduled.")).to_be_visible()
    assert due(core, post) == datetime(2030, 1, 2, 9, 30, tzinfo=UTC)


def test_hostile_captions_stay_text_in_the_calendar_and_on_the_page(browser: Page, core: CoreFixture) -> None:
    post = plan(core, HOSTILE)
    for view in ("timeGridWeek", "dayGridMonth", "listWeek"):
        open_calendar(browser, core, due(core, post), view)
        browser.reload()
        find_card(browser, HOSTILE)
        assert browser.locator("img").count() == 0
        assert browser.title().startswith("Calendar")
    find_card(browser, HOSTILE).get_by_role("link").click()
    expect(browser.get_by_text(HOSTILE)).to_be_visible()
    assert browser.title().startswith("Post")


def test_the_pages_fit_and_have_no_serious_barrier(browser: Page, core: CoreFixture) -> None:
    post = plan(core)
    for view in ("timeGridWeek", "dayGridMonth", "listWeek"):
        open_calendar(browser, core, due(core, post), view)
        browser.reload()
        find_card(browser)
        check_accessibility(browser, f"calendar-{view}")
