"""The queue in a browser: from a failed post to the retry of its whole cause, by keyboard, live, narrow and wide."""

from __future__ import annotations

import re
from collections.abc import Sequence
from uuid import UUID

import pytest
from playwright.sync_api import Page, expect

from pipeline.actions.steer_step import run_steering_step
from pipeline.domain.delivery import State
from pipeline.runtime.context import Context
from pipeline.store.database import new_id, row
from tests.pipeline.dashboard.accessibility import check_accessibility
from tests.pipeline.dashboard.site import HOME
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


def test_find_a_failed_post_read_why_and_retry_all_of_its_cause(
    browser: Page, context: Context, ledger: Ledger
) -> None:
    posts = fail(ledger, 3, f"Spring sale {ATTACK}")
    other = ledger.fresh(State.FAILED)
    line = browser.get_by_role("row", name="platform outage")
    browser.reload()
    expect(line).to_contain_text("3")
    line.get_by_role("button", name=re.compile("^Show")).click()
    browser.get_by_label("Text").fill("spring SALE")
    browser.get_by_role("button", name="Filter").click()
    expect(browser.locator("tr[id^=row-]")).to_have_count(3)
    shown = browser.locator("tr[id^=row-]").first
    expect(shown).to_contain_text(ATTACK)
    expect(shown).to_contain_text("It answered 503 for six hours.")
    assert browser.locator("main img").count() == 0
    browser.get_by_label("all that match the filter").check()
    browser.get_by_role("button", name="Retry").click()
    expect(browser.get_by_role("heading", name="Retry 3 deliveries?")).to_be_visible()
    browser.get_by_role("button", name="Yes, retry 3").click()
    expect(browser.get_by_text("0 done, 0 skipped, of 3")).to_be_visible()
    job = UUID(browser.url.rpartition("/")[2])
    for _ in range(3):
        run_steering_step(context, job)
    expect(browser.get_by_text("done, 3 done, 0 skipped, of 3")).to_be_visible()
    browser.reload()
    expect(browser.get_by_role("row")).to_have_count(4)
    assert "attacked" not in browser.title()
    assert State.FAILED not in list_states(ledger, posts)
    assert ledger.states(other) == [State.FAILED]


def test_the_keyboard_alone_selects_counts_and_confirms(browser: Page, ledger: Ledger) -> None:
    [post] = ledger.posts(1, [ledger.account(ledger.workspace())], due=HOUR)
    browser.goto(f"{QUEUE}?text={post.id}")

    def tab_to(name: str) -> None:
        for _ in range(60):
            browser.keyboard.press("Tab")
            focused = browser.evaluate(
                "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent.trim()"
            )
            if name in focused:
                return
        pytest.fail(f"{name} is not reached by the keyboard")

    browser.keyboard.press("Tab")
    expect(browser.get_by_role("link", name="Skip to the content")).to_be_focused()
    browser.keyboard.press("Enter")
    tab_to("Select ")
    while not browser.locator("input[name=delivery]:focus").count():
        browser.keyboard.press("Tab")
    browser.keyboard.press("Space")
    for _ in range(30):
        browser.keyboard.press("Shift+Tab")
        if browser.evaluate("document.activeElement.value") == "cancel":
            break
    browser.keyboard.press("Enter")
    expect(browser.get_by_role("button", name="Yes, cancel 1")).to_be_focused()
    browser.keyboard.press("Enter")
    expect(browser.get_by_role("heading", name="Cancel: job")).to_be_visible()


def test_an_open_page_follows_the_posts_and_keeps_the_selection(browser: Page, ledger: Ledger) -> None:
    account = ledger.account(ledger.workspace())
    first = ledger.post([account], due=HOUR)
    browser.goto(f"{QUEUE}?account={account}")
    box = browser.locator(f"#pick-{first.deliveries[0]}")
    box.check()
    ledger.post([account], due=2 * HOUR)
    browser.evaluate("document.body.dispatchEvent(new CustomEvent('slipway:posts'))")
    expect(browser.locator("tr[id^=row-]")).to_have_count(2)
    expect(box).to_be_checked()
    browser.get_by_label("Select all on this page").check()
    expect(browser.locator("input[name=delivery]:checked")).to_have_count(2)


def test_attention_leads_to_the_replay_of_a_cause_which_a_job_does(
    browser: Page, context: Context, ledger: Ledger
) -> None:
    cause = new_id().hex
    posts = fail(ledger, 3, "Autumn sale", OUTAGE.replace("platform_outage", cause))
    other = ledger.fresh(State.FAILED)
    browser.reload()
    line = browser.get_by_role("row", name=cause)
    line.get_by_role("button", name=re.compile("^Replay")).click()
    expect(browser.get_by_role("heading", name="Replay 3 deliveries?")).to_be_visible()
    expect(browser.get_by_role("region", name="Causes")).to_contain_text(cause)
    browser.get_by_role("button", name="Yes, replay 3").click()
    expect(browser.get_by_text("0 done, 0 skipped, of 3")).to_be_visible()
    job = UUID(browser.url.rpartition("/")[2])
    browser.goto(HOME)
    for _ in range(3):
        run_steering_step(context, job)
    browser.goto(f"/dashboard/jobs/{job}")
    expect(browser.get_by_text("done, 3 done, 0 skipped, of 3")).to_be_visible()
    assert State.FAILED not in list_states(ledger, posts)
    assert ledger.states(other) == [State.FAILED]


def test_letters_are_given_up_with_a_reason(browser: Page, context: Context, ledger: Ledger) -> None:
    [post] = fail(ledger, 1, new_id().hex)
    browser.goto(f"{QUEUE}?text={post.id}")
    browser.get_by_label("all that match the filter").check()
    browser.locator("summary", has_text="Discard").click()
    why = browser.locator("input[name=why_discard]")
    browser.get_by_role("button", name="Discard", exact=True).click()
    expect(browser.get_by_text("Give the reason why they are given up.")).to_be_visible()
    browser.go_back()
    browser.get_by_label("all that match the filter").check()
    if not why.is_visible():
        browser.locator("summary", has_text="Discard").click()
    why.fill("The campaign is over.")
    browser.get_by_role("button", name="Discard", exact=True).click()
    expect(browser.get_by_text("Why: The campaign is over.")).to_be_visible()
    browser.get_by_role("button", name="Yes, discard 1").click()
    expect(browser.get_by_text("0 done, 0 skipped, of 1")).to_be_visible()
    run_steering_step(context, UUID(browser.url.rpartition("/")[2]))
    expect(browser.get_by_text("done, 1 done, 0 skipped, of 1")).to_be_visible()
    check_accessibility(browser, "discarded")


def test_every_page_is_accessible_narrow_and_wide_light_and_dark(
    browser: Page, context: Context, ledger: Ledger
) -> None:
    [post] = fail(ledger, 1, "Donaudampfschifffahrtsgesellschaft" * 8)
    unknown = ledger.fresh(State.UNKNOWN)
    for name, path in {
        "attention": HOME,
        "queue": f"{QUEUE}?text={post.id}&error_class=Unavailable",
        "decide": f"/dashboard/deliveries/{unknown.deliveries[0]}/decide",
        "replay": f"{QUEUE}/count?action=replay&scope=all&filter=state%3Dfailed",
    }.items():
        browser.goto(path)
        check_accessibility(browser, name)
    browser.goto(f"{QUEUE}?text={post.id}")
    browser.get_by_label("all that match the filter").check()
    browser.get_by_role("button", name="Retry").click()
    check_accessibility(browser, "count")
    browser.get_by_role("button", name="Yes, retry 1").click()
    expect(browser.get_by_text("0 done, 0 skipped, of 1")).to_be_visible()
    check_accessibility(browser, "job")
    browser.goto("/dashboard/jobs")
    check_accessibility(browser, "jobs")
