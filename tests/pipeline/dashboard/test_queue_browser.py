"""The queue in a browser: from a failed post to the retry of its whole cause, by keyboard, live, narrow and wide."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from uuid import UUID

import pytest
from playwright.sync_api import Locator, Page, expect

from pipeline.actions.steer_step import run_steering_step
from pipeline.domain.delivery import State
from pipeline.runtime.context import Context
from pipeline.store.database import new_id, row
from tests.pipeline.dashboard.accessibility import NARROW, check_accessibility
from tests.pipeline.store.ledger import HOUR, Ledger, Post

QUEUE = "/dashboard/queue"
ATTACK = "<img src=x onerror=\"document.title='attacked'\">"
OUTAGE = """error = '{"class": "Unavailable", "code": "platform_outage", "fault": "platform",
                      "message": "It answered 503 for six hours."}'"""


def fail(ledger: Ledger, number: int, caption: str, cause: str = OUTAGE) -> list[Post]:
    """Posts of one account that failed for one cause."""
    posts = ledger.posts(number, [ledger.account(ledger.workspace())], State.FAILED)
    with ledger.database.begin() as c:
        for post in posts:
            row(c, "UPDATE posts SET caption = :t WHERE id = :id RETURNING id", t=caption, id=post.id)
    for post in posts:
        ledger.change(post.deliveries[0], cause)
    return posts


def list_states(ledger: Ledger, posts: Sequence[Post]) -> set[State]:
    return {state for post in posts for state in ledger.states(post)}


@pytest.mark.usefixtures("home")
def test_words_find_a_post_and_all_of_its_cause_are_tried_again(
    browser: Page, context: Context, ledger: Ledger
) -> None:
    posts = fail(ledger, 3, f"Spring sale {ATTACK}")
    other = ledger.fresh(State.FAILED)
    browser.keyboard.press("/")
    expect(browser.get_by_label("Find posts")).to_be_focused()
    browser.keyboard.type("spring SALE")
    browser.keyboard.press("Enter")
    rows = browser.locator(".row.queue")
    expect(rows).to_have_count(3)
    expect(rows.first).to_contain_text(ATTACK)
    expect(rows.first).to_contain_text("It answered 503 for six hours.")
    assert browser.locator("main img[src=x]").count() == 0
    rows.first.get_by_role("checkbox").check()
    browser.get_by_role("button", name="Select all 3").click()
    browser.get_by_role("button", name="Try again", exact=True).click()
    expect(browser.get_by_role("heading", name="Try again: 3 posts at 3 accounts?")).to_be_visible()
    browser.get_by_role("button", name="Yes, try again 3").click()
    expect(browser.get_by_text("0 done, 0 skipped, of 3")).to_be_visible()
    job = UUID(browser.url.rpartition("/")[2])
    for _ in range(3):
        run_steering_step(context, job)
    expect(browser.get_by_text("done, 3 done, 0 skipped, of 3")).to_be_visible()
    assert "attacked" not in browser.title()
    assert State.FAILED not in list_states(ledger, posts)
    assert ledger.states(other) == [State.FAILED]


def test_the_keyboard_alone_selects_and_cancels(browser: Page, context: Context, ledger: Ledger) -> None:
    posts = ledger.posts(2, [ledger.account(ledger.workspace())], due=HOUR)
    caption = new_id().hex
    for post in posts:
        ledger.update("posts", post.id, "caption = :t", t=caption)
    browser.goto(f"{QUEUE}?text={caption}")
    browser.keyboard.press("j")
    browser.keyboard.press("j")
    expect(browser.locator(".row.here a")).to_be_focused()
    browser.keyboard.press("k")
    browser.keyboard.press("x")
    expect(browser.locator(".row.here input.pick-one")).to_be_checked()
    expect(browser.get_by_text("1 selected")).to_be_visible()
    browser.keyboard.press("Escape")
    expect(browser.get_by_text("1 selected")).to_be_hidden()
    browser.keyboard.press("x")
    press_tab_back_until(browser, browser.get_by_role("button", name="Cancel", exact=True))
    browser.keyboard.press("Enter")
    expect(browser.locator("#toast")).to_contain_text("Canceled 0 of 1")
    job = UUID(browser.url.rpartition("job=")[2])
    for _ in range(2):
        run_steering_step(context, job)
    expect(browser.locator("#toast")).to_contain_text("Canceled 1")
    [live] = ledger.posts(1, [ledger.account(ledger.workspace())], State.PUBLISHED)
    browser.goto(f"{QUEUE}?text={live.id}")
    browser.keyboard.press("j")
    browser.keyboard.press("x")
    bar = browser.locator(".select-bar")
    expect(bar.get_by_text("Nothing in this bar fits")).to_be_visible()
    expect(bar.locator("[data-verb]:visible")).to_have_count(0)
    assert sorted(list_states(ledger, posts)) == [State.CANCELLED, State.SCHEDULED]


def press_tab_back_until(browser: Page, control: Locator) -> None:
    """Press Shift and Tab until the control has the focus."""
    for _ in range(60):
        if control.evaluate("element => element === document.activeElement"):
            return
        browser.keyboard.press("Shift+Tab")
    pytest.fail("The control is not reached by the keyboard.")


def test_updates_move_neither_scroll_nor_focus_nor_selection_nor_an_open_menu(
    browser: Page, ledger: Ledger
) -> None:
    account = ledger.account(ledger.workspace())
    posts = ledger.posts(30, [account], State.FAILED)
    browser.goto(f"{QUEUE}?account={account}&state=failed&when=all")
    rows = browser.locator(".row.queue")
    expect(rows).to_have_count(30)
    order = [row.get_attribute("id") for row in rows.all()]
    box = browser.locator(f"#pick-{posts[3].id}")
    box.check()
    browser.locator(".filters summary", has_text="More").click()
    browser.get_by_label("Words").fill("half typed")
    browser.evaluate("scrollTo(0, 500)")
    at = (browser.evaluate("scrollY"), rows.nth(15).bounding_box())
    for post in posts[:20]:
        ledger.put(post, State.PUBLISHED)
    ledger.posts(3, [account], State.FAILED)
    browser.evaluate("document.body.dispatchEvent(new CustomEvent('slipway:posts'))")
    expect(browser.get_by_role("link", name="3 new")).to_be_visible()
    expect(browser.locator(".chip", has_text="Live")).to_have_count(20)
    assert [row.get_attribute("id") for row in rows.all()] == order
    assert (browser.evaluate("scrollY"), rows.nth(15).bounding_box()) == at
    expect(box).to_be_checked()
    expect(browser.get_by_label("Words")).to_be_focused()
    expect(browser.get_by_label("Words")).to_have_value("half typed")
    browser.get_by_role("link", name="3 new").click()
    expect(rows).to_have_count(13)


def test_a_list_that_does_not_load_keeps_its_rows_and_says_so_until_it_does(
    browser: Page, ledger: Ledger
) -> None:
    [post] = fail(ledger, 1, new_id().hex)
    browser.goto(f"{QUEUE}?text={post.id}")
    strip, rows = (
        browser.get_by_role("alert").filter(has_text="Posts did not load."),
        browser.locator(".row.queue"),
    )
    for name, answer in {
        "failed": lambda route: route.fulfill(
            status=503, body="<p class=error>away</p>", content_type="text/html"
        ),
        "": lambda route: route.abort(),
    }.items():
        browser.route("**/dashboard/queue?*", answer)
        browser.evaluate("document.body.dispatchEvent(new Event('slipway:posts'))")
        expect(strip).to_have_count(1)
        expect(strip).to_contain_text(re.compile(r"What is shown is from \d\d:\d\d"))
        expect(rows).to_have_count(1)
        if name:
            check_accessibility(browser, name)
        browser.unroute("**/dashboard/queue?*")
        strip.get_by_role("button", name="Try again").click()
        expect(strip).to_have_count(0)
        expect(rows).to_have_count(1)


def test_a_page_that_takes_its_time_has_grey_rows_until_it_comes(browser: Page, ledger: Ledger) -> None:
    [post] = fail(ledger, 1, new_id().hex)
    browser.goto(f"{QUEUE}?text={post.id}")
    caption = browser.locator(".row.queue .caption")
    height = browser.locator(".row.queue").evaluate("row => row.offsetHeight")
    browser.route(
        "**/dashboard/queue?when=late", lambda route: route.fulfill(status=204)
    )  # the page is not left
    browser.evaluate("location.href = '/dashboard/queue?when=late'")
    expect(browser.locator("main.loading")).to_be_visible()
    expect(caption).to_be_hidden()
    assert browser.locator(".row.queue").evaluate("row => row.offsetHeight") == height
    browser.keyboard.press("Escape")
    expect(caption).to_be_visible()


def test_a_finger_that_stays_on_a_row_selects_it_and_follows_no_link(
    open_window: Callable[..., Page], ledger: Ledger
) -> None:
    posts = ledger.posts(2, [ledger.account(ledger.workspace())], due=HOUR)
    caption = new_id().hex
    for post in posts:
        ledger.update("posts", post.id, "caption = :t", t=caption)
    page = open_window(has_touch=True, viewport=NARROW)
    page.goto(f"{QUEUE}?text={caption}")
    link, touch = page.locator(f"#row-{posts[0].id} .caption"), page.context.new_cdp_session(page)
    box = link.bounding_box()
    assert box is not None
    point = {"x": box["x"] + 10, "y": box["y"] + 5}
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [point]})
    expect(page.get_by_text("1 selected")).to_be_visible()
    expect(page.locator(f"#pick-{posts[0].id}")).to_be_checked()
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert page.url.endswith(caption)
    page.locator(f"#row-{posts[1].id} .caption").tap()
    page.wait_for_url(f"**/dashboard/posts/{posts[1].id}")


def test_a_stream_that_is_gone_is_said_after_five_seconds_and_comes_back(browser: Page) -> None:
    browser.goto(QUEUE)
    expect(browser.locator("#live")).to_have_text("Live")
    browser.route("**/dashboard/events*", lambda route: route.abort())
    browser.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # it opens the stream anew
    expect(browser.locator("#live")).to_have_text(re.compile(r"Not live since \d\d:\d\d"))
    browser.unroute("**/dashboard/events*")
    expect(browser.locator("#live")).to_have_text("Live")
