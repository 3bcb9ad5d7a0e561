"""The page of a post in a browser: it shows the media, follows what happens, and the keyboard is enough."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from uuid import UUID

from playwright.sync_api import Page, expect

from pipeline.domain.delivery import State
from tests.pipeline.api.running_server import BASE
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.dashboard.site import Site
from tests.pipeline.media import samples
from tests.pipeline.store.ledger import Post

DAY = timedelta(days=1)


def open_post(page: Page, post: Post) -> None:
    page.goto(f"/dashboard/posts/{post.id}")
    expect(page.get_by_role("heading", name="History")).to_be_visible()


def notify(page: Page, post: Post) -> None:
    """Dispatch the event that the live connection dispatches when the post moves."""
    page.evaluate("name => document.body.dispatchEvent(new Event(name))", f"slipway:post:{post.id}")


def test_an_own_image_is_shown(browser: Page, site: Site, core: CoreFixture) -> None:
    tenant = site.server.tenant()
    body = json.dumps({"contentType": "image/png"}).encode()
    made = site.server.send("POST", f"{BASE}/files", tenant.key, body, **{"Content-Type": "application/json"})
    data = made.json()["data"]
    content = samples.image("PNG")
    site.server.http.put(data["uploadUrl"], data=content, headers={"Content-Type": "image/png"})
    post = core.ledger.post([UUID(tenant.accounts["tiktok"])], due=DAY)
    media = json.dumps({"type": "slideshow", "urls": [data["url"]], "alt_texts": ["A red square"]})
    core.ledger.update("posts", post.id, "media = CAST(:m AS jsonb)", m=media)
    open_post(browser, post)
    image = browser.get_by_role("img", name="A red square")
    expect(image).to_be_visible()
    assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0


def test_the_media_are_a_carousel_in_order_that_the_keyboard_scrolls(
    browser: Page, core: CoreFixture
) -> None:
    post = core.ledger.post([core.account("one")], due=DAY)
    urls = [f"https://cdn{n}.example/a.jpg" for n in range(3)]
    media = json.dumps({"type": "slideshow", "urls": urls})
    core.ledger.update("posts", post.id, "media = CAST(:m AS jsonb)", m=media)
    open_post(browser, post)
    carousel = browser.get_by_role("list", name="Media, 3 in order")
    expect(carousel.locator("li")).to_have_text(
        [re.compile(rf"File at cdn{n}.example\s+{n + 1} of 3") for n in range(3)]
    )
    before = carousel.bounding_box()
    carousel.focus()
    browser.keyboard.press("ArrowRight")
    browser.wait_for_function("() => document.querySelector('.carousel').scrollLeft > 0")
    assert carousel.bounding_box() == before


def test_the_page_follows_what_happens_and_keeps_what_is_being_typed(
    browser: Page, core: CoreFixture
) -> None:
    post = core.ledger.post([core.account("one"), core.account("two")], due=DAY)
    open_post(browser, post)
    first, second = (browser.get_by_role("article").nth(n) for n in range(2))
    second.get_by_label("More about").click()
    second.get_by_text("Pause", exact=True).first.click()
    second.get_by_label("Why").fill("The client asked")
    core.ledger.put(Post(id=post.id, workspace=core.workspace, deliveries=[post.deliveries[0]]), State.FAILED)
    notify(browser, post)
    expect(first.get_by_role("button", name="Try again")).to_be_visible()
    expect(second.get_by_label("Why")).to_have_value("The client asked")
    second.get_by_role("button", name="Pause").click()
    expect(browser.get_by_role("status").filter(has_text="Paused.")).to_be_visible()
    expect(browser.get_by_text("Paused by itself: “The client asked”.")).to_be_visible()
    history = browser.get_by_role("region", name="History")
    expect(history.get_by_text("“The client asked”")).to_be_visible()


def test_a_file_is_replaced_as_soon_as_it_is_chosen(browser: Page, core: CoreFixture) -> None:
    post = core.ledger.post([core.account("one")], State.FAILED, due=DAY)
    open_post(browser, post)
    field = browser.get_by_label("Replace file and retry")
    wrong = {"name": "v.mp4", "mimeType": "video/mp4", "buffer": samples.image("PNG")}
    field.set_input_files(wrong)  # type: ignore[arg-type]
    expect(browser.get_by_role("alert")).to_contain_text("video/mp4")
    assert core.ledger.states(post) == [State.FAILED]
    field.set_input_files({**wrong, "buffer": samples.video()})  # type: ignore[arg-type]
    expect(browser.get_by_role("status").filter(has_text="The file is replaced")).to_be_visible()
    assert core.ledger.states(post) == [State.ACCEPTED]


def test_the_key_e_opens_the_form_that_moves_the_post(browser: Page, core: CoreFixture) -> None:
    post = core.ledger.post([core.account("one")], due=DAY)
    open_post(browser, post)
    browser.keyboard.press("e")
    expect(browser.get_by_label("New time")).to_be_focused()
