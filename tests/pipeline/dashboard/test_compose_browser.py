"""The form of a post in a browser: by clicks that are counted, by the keyboard alone, in two tabs, after a reload.

| task | begins at | clicks at most |
|---|---|---|
| a post to four accounts with a picture, and other words for one | any page | 10 |
| a copy of it tomorrow | the post | 3 |
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from adapters.contract import Platform
from pipeline.domain.account import Role
from pipeline.runtime.context import Context
from tests.pipeline.api.running_server import Tenant
from tests.pipeline.dashboard.accessibility import check_accessibility, press_tab_until
from tests.pipeline.dashboard.hands import Hand, Keys, Mouse
from tests.pipeline.dashboard.site import Site
from tests.pipeline.dashboard.test_compose import NEW, read_post
from tests.pipeline.media import samples

FOUR = (Platform.FACEBOOK, Platform.LINKEDIN, Platform.PINTEREST, Platform.INSTAGRAM)
WORDS = "قهوة الصباح\n珈琲の朝 🫶 #fjordcoffee"


@pytest.fixture(scope="module")
def client(site: Site) -> Tenant:
    return site.server.tenant(platforms=FOUR)


@pytest.fixture
def page(open_window: Callable[..., Page], client: Tenant) -> Page:
    """A page of an author of the client."""
    return open_window({client.workspace: Role.AUTHOR}, viewport={"width": 1440, "height": 1000})


@pytest.mark.parametrize("hand_of", [Mouse, Keys])
def test_a_post_is_written_and_copied(
    page: Page, client: Tenant, context: Context, tmp_path: Path, hand_of: Callable[[Page], Hand]
) -> None:
    picture = tmp_path / "coffee.jpg"
    picture.write_bytes(samples.image("JPEG", (800, 600)))
    page.goto("/dashboard/queue")
    hand = hand_of(page)
    hand.press(page.get_by_role("link", name="New post"))
    is_mouse = isinstance(hand, Mouse)
    for platform in FOUR:
        box = page.locator("#choices li", has_text=f"{platform}_user").get_by_role("checkbox")
        if is_mouse:
            hand.press(box)
        else:
            press_tab_until(page, box)
            page.keyboard.press("Space")
    page.locator("#f-caption").fill(WORDS)
    hand.pick_file(page.get_by_text("Choose files") if is_mouse else page.locator("[data-picker]"), picture)
    expect(page.locator("#files li")).to_contain_text("coffee.jpg")
    hand.press(page.locator("#own-words > summary"))
    hand.press(page.locator("#own-words details > summary", has_text="linkedin_user"))
    page.get_by_label("Own words of linkedin_user").fill("For colleagues")
    expect(page.locator(".previews summary", has_text="linkedin_user")).to_contain_text("own words")
    hand.press(page.get_by_role("button", name="Schedule"))
    page.wait_for_url(re.compile(r"did=new$"))
    post, parts = read_post(context, page.url)
    assert post.caption == WORDS
    assert parts[client.accounts[Platform.LINKEDIN]].own["caption"] == "For colleagues"
    assert len(parts) == len(FOUR)
    assert hand.clicks <= 10
    before = hand.clicks
    hand.press(page.get_by_role("link", name="Duplicate"))
    expect(page.locator("#f-caption")).to_have_value(WORDS)
    hand.press(page.get_by_role("button", name="Schedule"))
    page.wait_for_url(re.compile(r"did=new$"))
    assert hand.clicks - before <= 3


def test_what_is_typed_outlives_a_reload_a_lost_connection_and_a_session(
    page: Page, site: Site, client: Tenant
) -> None:
    page.goto(f"{NEW}?empty=1")
    page.locator("#f-caption").fill("Typed and reloaded at once")
    page.reload()
    expect(page.locator("#kept")).to_contain_text("Kept")  # what this tab held was given back, and is saved
    expect(page.locator("#f-caption")).to_have_value("Typed and reloaded at once")
    page.context.set_offline(True)
    page.locator("#f-caption").fill("Typed without a connection")
    page.wait_for_event("requestfailed")
    page.context.set_offline(False)
    page.reload()
    expect(page.locator("#f-caption")).to_have_value("Typed without a connection")
    other = page.context.new_page()
    other.goto(NEW)
    expect(other.locator("#f-caption")).to_have_value("Typed without a connection")
    other.locator("#f-caption").fill("From another tab")
    expect(other.locator("#kept")).to_contain_text("Kept")
    with other.expect_response(re.compile("/new/check$")):
        other.locator("#f-caption").press("End")
        other.locator("#f-caption").type("!")
    page.locator("#f-caption").fill("From the first")
    expect(page.get_by_role("alert").filter(has_text="another tab")).to_contain_text("From another tab")
    page.get_by_role("button", name="Keep what is here").click()
    expect(page.get_by_role("alert").filter(has_text="another tab")).to_have_count(0)
    other.reload()
    expect(other.locator("#f-caption")).to_have_value("From the first")


def test_a_saved_group_adds_its_accounts(page: Page) -> None:
    page.goto(f"{NEW}?empty=1")
    boxes = page.locator("#choices").get_by_role("checkbox")
    for n in range(2):
        boxes.nth(n).check()
    page.locator("#groups > summary").click()
    page.get_by_label("Name of a group of the 2 chosen").fill("Mornings")
    page.keyboard.press("Enter")  # which throws nothing away: the form is only checked
    expect(page.locator("#kept")).to_contain_text("Kept")
    press_tab_until(page, page.get_by_role("button", name="Save as group"))
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Mornings 2")).to_be_visible()
    check_accessibility(page)
    boxes.nth(1).uncheck()
    boxes.nth(2).check()
    page.get_by_role("button", name="Mornings 2").click()
    expect(page.locator("#choices :checked")).to_have_count(3)
    expect(page.locator("legend")).to_contain_text(["3 of", "", "", ""])
    page.get_by_role("button", name="Remove Mornings").click()
    expect(page.get_by_role("button", name="Mornings 2")).to_have_count(0)


def test_on_a_phone_the_preview_is_behind_a_tab_and_nothing_typed_is_lost(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{NEW}?empty=1")
    page.locator("#choices").get_by_text("pinterest_user").click()
    page.locator("#f-caption").fill("Typed on a phone")
    expect(page.locator(".previews")).to_be_hidden()
    press_tab_until(page, page.get_by_label("Write", exact=True))
    with page.expect_response(re.compile("/new/check$")):
        page.keyboard.press("ArrowRight")
    expect(page.locator(".previews")).to_be_visible()
    expect(page.locator("#f-caption")).to_be_hidden()
    check_accessibility(page, "compose-preview")
    page.set_viewport_size({"width": 390, "height": 844})
    page.locator("[data-first]").click()
    expect(page.locator("#f-caption")).to_have_value("Typed on a phone")
    expect(page.locator("#f-caption")).to_be_visible()
