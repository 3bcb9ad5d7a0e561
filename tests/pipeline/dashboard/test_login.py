from __future__ import annotations

import requests
from playwright.sync_api import Page, expect

from tests.pipeline.dashboard.site import HOME, LOGIN, Site


def test_a_page_without_a_session_leads_to_the_login_and_back(site: Site) -> None:
    user, client = site.add_user(), site.open()
    answer = client.get(site.url + "/dashboard/sessions?a=1", allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (
        303,
        LOGIN + "?next=%2Fdashboard%2Fsessions%3Fa%3D1",
    )
    shown = client.get(site.url + answer.headers["Location"])
    assert 'value="/dashboard/sessions?a=1"' in shown.text
    answer = site.try_login(client, user.login, user.password, next="/dashboard/sessions?a=1")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/dashboard/sessions?a=1")


def test_a_logged_in_user_sees_the_first_page_and_logs_out(site: Site, http: requests.Session) -> None:
    shown = http.get(site.url + HOME)
    assert shown.status_code == 200
    assert "<h1>Attention</h1>" in shown.text
    assert http.post(site.url + "/dashboard/logout", allow_redirects=False).status_code == 303
    assert http.get(site.url + HOME, allow_redirects=False).status_code == 303


def test_a_person_logs_in_with_a_browser(browser: Page) -> None:
    expect(browser.get_by_role("heading", name="Attention")).to_be_visible()
    browser.get_by_role("link", name="Sessions").click()
    expect(browser.get_by_text("This one: log out")).to_be_visible()
