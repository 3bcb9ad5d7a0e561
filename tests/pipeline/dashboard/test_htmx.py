"""What htmx does with the answers of the dashboard, whatever the element that asked says about target and swap."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from pipeline.store.auth.users import end_sessions_of, find_user
from tests.pipeline.dashboard.site import Site

ADD = """html => {
    document.querySelector("main").insertAdjacentHTML("beforeend", html);
    htmx.process(document.querySelector("main"));
}"""


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
def test_scripts_and_handlers_in_an_answer_do_not_run(browser: Page) -> None:
    browser.evaluate(
        """() => htmx.swap("main", '<p id="new" hx-on:click="window.ran = 1">new</p><script>window.ran = 2</' +
                 'script>', {swapStyle: "beforeend"})"""
    )
    browser.locator("#new").click()
    assert browser.evaluate("window.ran") is None
