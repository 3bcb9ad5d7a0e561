"""The page of keys: made, shown once, listed with what is left, and taken back by the client's name."""

from __future__ import annotations

import os
import re
from uuid import UUID

import pytest
import requests
from playwright.sync_api import Page, expect

from pipeline.domain.account import AGENT, Role
from pipeline.store.audit import AuditFilter, list_changes
from pipeline.store.auth.keys import count_posts, find_caller
from pipeline.store.database import row
from tests.pipeline.api.running_server import ABSENT, Tenant
from tests.pipeline.dashboard.accessibility import check_accessibility
from tests.pipeline.dashboard.numbers_scene import HOSTILE
from tests.pipeline.dashboard.site import Client, Site

PATH = "/dashboard/settings/keys"
_KEY = re.compile(r'id="secret-key">([^<]+)<')


def make(client: Client, tenant: Tenant, **form: object) -> requests.Response:
    return client.post(PATH, {"workspace": tenant.workspace, "key_name": "Fjord shop", **form})


def find_made(answer: requests.Response) -> str:
    assert answer.status_code == 200, answer.text
    return str(_KEY.findall(answer.text)[0])


def name_of(site: Site, workspace: UUID) -> str:
    with site.server.context.database.begin() as c:
        found = row(c, "SELECT name FROM workspaces WHERE id = :id", id=workspace)
    assert found is not None
    return str(found.name)


def test_a_key_is_shown_once_and_opens_and_is_recorded_without_its_secret(site: Site) -> None:
    tenant = site.server.tenant()
    user = site.add_user({tenant.workspace: Role.ADMIN})
    with site.log_in(user) as client:
        key = find_made(make(client, tenant, key_name=HOSTILE))
        shown = client.get(PATH).text
    assert key not in shown
    assert HOSTILE not in shown
    public, _, secret = key.partition(".")
    assert (public[:16] in shown, secret in shown) == (True, False)
    with site.server.context.database.begin() as c:
        caller = find_caller(c, key)
        [change] = list_changes(c, AuditFilter(subject=public), limit=10)
    assert caller is not None
    assert (caller.workspace_id, caller.accounts) == (tenant.workspace, None)
    assert (change.verb, change.actor_name, change.workspace_id) == ("create", user.login, tenant.workspace)
    assert secret not in repr(change)


def test_an_agents_key_is_bound_and_says_what_is_left_today(site: Site) -> None:
    tenant = site.server.tenant()
    account = tenant.accounts["tiktok"]
    with site.log_in(site.add_user({tenant.workspace: Role.ADMIN})) as client:
        refused = make(client, tenant, agent="yes")
        assert (refused.status_code, "Choose at least one account." in refused.text) == (422, True)
        key = find_made(make(client, tenant, agent="yes", account=account, listed="1"))
        own = find_made(make(client, tenant, agent="yes", account=account, posts_per_day="7", kind="video"))
        with site.server.context.database.begin() as c:
            callers = [find_caller(c, one) for one in (key, own)]
            assert callers[0] is not None
            count_posts(c, callers[0].key_id, 6, 20)
        shown = client.get(PATH).text
    bound = [
        caller and (caller.accounts, caller.limits.posts_per_day, caller.limits.kinds) for caller in callers
    ]
    assert bound == [((UUID(account),), 20, None), ((UUID(account),), 7, ("video",))]
    assert callers[0].limits.needs_approval is AGENT.needs_approval is True
    assert "14 of 20 left today" in shown
    assert "due within 30 days; needs approval" in shown


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"key_name": " "}, "Say what it is for, in 1 to 100 characters."),
        ({"posts_per_day": "many"}, "&#39;many&#39; is not a number from 0 to 1000000000."),
        ({"needs_approval": "yes", "may_approve": "yes"}, "choose one of both."),
        ({"workspace": ""}, "Choose the client it is for."),
    ],
    ids=repr,
)
def test_what_is_wrong_is_said_beside_its_field_and_makes_nothing(
    site: Site, http: Client, form: dict[str, str], sentence: str
) -> None:
    name = os.urandom(4).hex()
    answer = make(http, site.server.tenant(), **{"key_name": name, **form})
    assert (answer.status_code, sentence in answer.text) == (422, True)
    [field] = re.findall(r'aria-describedby="problem-(\w+)"', answer.text) or ["account"]
    assert f'id="problem-{field}"' in answer.text
    assert name not in http.get(PATH).text


def test_only_admins_of_a_client_make_and_take_back_its_keys(site: Site) -> None:
    mine, other = site.server.tenant(), site.server.tenant()
    public = other.key.partition(".")[0]
    with site.log_in(site.add_user({mine.workspace: Role.ADMIN, other.workspace: Role.OPERATOR})) as client:
        assert make(client, other).status_code == 403
        assert client.get(f"{PATH}?workspace={other.workspace}").status_code == 403
        assert public[:16] not in client.get(PATH).text
        form = {"key": public, "name": name_of(site, other.workspace)}
        assert client.post(f"{PATH}/take-back", form).status_code == 404
        assert make(client, mine, account=other.accounts["tiktok"]).status_code == 404
        assert make(client, mine, workspace=ABSENT).status_code == 404
    with site.server.context.database.begin() as c:
        assert find_caller(c, other.key) is not None


def test_a_person_makes_a_key_copies_it_and_takes_it_back(browser: Page, site: Site) -> None:
    tenant, name = site.server.tenant(), f"Agency {os.urandom(4).hex()}"
    client = name_of(site, tenant.workspace)
    browser.context.grant_permissions(["clipboard-read", "clipboard-write"])
    browser.goto(PATH)
    browser.get_by_text("New key", exact=True).click()
    expect(browser.get_by_label("What it is for")).to_be_focused()
    browser.keyboard.type(name)
    browser.get_by_label("Client").select_option(label=client)
    expect(browser.get_by_label("TikTok")).to_be_checked()
    browser.get_by_label("For an agent").check()
    browser.locator("summary", has_text="Limits").click()
    browser.get_by_label("Posts a day (UTC)").fill("five")
    browser.get_by_role("button", name="Make the key").click()
    expect(browser.get_by_label("Posts a day (UTC)")).to_have_attribute("aria-invalid", "true")
    browser.get_by_label("Posts a day (UTC)").fill("5")
    browser.get_by_role("button", name="Make the key").click()
    key = browser.locator("#secret-key").inner_text()
    browser.get_by_role("button", name="Copy").click()
    expect(browser.get_by_role("button", name="Copied")).to_be_visible()
    assert browser.evaluate("navigator.clipboard.readText()") == key
    browser.get_by_role("row", name=name).get_by_role("link", name="Take back").click()
    expect(browser.get_by_label("Type the client")).to_be_focused()
    browser.keyboard.type("somebody else")
    browser.get_by_role("button", name="Take back").click()
    expect(browser.get_by_text("This is not the client's name.")).to_be_visible()
    check_accessibility(browser, "keys-take-back")
    browser.get_by_label("Type the client").fill(client)
    browser.get_by_role("button", name="Take back").click()
    expect(browser.get_by_role("row", name=name)).to_contain_text("Taken back by")
    with site.server.context.database.begin() as c:
        assert find_caller(c, key) is None
