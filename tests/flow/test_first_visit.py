"""A first visit, by the links that the pages of an empty client give: an account, a post, and the post live."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, expect

from pipeline.domain.account import Role
from pipeline.store.auth.users import create_user, hash_password, set_role
from pipeline.store.auth.workspaces import create_workspace
from tests.pipeline.dashboard import conftest as pages
from tests.pipeline.dashboard.accessibility import check_accessibility
from tests.pipeline.dashboard.site import PASSWORD
from tests.stack import Stack

chromium = pages.chromium


def test_the_empty_pages_lead_from_the_login_to_a_live_post(stack: Stack, chromium: Browser) -> None:
    login, caption = f"new-{stack.owner}", f"Our first post {stack.owner}"
    with stack.context.database.begin() as c:
        workspace = create_workspace(c, name=f"Client of {stack.owner}")
        set_role(c, create_user(c, login, hash_password(PASSWORD)), workspace, Role.ADMIN)
    with chromium.new_context(base_url=stack.api, viewport={"width": 1440, "height": 900}) as context:
        context.set_default_timeout(60_000)
        page = context.new_page()
        page.goto("/dashboard/")
        page.get_by_label("Name").fill(login)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("main").get_by_role("link", name="Connect an account").click()
        check_accessibility(page, "no-account")
        page.set_viewport_size({"width": 1440, "height": 900})
        page.get_by_role("link", name="Connect an account").click()
        page.locator("#connect [name=platform]").select_option("linkedin")
        page.get_by_role("button", name="Connect", exact=True).click()
        with context.expect_page() as opened:
            page.get_by_role("link", name="Go to LinkedIn").click()
        consent = opened.value
        consent.get_by_label("or a new account named").fill(stack.owner)
        consent.get_by_role("button", name="Allow").click()
        consent.get_by_role("button", name="Connect", exact=True).click()
        expect(consent.get_by_text(stack.owner).first).to_be_visible()
        consent.close()
        page.get_by_role("link", name="Back to the accounts").click()
        expect(page.locator(".row.of-account")).to_contain_text(stack.owner)
        page.get_by_role("navigation", name="Pages").get_by_role("link", name="Queue").click()
        page.get_by_role("link", name="Show all posts").click()
        page.get_by_role("main").get_by_role("link", name="New post").click()
        page.locator("#choices").get_by_text(stack.owner).click()
        page.locator("#f-caption").fill(caption)
        page.get_by_label("Now", exact=True).check()
        page.get_by_role("button", name="Publish now").click()
        page.wait_for_url(re.compile("did=new$"))
        expect(page.locator("main .chip", has_text="Live").first).to_be_visible()
    assert len(stack.live(caption)) == 1
