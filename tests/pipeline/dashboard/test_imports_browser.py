"""Imports in a browser: a file is dropped, named, planned, applied, watched and rolled back, and the page follows.

`test_use.py` does it by clicks that are counted and by the keyboard alone.
"""

from __future__ import annotations

import re
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import Locator, Page, expect

from pipeline.runtime.context import Context
from tests.pipeline.dashboard.accessibility import check_accessibility
from tests.pipeline.dashboard.dropped_files import IMPORTS, good, read, work, write_rows
from tests.pipeline.dashboard.site import Site

ATTACK = "<img src=x onerror=\"document.title='attacked'\">"


@pytest.fixture(autouse=True, scope="module")
def other_client(site: Site) -> None:
    """With a second client, the visitor has to choose."""
    site.server.tenant()


def choose_client(page: Page, site: Site) -> None:
    page.get_by_label("Client").select_option(str(site.tenant.workspace))


def find_id(page: Page) -> UUID:
    page.wait_for_url(re.compile(f"{IMPORTS}/[0-9a-f-]{{36}}$"))
    return UUID(page.url.rpartition("/")[2])


def drop_on(page: Page, place: Locator, file: Path) -> None:
    """Drag a file of the machine over a place and drop it there, as a person does."""
    box = place.bounding_box()
    assert box is not None
    data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
    session = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        where = {"x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2}
        session.send("Input.dispatchDragEvent", {"type": kind, **where, "data": data})


def test_a_dropped_file_is_named_planned_applied_and_rolled_back(
    browser: Page, site: Site, context: Context, tmp_path: Path
) -> None:
    bad = [
        good(1, accounts="tiktok:tiktok_usr"),
        good(2, local_time="31.12.2031 25:00"),
        good(3, ATTACK, local_time="2020-01-01 10:00"),
    ]
    month = tmp_path / "december.csv"
    month.write_bytes(write_rows(*map(good, range(17)), *bad))
    browser.goto(IMPORTS)
    choose_client(browser, site)
    drop_on(browser, browser.locator(".drop"), month)
    identity = find_id(browser)
    expect(browser.get_by_text("Waits to be read").first).to_be_visible()
    check_accessibility(browser, "import-reading")
    name = browser.get_by_label("Name")
    name.fill("Half a na")
    work(context, identity)
    expect(browser.get_by_role("button", name="Schedule 17")).to_be_visible()
    expect(name).to_have_value("Half a na")
    expect(name).to_be_focused()
    name.fill("Fjord December")
    browser.keyboard.press("Enter")
    expect(browser.get_by_role("heading", name="Fjord December")).to_be_visible()
    assert read(context, identity).name == "Fjord December"
    rows = browser.locator("li.row.plan")
    expect(rows).to_have_count(20)
    expect(rows.first).to_contain_text("No such account: tiktok:tiktok_usr")
    expect(rows.nth(1)).to_contain_text("31.12.2031 25:00")
    expect(rows.nth(2)).to_contain_text(ATTACK)
    expect(browser.locator("#forecast rect")).to_have_count(17)
    browser.get_by_role("button", name="Schedule 17").click()
    expect(browser.get_by_text("Being scheduled").first).to_be_visible()
    work(context, identity)
    browser.get_by_text("Roll back…").click()
    expect(browser.get_by_role("link", name="Show in queue")).to_be_visible()
    check_accessibility(browser, "import-applied")
    browser.get_by_role("button", name="Roll back").click()
    expect(browser.get_by_text("Being rolled back").first).to_be_visible()
    work(context, identity)
    expect(browser.get_by_text("canceled again", exact=True)).to_be_visible()
    expect(browser.get_by_text("Rolled back", exact=True)).to_be_visible()
    assert read(context, identity).result == {"created": 17, "cancelled": 17}
    assert "attacked" not in browser.title()


def test_a_refused_file_is_said_on_the_page_and_can_be_chosen_again(
    browser: Page, site: Site, tmp_path: Path
) -> None:
    browser.goto(IMPORTS)
    file = tmp_path / "month.csv"
    file.write_bytes(b"%PDF-1.7")
    sent = browser.locator("input[type=file]")
    sent.set_input_files(file)
    expect(browser.locator("select[name=workspace]")).to_be_focused()
    choose_client(browser, site)
    browser.get_by_role("button", name="Read the file").click()
    expect(browser.get_by_text("It is a PDF file.")).to_be_visible()
    file.write_bytes(write_rows(good(1)))
    sent.set_input_files(file)
    find_id(browser)
