"""The reference in a browser: search, links that open what they name, languages, line length, and no finding of axe."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.pipeline.api.running_server import Server
from tests.pipeline.dashboard.accessibility import check_accessibility
from tests.pipeline.dashboard.conftest import CHROMIUM, MISSING

LONGEST_LINE = """() => {
  let longest = "";
  const range = document.createRange();
  for (const element of document.querySelectorAll(".text p, .lead p, .text li"))
    for (const node of element.childNodes) {
      if (node.nodeType !== Node.TEXT_NODE || !element.checkVisibility()) continue;
      let top = null, line = "";
      for (const word of node.textContent.matchAll(/\\S+\\s*/g)) {
        range.setStart(node, word.index);
        range.setEnd(node, word.index + 1);
        const found = range.getBoundingClientRect().top;
        line = found === top ? line + word[0] : word[0];
        top = found;
        if (line.length > longest.length) longest = line;
      }
    }
  return longest;
}"""
"""The longest run of text in one line, in the elements that hold sentences."""
SIZES = [(390, 844), (768, 1024), (1280, 900), (1440, 900)]


@pytest.fixture(scope="module")
def page(server: Server) -> Iterator[Page]:
    """The reference in Debian's chromium. A refused resource, or an error of the script, fails the tests."""
    if not CHROMIUM.exists():
        pytest.skip(MISSING)
    refused: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(base_url=server.url, viewport={"width": 1280, "height": 900})
        page.set_default_timeout(60_000)
        page.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: refused.append(str(error)))
        page.goto("/reference")
        yield page
        browser.close()
    assert refused == []


@pytest.fixture(autouse=True)
def start(page: Page) -> None:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.goto("/reference")


def search(page: Page, words: str) -> list[str]:
    page.keyboard.press("/")
    page.get_by_role("searchbox").fill(words)
    expect(page.locator(".contents")).to_be_hidden()
    found = page.locator("#results a").evaluate_all("links => links.map(one => one.getAttribute('href'))")
    return [str(href) for href in found]


def test_search_finds_fields_codes_and_the_sentence_of_a_refusal(page: Page) -> None:
    assert search(page, "post_mode")[0].endswith("-tiktok-post_mode")
    assert "#error-post_in_flight" in search(page, "post_in_flight")
    assert "#createPost-body-scheduled_at" in search(page, "is in the past (now")
    assert "#platform-pinterest" in search(page, "pinterest carousel")
    assert search(page, "no such words anywhere") == []
    expect(page.locator("#results")).to_contain_text("Nothing found")
    page.keyboard.press("Escape")
    expect(page.locator(".contents")).to_be_visible()


def test_the_first_result_is_one_key_away(page: Page) -> None:
    search(page, "MEDIA_CONVERTED")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("#warning-media_converted$"))
    expect(page.locator("#warning-media_converted")).to_be_in_viewport()


def test_a_link_opens_what_it_names(page: Page) -> None:
    assert page.locator("details [id]").count() == 0, "nothing with an address is folded away"
    for name in ("error-rate_limited", "createPost-body-media-video-url", "platform-youtube"):
        page.goto(f"/reference#{name}")
        expect(page.locator(f"[id='{name}']")).to_be_in_viewport()
    page.goto("/reference")
    page.get_by_role("navigation").get_by_role("link", name="/posts/{post_id}/explain").click()
    expect(page.locator("#explainPost")).to_be_in_viewport()


def test_one_choice_shows_every_sample_in_its_language(page: Page) -> None:
    page.get_by_role("radio", name="Python").check()
    assert page.locator("pre.python").filter(visible=True).count() > 40
    assert page.locator("pre.curl, pre.typescript").filter(visible=True).count() == 0
    page.reload()
    assert page.locator("pre.python").first.is_visible()
    page.locator(".tabs label", has_text="curl").first.click()
    assert page.locator("pre.curl").first.is_visible()
    assert page.locator("pre.python").filter(visible=True).count() == 0


@pytest.mark.parametrize("size", SIZES, ids=lambda size: str(size[0]))
def test_no_line_has_over_80_characters_and_code_stands_beside_text_where_there_is_room(
    page: Page, size: tuple[int, int]
) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    longest = page.evaluate(LONGEST_LINE)
    assert 20 < len(longest) <= 80, longest
    text, code = (page.locator(f"#createPost {part}").first.bounding_box() for part in (".text", ".code"))
    assert text is not None
    assert code is not None
    is_beside = code["x"] >= text["x"] + text["width"]
    assert is_beside is (size[0] >= 1280)
    assert is_beside or code["x"] == text["x"]


def test_axe_finds_nothing_and_no_width_scrolls_sideways(page: Page) -> None:
    check_accessibility(page)
