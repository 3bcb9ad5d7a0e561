"""The page of accounts: health, end of grant, posts at risk, and a link to connect one."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
import requests
from playwright.sync_api import Page, expect

from adapters.contract import Platform
from pipeline.domain.account import Role
from pipeline.store.database import row
from tests.pipeline.api.running_server import ABSENT, Tenant, serving
from tests.pipeline.dashboard.numbers_scene import HOSTILE, add_named, end_grant
from tests.pipeline.dashboard.site import Client, Site

PATH = "/dashboard/accounts"


APP = {"SLIPWAY_LINKEDIN__APP_ID": "an-app", "SLIPWAY_API__PUBLIC_URL": "https://slipway.example"}


@pytest.fixture(scope="module")
def site(module_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server with an app at LinkedIn, and at no other platform."""
    with serving({**module_environment, **APP}, tmp_path_factory.mktemp("accounts")) as server:
        yield Site(server=server, tenant=server.tenant())


@pytest.fixture
def tenant(site: Site) -> Tenant:
    """A workspace with a lost LinkedIn account, and two others."""
    tenant = site.server.tenant()
    tenant.accounts["lost"] = str(add_named(site.server.context, tenant.workspace))
    end_grant(site.server.context, UUID(tenant.accounts["tiktok"]), timedelta(hours=5))
    return tenant


def show(client: Client, **query: object) -> str:
    answer = client.get(PATH, params={k: str(v) for k, v in query.items()})
    assert answer.status_code == 200, answer.text
    return answer.text


def list_names(text: str) -> list[str]:
    return re.findall(r'<th scope="row" class="text"><bdi>(.*?)</bdi>', text)


def test_what_needs_a_person_comes_first_with_what_hangs_on_it(http: Client, tenant: Tenant) -> None:
    text = show(http, workspace=tenant.workspace)
    assert [name[:4] for name in list_names(text)] == ["&lt;", "tikt", "inst"]
    assert HOSTILE not in text, "names and errors are escaped"
    assert "2 active, 1 to reconnect, 0 taken out of use" in text
    assert 'data-state="soon"' in text
    assert len(list_names(show(http, workspace=tenant.workspace, needs_person=1))) == 2
    assert len(list_names(show(http, workspace=tenant.workspace, platform="instagram"))) == 1


def test_posts_at_risk_lead_to_the_queue(site: Site, http: Client, tenant: Tenant) -> None:
    account = tenant.accounts["tiktok"]
    body = {
        "caption": "later",
        "media": {"type": "video", "url": "https://cdn.example.com/v.mp4"},
        "accounts": [{"id": account}],
        "scheduled_at": "2035-01-01T00:00:00Z",
    }
    assert site.server.post(body, tenant.key).status_code == 201
    assert f'<a href="/dashboard/queue?account={account}">1</a>' in show(http, workspace=tenant.workspace)


def test_pages_have_each_account_once(site: Site, http: Client) -> None:
    tenant = site.server.tenant()
    for n in range(60):
        add_named(site.server.context, tenant.workspace, f"name-{n:02}")
    first = show(http, workspace=tenant.workspace)
    [link] = re.findall(r'<a href="([^"]+)" rel="next">', first)
    second = http.get(link.replace("&amp;", "&")).text
    names = list_names(first) + list_names(second)
    assert len(names) == len(set(names)) == 62
    assert 'rel="next"' not in second


@pytest.mark.parametrize(
    "query", [{"after": "0,1"}, {"after": "9,1," + ABSENT}, {"platform": "myspace"}, {"workspace": "x"}]
)
def test_a_query_that_is_none_is_refused(http: Client, query: dict[str, str]) -> None:
    assert http.get(PATH, params=query).status_code == 400


def test_others_see_their_workspaces_only_and_connect_only_as_operators(site: Site, tenant: Tenant) -> None:
    other = site.server.tenant()
    viewer = site.add_user({other.workspace: Role.VIEWER})
    author = site.add_user({tenant.workspace: Role.AUTHOR})
    with site.log_in(viewer) as client:
        assert len(list_names(show(client))) == 2
        assert client.get(PATH, params={"workspace": str(tenant.workspace)}).status_code == 404
        assert connect(client, account=tenant.accounts["lost"], platform="linkedin").status_code == 403
    with site.log_in(author) as client:
        assert "Connect again" not in show(client)
        assert connect(client, account=tenant.accounts["lost"], platform="linkedin").status_code == 403


def connect(client: Client, **form: str) -> requests.Response:
    return client.post(f"{PATH}/connect", form)


def test_a_link_is_made_by_the_flow_that_there_is_and_says_who_made_it(site: Site, tenant: Tenant) -> None:
    user = site.add_user({tenant.workspace: Role.OPERATOR}, login="ann@agency.example")
    with site.log_in(user) as client:
        answer = connect(client, account=tenant.accounts["lost"], platform="linkedin")
        assert answer.status_code == 200, answer.text
    [address] = re.findall(r'<a href="(https://[^"]+)" role="button"', answer.text)
    given = parse_qs(urlsplit(address.replace("&amp;", "&")).query)
    assert given["client_id"] == ["an-app"]
    assert given["redirect_uri"] == ["https://slipway.example/api/partner/v1/connect/linkedin/callback"]
    with site.server.context.database.begin() as c:
        stored = row(
            c, "SELECT user_id, key_id, account_id FROM grants WHERE workspace_id = :w", w=tenant.workspace
        )
    assert stored is not None
    assert (stored.user_id, stored.key_id, str(stored.account_id)) == (user.id, None, tenant.accounts["lost"])


def test_what_cannot_be_connected_is_refused_with_its_reason(http: Client, tenant: Tenant) -> None:
    unknown = connect(http, account=ABSENT, platform="linkedin")
    other = connect(http, account=tenant.accounts["tiktok"], platform="linkedin")
    none = connect(http, workspace=str(tenant.workspace), platform="youtube")
    strange = connect(http, workspace=str(tenant.workspace), platform="linkedin", connection="nope")
    missing = connect(http, workspace=str(tenant.workspace))
    assert [one.status_code for one in (unknown, other, none, strange, missing)] == [404, 404, 500, 400, 400]
    assert "SLIPWAY_YOUTUBE__APP_ID" in none.text
    assert all(p in missing.text for p in Platform)


def test_a_hostile_name_stays_text(browser: Page, tenant: Tenant) -> None:
    browser.goto(f"{PATH}?workspace={tenant.workspace}")
    expect(browser.get_by_text(HOSTILE).first).to_be_visible()
    assert browser.title() == "Accounts \N{EN DASH} Slipway"
    assert browser.locator("main img").count() == 0
