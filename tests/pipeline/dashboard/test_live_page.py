"""A page shows a post that the API has answered: one that is loaded afterwards, and one that is open, by itself."""

from __future__ import annotations

import re

import requests
from playwright.sync_api import Page, expect

from tests.pipeline.api.running_server import video
from tests.pipeline.dashboard.site import HOME, Client, Site

QUEUE = "/dashboard/queue"


def make_post(site: Site) -> str:
    body = video(site.tenant)
    assert site.server.post(body, site.tenant.key).status_code == 201
    caption: str = body["caption"]
    return caption


def test_a_page_that_is_loaded_after_the_answer_shows_the_post(site: Site, http: Client) -> None:
    caption = make_post(site)
    assert caption in http.get(QUEUE).text


def test_an_open_page_says_by_itself_that_there_is_a_post(browser: Page, site: Site) -> None:
    make_post(site)
    with browser.expect_response("**/dashboard/events?*") as opened:
        browser.goto(QUEUE)
    assert opened.value.status == 200
    for _ in range(2):
        caption = make_post(site)
        browser.get_by_role("link", name="1 new").click()
        expect(browser.locator(".row.queue").filter(has_text=caption)).to_be_visible()


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


def test_a_page_that_cannot_reach_its_events_tries_again(
    browser: Page,
) -> None:
    browser.route("**/dashboard/events?*", lambda route: route.fulfill(status=503), times=1)
    with browser.expect_response(lambda answer: "/dashboard/events?" in answer.url and answer.status == 200):
        browser.goto(HOME)
