"""The frame's own pages; those of the other modules are checked beside their tests."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from pipeline.domain.account import Role
from tests.pipeline.dashboard.accessibility import check_accessibility, press_tab_until
from tests.pipeline.dashboard.site import Site


@pytest.mark.parametrize("path", ["/dashboard/", "/dashboard/sessions", "/dashboard/nothing-here"])
def test_a_page_has_no_serious_finding(browser: Page, path: str) -> None:
    browser.goto(path)
    check_accessibility(browser, path.rpartition("/")[2] or "attention")


def test_the_login_has_no_serious_finding_before_and_after_a_wrong_password(
    chromium: Browser, site: Site
) -> None:
    with chromium.new_context(base_url=site.url) as context:
        page = context.new_page()
        page.goto("/dashboard/login")
        check_accessibility(page, "login")
        page.get_by_label("Name").fill("someone")
        page.get_by_label("Password").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.get_by_text("do not belong together")).to_be_visible()
        check_accessibility(page, "login-wrong")


def test_the_keyboard_alone_logs_in_goes_to_a_page_and_logs_out(chromium: Browser, site: Site) -> None:
    user = site.add_user({None: Role.VIEWER})
    with chromium.new_context(base_url=site.url) as context:
        page = context.new_page()
        page.goto("/dashboard/login")
        expect(page.get_by_label("Name")).to_be_focused()
        page.keyboard.type(user.login)
        page.keyboard.press("Tab")
        page.keyboard.type(user.password)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Attention")).to_be_visible()
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
