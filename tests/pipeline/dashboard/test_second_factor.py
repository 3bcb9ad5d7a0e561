"""The second factor: turned on by an app's code, asked for after the password, each code once, tries counted."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pyotp
import pytest
import requests
from playwright.sync_api import Page, expect

from pipeline.actions.people import reset
from pipeline.actions.second_factor import take_code
from pipeline.domain.account import Role
from pipeline.store.auth.sessions import MAX_TRIES, forget_tries, name_address, name_login
from pipeline.store.auth.users import hash_password
from pipeline.store.database import row
from tests.actors import TESTER
from tests.pipeline.api.running_server import serving
from tests.pipeline.dashboard.accessibility import check_accessibility
from tests.pipeline.dashboard.site import LOGIN, PASSWORD, Client, Site, Someone, find_token

PATH = "/dashboard/settings/second-factor"
TICKET = re.compile(r'name="ticket" value="([^"]+)"')


@pytest.fixture(autouse=True)
def _forget_tries_from_this_machine(site: Site) -> Iterator[None]:
    yield
    with site.server.context.database.begin() as c:
        forget_tries(c, name_address("127.0.0.1"))


def show(secret: str, ahead: int = 0) -> str:
    return pyotp.TOTP(secret).at(time.time(), counter_offset=ahead)


def turn_on(client: Client) -> tuple[str, list[str]]:
    """Turn it on; return the secret of the app, and the recovery codes."""
    client.post(PATH)
    secret = re.findall(r'id="secret-app">([A-Z2-7]{32})<', client.get(PATH).text)[0]
    picture = client.get(f"{PATH}/code.svg")
    assert (picture.headers["Content-Type"], "<path" in picture.text) == ("image/svg+xml", True)
    shown = client.post(f"{PATH}/confirm", {"code": show(secret)}).text
    assert secret not in client.get(PATH).text
    assert client.get(f"{PATH}/code.svg").status_code == 404
    codes = re.findall(r'id="secret-codes">([^<]+)<', shown)[0].split()
    assert codes[0] not in client.get(PATH).text
    return secret, codes


def give(client: Client, user: Someone, asked: requests.Response, code: str) -> int:
    form = {
        "csrf": find_token(asked),
        "login": user.login,
        "ticket": TICKET.findall(asked.text)[0],
        "code": code,
    }
    return client.post(LOGIN, form, allow_redirects=False).status_code


def test_it_is_asked_for_after_the_password_and_each_code_opens_once(site: Site) -> None:
    user = site.add_user({site.tenant.workspace: Role.VIEWER})
    other = site.log_in(user)
    with site.log_in(user) as client:
        secret, codes = turn_on(client)
        assert other.get(PATH, allow_redirects=False).status_code == 303, "other sessions end"
        with site.server.context.database.begin() as c:
            kept = row(c, "SELECT f::text AS line FROM second_factors f WHERE id = :id", id=user.id)
        assert kept is not None
        assert not [one for one in (secret, *codes) if one in kept.line]
    with site.open() as one, site.open() as two:
        asked = site.try_login(one, user.login, PASSWORD)
        assert (asked.status_code, "slipway" in one.cookies) == (200, False)
        code = show(secret, 1)
        assert give(two, user, asked, code) == 403, "the form of another browser"
        assert give(one, user, asked, code) == 303
        assert one.get("/dashboard/", allow_redirects=False).status_code == 200
        again = site.try_login(two, user.login, PASSWORD)
        assert give(two, user, again, code) == 401
        assert give(two, user, again, codes[3]) == 303
        assert give(two, user, again, codes[3]) == 401
        shown = two.get(PATH)
        two.headers["X-CSRF-Token"] = find_token(shown)
        assert "9 of 10 recovery codes left" in shown.text
        assert two.post(f"{PATH}/drop", {"code": "000000"}).status_code == 422
        assert two.post(f"{PATH}/drop", {"code": codes[0].upper()}).status_code == 200
    with site.open() as three:
        assert site.try_login(three, user.login, PASSWORD).status_code == 303


def test_wrong_codes_count_as_wrong_passwords_and_a_reset_takes_it_off(site: Site) -> None:
    user = site.add_user({site.tenant.workspace: Role.VIEWER})
    with site.log_in(user) as client:
        secret, codes = turn_on(client)
    with site.open() as client:
        asked = site.try_login(client, user.login, PASSWORD)
        answers = [give(client, user, asked, "000000") for _ in range(MAX_TRIES)]
        assert answers == [401] * (MAX_TRIES - 1) + [429]
        assert give(client, user, asked, codes[0]) == 429
        with site.server.context.database.begin() as c:
            forget_tries(c, name_login(user.login))
            forget_tries(c, name_address("127.0.0.1"))
        assert give(client, user, asked, "x" * 40) == 401
        with site.server.context.database.begin() as c:
            reset(c, TESTER, user.id, user.login, hash_password("another password"))
            assert not take_code(c, site.server.context.vault, user.id, show(secret, 1))
        assert give(client, user, asked, codes[0]) == 401, "the ticket was for the old password"
        assert site.try_login(client, user.login, "another password").status_code == 303


def test_where_it_is_demanded_nothing_else_is_there_before(
    module_environment: dict[str, str], tmp_path: Path
) -> None:
    demands = {"SLIPWAY_DASHBOARD__SECOND_FACTOR": "demanded"}
    with serving({**module_environment, **demands}, tmp_path) as server:
        site = Site(server=server, tenant=server.tenant())
        with site.log_in(site.add_user({None: Role.ADMIN})) as client:
            for path in ("/dashboard/", "/dashboard/settings/keys", "/dashboard/sessions"):
                answer = client.get(path, allow_redirects=False)
                assert (answer.status_code, answer.headers["Location"]) == (303, PATH)
            assert (
                client.post("/dashboard/settings/people", allow_redirects=False).headers["Location"] == PATH
            )
            assert client.get("/dashboard/now", headers={"HX-Request": "true"}).status_code == 204
            assert "Here everybody needs one" in client.get(PATH).text
            turn_on(client)
            assert client.get("/dashboard/", allow_redirects=False).status_code == 200
            assert "Turn off" not in client.get(PATH).text


def test_a_person_turns_it_on(browser: Page) -> None:
    browser.goto(PATH)
    browser.get_by_role("button", name="Turn on").click()
    secret = browser.locator("#secret-app").inner_text()
    assert browser.locator("img.qr").evaluate("image => image.naturalWidth") > 100
    browser.get_by_role("textbox", name=re.compile("^Code")).fill("123")
    browser.get_by_role("button", name="Turn on").click()
    expect(browser.get_by_text("This code is wrong")).to_be_visible()
    browser.get_by_role("textbox", name=re.compile("^Code")).fill(show(secret))
    browser.get_by_role("button", name="Turn on").click()
    expect(browser.locator("#secret-codes")).to_be_visible()
    check_accessibility(browser, "factor-on")
