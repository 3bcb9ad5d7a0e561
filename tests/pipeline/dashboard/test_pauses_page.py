"""The page of pauses: who, why, how many held; pauses are added and ended by the functions of `slipway pause`."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import requests

from pipeline.domain.account import Role
from pipeline.store.database import row, rows
from pipeline.store.deliveries.pauses import list_pauses
from tests.pipeline.api.running_server import Tenant, video
from tests.pipeline.dashboard.numbers_scene import HOSTILE, add_named
from tests.pipeline.dashboard.site import Client, Site

PATH = "/dashboard/pauses"


@pytest.fixture(autouse=True)
def _none_is_left(site: Site) -> None:
    with site.server.context.database.begin() as c:
        rows(c, "DELETE FROM pauses RETURNING scope")
        rows(c, "DELETE FROM platform_health RETURNING platform")


def send(client: Client, path: str = PATH, **form: str) -> requests.Response:
    return client.post(path, form, allow_redirects=False)


def list_targets(site: Site) -> list[tuple[str, str, str, str | None]]:
    with site.server.context.database.begin() as c:
        return [(p.scope, p.target, p.why, p.who) for p in list_pauses(c)]


def make_late(site: Site, tenant: Tenant, number: int = 1) -> None:
    """Make deliveries that are due and not sent yet."""
    for _ in range(number):
        answer = site.server.post(video(tenant), tenant.key)
        assert answer.status_code == 201
    with site.server.context.database.begin() as c:
        rows(
            c,
            """UPDATE deliveries SET state = 'scheduled', due_at = now() - CAST(:late AS interval),
                      next_at = now() - CAST(:late AS interval) WHERE workspace_id = :w RETURNING id""",
            w=tenant.workspace,
            late=timedelta(minutes=1),
        )


def test_a_pause_is_added_shown_with_who_and_why_and_what_it_holds_and_ended(site: Site) -> None:
    tenant = site.server.tenant()
    make_late(site, tenant, 2)
    user = site.add_user({tenant.workspace: Role.OPERATOR}, login="pat")
    with site.log_in(user) as client:
        assert "Nothing is paused." in client.get(PATH).text
        workspace = f"workspace:{tenant.workspace}"
        assert send(client, what=workspace, why=f" {HOSTILE} ").status_code == 303
        assert list_targets(site) == [("workspace", str(tenant.workspace), HOSTILE, "user pat")]
        shown = client.get(PATH).text
        assert f'reason=paused&amp;workspace={tenant.workspace}">2 posts</a>' in shown
        assert "<bdi>pat</bdi>" in shown
        assert HOSTILE not in shown, "it is escaped"
        assert send(client, what=workspace, why="another").status_code == 303, "another reason"
        target = {"scope": "workspace", "target": str(tenant.workspace)}
        assert send(client, f"{PATH}/end", **target).status_code == 303
        assert send(client, f"{PATH}/end", **target).status_code == 303, "ended already"
    assert list_targets(site) == []


def test_a_paused_account_is_named_with_its_client_and_shown_as_paused(site: Site, http: Client) -> None:
    tenant = site.server.tenant()
    account = add_named(site.server.context, tenant.workspace, HOSTILE)
    assert send(http, what=f"account:{account}", why="under review").status_code == 303
    assert [one[:2] for one in list_targets(site)] == [("account", str(account))]
    shown = http.get(PATH).text
    assert re.search(r"<strong><bdi>[0-9a-f]+</bdi>, LinkedIn <bdi>&lt;img", shown)
    assert HOSTILE not in shown
    assert (
        "Paused</span>" in http.get("/dashboard/accounts", params={"workspace": str(tenant.workspace)}).text
    )


@pytest.mark.parametrize("what", ["all:", "platform:tiktok"])
def test_what_concerns_all_workspaces_needs_the_role_in_all(site: Site, http: Client, what: str) -> None:
    user = site.add_user({site.tenant.workspace: Role.ADMIN})
    scope, _, target = what.partition(":")
    with site.log_in(user) as client:
        assert what not in client.get(PATH).text
        assert send(client, what=what, why="why").status_code == 403
        assert send(http, what=what, why="why").status_code == 303
        shown = client.get(PATH).text
        assert "why" in shown
        assert f"{PATH}/end" not in shown
        assert send(client, f"{PATH}/end", scope=scope, target=target).status_code == 403
    assert send(http, f"{PATH}/end", scope=scope, target=target).status_code == 303
    assert list_targets(site) == []


def test_a_breaker_is_shown_and_closed(site: Site, http: Client) -> None:
    with site.server.context.database.begin() as c:
        row(
            c,
            """INSERT INTO platform_health (platform, opened_at, probe_at, why)
               VALUES ('tiktok', now(), now(), 'calls failed') RETURNING platform""",
        )
    assert "TikTok is down" in http.get(PATH).text
    assert ">Try now</button>" in http.get(PATH).text
    assert send(http, f"{PATH}/end", scope="breaker", target="tiktok").status_code == 303
    assert "Nothing is paused." in http.get(PATH).text


def test_a_stranger_neither_sees_nor_changes_the_pauses_of_others(site: Site) -> None:
    tenant, other = site.server.tenant(), site.server.tenant()
    with site.log_in(site.add_user({other.workspace: Role.OPERATOR})) as client:
        with site.log_in(site.add_user({tenant.workspace: Role.OPERATOR})) as owner:
            assert send(owner, what=f"workspace:{tenant.workspace}", why="secret").status_code == 303
        assert "secret" not in client.get(PATH).text
        assert str(tenant.workspace) not in client.get(PATH).text
    with site.log_in(site.add_user({tenant.workspace: Role.AUTHOR})) as author:
        assert f'action="{PATH}"' not in author.get(PATH).text
        assert send(author, what=f"workspace:{tenant.workspace}", why="w").status_code == 403


@pytest.mark.parametrize(
    ("what", "why", "status"),
    [
        ("all:", "  ", 422),
        ("all:", "x" * 501, 422),
        ("all:everything", "why", 400),
        ("platform:myspace", "why", 400),
        ("workspace:1", "why", 400),
        ("delivery:1", "why", 400),
    ],
)
def test_what_cannot_be_paused_is_refused(site: Site, http: Client, what: str, why: str, status: int) -> None:
    answer = send(http, what=what, why=why)
    assert answer.status_code == status, answer.text
    assert list_targets(site) == []
