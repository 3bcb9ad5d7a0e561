"""The frame of every page in a browser: the login, errors, what htmx does with an answer, and live events."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import requests
from playwright.sync_api import Page, expect

from pipeline.domain.account import Role
from pipeline.domain.delivery import State
from pipeline.store.auth.users import end_sessions_of, find_user
from tests.pipeline.api.running_server import video
from tests.pipeline.dashboard.accessibility import check_accessibility, press_tab_until
from tests.pipeline.dashboard.site import HOME, Client, Site
from tests.pipeline.store.ledger import Ledger

QUEUE = "/dashboard/queue"
ADD = """html => {
    document.querySelector("main").insertAdjacentHTML("beforeend", html);
    htmx.process(document.querySelector("main"));
}"""


def test_the_keyboard_alone_logs_in_goes_to_a_page_and_logs_out(
    open_window: Callable[..., Page], site: Site
) -> None:
    user = site.add_user({None: Role.VIEWER})
    page = open_window(None)
    page.goto("/dashboard/login")
    for password in ("wrong", user.password):
        expect(page.get_by_label("Name")).to_be_focused()
        page.keyboard.press("Control+A")
        page.keyboard.type(user.login)
        page.keyboard.press("Tab")
        page.keyboard.type(password)
        page.keyboard.press("Enter")
        if password == "wrong":
            expect(page.get_by_text("do not belong together")).to_be_visible()
            check_accessibility(page, "login-wrong")
            page.get_by_label("Name").focus()
    expect(page.get_by_role("heading", name="Attention")).to_be_visible()
    kept = {one["name"] for one in page.context.cookies() if one["httpOnly"]}
    assert kept == {"slipway", "slipway-login"}
    assert not [name for name in kept if f"{name}=" in page.evaluate("document.cookie")]
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.get_by_role("main")).to_be_focused()
    page.goto("/dashboard/")
    press_tab_until(page, page.get_by_role("link", name="Settings"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Settings")).to_be_visible()
    press_tab_until(page, page.locator(".foot summary"))
    page.keyboard.press("Enter")
    press_tab_until(page, page.get_by_role("button", name="Sign out"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_page_that_is_not_there_has_no_serious_finding(browser: Page) -> None:
    browser.goto("/dashboard/nothing-here")
    check_accessibility(browser, "nothing-here")


# --- htmx: whatever the element that asked says about target and swap ------------------------------------------------


def add(page: Page, **attributes: str) -> None:
    """Add a button and a place to the page, as a template would write them."""
    given = " ".join(f'hx-{name}="{value}"' for name, value in attributes.items())
    page.evaluate(ADD, f'<div id="place">before</div><button {given}>Press</button>')


def press(page: Page) -> None:
    """Press the button of `add`."""
    page.get_by_role("button", name="Press").click()


@pytest.mark.usefixtures("home")
def test_an_error_is_shown_as_a_notice_and_the_place_stays(browser: Page) -> None:
    asked = {"target": "#place", "select": "#place", "swap": "outerHTML"}
    add(browser, get="/dashboard/no-such-page", **asked)
    press(browser)
    expect(browser.get_by_role("alert")).to_contain_text("Not found")
    expect(browser.locator("#place")).to_have_text("before")
    browser.evaluate("document.querySelector('button[hx-get]').remove()")
    add(browser, post="/dashboard/sessions/no-id/end", **asked)
    press(browser)
    expect(browser.get_by_role("alert")).to_have_count(1)
    expect(browser.get_by_role("alert")).to_contain_text("Not found")


@pytest.mark.usefixtures("home")
def test_a_part_that_is_loaded_after_the_session_has_ended_leads_to_the_login(
    browser: Page, site: Site
) -> None:
    login = browser.locator(".person strong").inner_text()
    browser.goto("/dashboard/sessions?a=1")
    add(browser, get="/dashboard/sessions", target="#place", trigger="ended from:body")
    with site.server.context.database.begin() as c:
        end_sessions_of(c, find_user(c, login))
    # The counts beside the navigation load themselves too: whichever part asks first leads to the login.
    browser.evaluate("htmx.trigger(document.body, 'ended')")
    expect(browser).to_have_url(f"{site.url}/dashboard/login?next=%2Fdashboard%2Fsessions%3Fa%3D1")


@pytest.mark.usefixtures("home")
def test_libraries_work_under_the_policy_and_scripts_in_an_answer_do_not_run(browser: Page) -> None:
    """The fixture fails the test if the browser refuses a style or a script."""
    assert browser.evaluate("typeof Idiomorph.morph") == "function"
    assert browser.evaluate("htmx.config.allowEval") is False
    browser.evaluate(
        """() => htmx.swap("main", '<p id="new" hx-on:click="window.ran = 1">new</p><script>window.ran = 2</' +
                 'script>', {swapStyle: "beforeend"})"""
    )
    browser.locator("#new").click()
    assert browser.evaluate("window.ran") is None


# --- live events -----------------------------------------------------------------------------------------------------


def make_post(site: Site) -> str:
    body = video(site.tenant)
    assert site.server.post(body, site.tenant.key).status_code == 201
    caption: str = body["caption"]
    return caption


def test_an_open_page_says_by_itself_that_there_is_a_post(browser: Page, http: Client, site: Site) -> None:
    assert make_post(site) in http.get(QUEUE).text
    with browser.expect_response("**/dashboard/events?*") as opened:
        browser.goto(QUEUE)
    assert opened.value.status == 200
    for _ in range(2):
        caption = make_post(site)
        browser.get_by_role("link", name="1 new").click()
        expect(browser.locator(".row.queue").filter(has_text=caption)).to_be_visible()


def test_an_open_page_follows_what_needs_somebody(browser: Page, ledger: Ledger) -> None:
    client = ledger.workspace()
    ledger.update("workspaces", client, "name = 'Lantern House'")
    browser.goto(HOME)
    ledger.post([ledger.account(client)], State.FAILED)
    browser.evaluate("document.body.dispatchEvent(new CustomEvent('slipway:attention'))")
    expect(browser.locator("#attention")).to_contain_text("Lantern House")


def test_an_open_page_leads_to_the_login_when_its_session_is_ended(browser: Page, site: Site) -> None:
    with browser.expect_response("**/dashboard/events?*"):
        browser.goto(QUEUE)
    cookies = {one["name"]: one["value"] for one in browser.context.cookies()}
    csrf = browser.locator('input[name="csrf"]').first.get_attribute("value")
    ended = requests.post(
        f"{site.url}/dashboard/logout",
        {"csrf": csrf},
        cookies=cookies,
        headers={"Origin": site.url},
        timeout=30,
    )
    assert ended.ok
    expect(browser).to_have_url(re.compile("/dashboard/login"))


def test_a_page_that_cannot_reach_its_events_tries_again(browser: Page) -> None:
    browser.route("**/dashboard/events?*", lambda route: route.fulfill(status=503), times=1)
    with browser.expect_response(lambda answer: "/dashboard/events?" in answer.url and answer.status == 200):
        browser.goto(HOME)
