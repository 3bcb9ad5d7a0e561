"""The page of accounts: health, end of grant, posts at risk, and a link to connect one."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
import requests

from adapters.contract import Platform
from pipeline.domain.account import Role
from pipeline.store.database import row, rows
from tests.pipeline.api.running_server import ABSENT, Tenant
from tests.pipeline.dashboard.numbers_scene import HOSTILE, add_named, end_grant
from tests.pipeline.dashboard.site import Client, Site

PATH = "/dashboard/accounts"
SERVER_SETTINGS = {"SLIPWAY_LINKEDIN__APP_ID": "an-app", "SLIPWAY_API__PUBLIC_URL": "https://slipway.example"}
"""An app at LinkedIn, and at no other platform."""


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
    """Return the username of each row."""
    return re.findall(
        r'<li class="row of-account".*?<p class="clip second soft">\S+ <bdi>(.*?)</bdi>', text, re.DOTALL
    )


def test_what_needs_a_person_comes_first_with_what_hangs_on_it(http: Client, tenant: Tenant) -> None:
    text = show(http, workspace=tenant.workspace)
    assert [name[:4] for name in list_names(text)] == ["&lt;", "tikt", "inst"]
    assert HOSTILE not in text, "names and errors are escaped"
    assert "2 connected, 1 to connect again, 0 out of use" in text
    assert text.count("Access ends soon</span>") == 1
    assert re.findall(r'<h2 class="divider"><bdi>(.*?)</bdi></h2>', text)[0] == "Needs you"
    main = text.partition("<dialog")[0]
    assert len(re.findall(r'class="[^"]*\bsolid"', main)) == 1, "of the first that needs it"
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
    text = show(http, workspace=tenant.workspace)
    [address] = re.findall(rf'href="(/dashboard/queue\?account={account}[^"]*)">1 post</a>', text)
    assert "1 after its end" in text
    assert len(re.findall('id="row-', http.get(address.replace("&amp;", "&")).text)) == 1


def test_pages_have_each_account_once(site: Site, http: Client) -> None:
    tenant = site.server.tenant()
    for n in range(60):
        add_named(site.server.context, tenant.workspace, f"name-{n:02}")
    first = show(http, workspace=tenant.workspace)
    [link] = re.findall(r'rel="next" href="([^"]+)"', first)
    second = http.get(link.replace("&amp;", "&")).text
    names = list_names(first) + list_names(second)
    assert len(names) == len(set(names)) == 62
    assert 'rel="next"' not in second


def test_a_query_that_is_none_is_refused(http: Client) -> None:
    for query in ({"after": "0,1"}, {"after": "9,a,tiktok," + ABSENT}, {"platform": "myspace"}):
        assert http.get(PATH, params=query).status_code == 400, query


def test_others_see_their_workspaces_only_and_connect_only_as_operators(site: Site, tenant: Tenant) -> None:
    other = site.server.tenant()
    viewer = site.add_user({other.workspace: Role.VIEWER})
    author = site.add_user({tenant.workspace: Role.AUTHOR})
    with site.log_in(viewer) as client:
        assert len(list_names(show(client))) == 2
    with site.log_in(author) as client:
        assert f"{PATH}/connect" not in show(client)
        assert "Pause" not in re.sub("Pauses|/pauses", "", show(client))
        assert connect(client, account=tenant.accounts["lost"], platform="linkedin").status_code == 403


def connect(client: Client, **form: str) -> requests.Response:
    return client.post(f"{PATH}/connect", form)


def test_a_link_is_made_by_the_flow_that_there_is_and_says_who_made_it(site: Site, tenant: Tenant) -> None:
    user = site.add_user({tenant.workspace: Role.OPERATOR}, login="ann@agency.example")
    with site.log_in(user) as client:
        answer = connect(client, account=tenant.accounts["lost"], platform="linkedin")
        assert answer.status_code == 200, answer.text
    [address] = re.findall(r'<a class="button solid" href="(https://[^"]+)"', answer.text)
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


def list_pauses(site: Site) -> set[tuple[str, str, str]]:
    with site.server.context.database.begin() as c:
        return {(r.scope, r.target, r.why) for r in rows(c, "SELECT scope, target, why FROM pauses")}


def test_a_platform_of_one_client_is_paused_resumed_by_account_and_undone_together(
    site: Site, tenant: Tenant
) -> None:
    other = site.server.tenant()
    tiktok = UUID(tenant.accounts["tiktok"])
    second = add_named(site.server.context, tenant.workspace, "second", Platform.TIKTOK)
    here = f"{PATH}?workspace={tenant.workspace}"
    form = {"what": f"accounts:{tenant.workspace}/tiktok", "why": "new logo", "next": here}
    with (
        site.log_in(site.add_user({tenant.workspace: Role.OPERATOR})) as client,
        site.log_in(site.add_user({tenant.workspace: Role.AUTHOR})) as author,
    ):
        answer = client.post("/dashboard/pauses", form, allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (303, here), (
            "without `of` there is no undo"
        )
        assert list_pauses(site) == {("account", str(one), "new logo") for one in (tiktok, second)}
        shown = show(client, workspace=tenant.workspace)
        assert shown.count("Paused</span>") == shown.count("Resume</button>") == 2
        for one in (tiktok, second):
            lift = {"scope": "account", "target": str(one), "next": here}
            ended = client.post("/dashboard/pauses/end", lift, allow_redirects=False)
            assert ended.headers["Location"] == here
            assert ("account", str(one), "new logo") not in list_pauses(site)
        for what, status in {
            f"accounts:{other.workspace}/tiktok": 404,
            f"accounts:{tenant.workspace}/pinterest": 404,
            f"accounts:{tenant.workspace}/myspace": 400,
            "accounts:/tiktok": 400,
        }.items():
            assert client.post("/dashboard/pauses", {"what": what, "why": "w"}).status_code == status, what
        assert author.post("/dashboard/pauses", form).status_code == 403
        page = client.post("/dashboard/pauses", form | {"of": str(tenant.workspace)})
        assert page.url.startswith(f"{site.url}{here}&of={tenant.workspace}&undo=")
        fields = dict(re.findall(r'name="(of|next)" value="([^"]+)"', page.text.partition('id="toast"')[2]))
        audits = re.findall(r'name="undo" value="(\d+)"', page.text)
        assert (len(audits), fields) == (2, {"of": str(tenant.workspace), "next": here})
        assert "toast" not in author.get(page.url).text
        undo = {**fields, "undo": audits}
        assert author.post("/dashboard/pauses/undo", undo).status_code == 403
        answer = client.post("/dashboard/pauses/undo", undo, allow_redirects=False)
        assert (answer.status_code, answer.headers["Location"]) == (303, here)
        assert list_pauses(site) == set()
        assert 'id="toast"' not in client.get(page.url).text
        assert client.post("/dashboard/pauses/undo", undo).status_code == 409
        for wrong in ({"undo": "x"}, {"undo": "99999999"}, {"of": ""}):
            assert client.post("/dashboard/pauses/undo", {**undo, **wrong}).status_code == 404, wrong
        history = client.get(f"/dashboard/history?client={tenant.workspace}").text
        assert history.count("undid the pause of") == 2


def test_a_form_leads_to_a_page_of_this_site(http: Client, tenant: Tenant) -> None:
    lift = {"scope": "account", "target": tenant.accounts["lost"], "next": "https://evil.example/"}
    answer = http.post("/dashboard/pauses/end", lift, allow_redirects=False)
    assert answer.headers["Location"] == "/dashboard/pauses"
