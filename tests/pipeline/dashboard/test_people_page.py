"""The page of people: invited with a password shown once, given roles, reset, shut out; never the last admin."""

from __future__ import annotations

import re
from uuid import UUID

import requests

from pipeline.domain.account import Role
from pipeline.store.auth.users import User, list_users
from pipeline.store.database import rows
from tests.pipeline.dashboard.site import Client, Site

PATH = "/dashboard/settings/people"
_PASSWORD = re.compile(r'id="secret-password">([^<]+)<')


def send(client: Client, what: str, user: UUID | None, **form: object) -> requests.Response:
    address = f"{PATH}/{what}" if what else PATH
    return client.post(address, {"user": user, **form}, allow_redirects=False)


def find(site: Site, login: str) -> User:
    with site.server.context.database.begin() as c:
        return next(one for one in list_users(c) if one.login == login)


def can_log_in(site: Site, login: str, password: str) -> bool:
    with site.open() as client:
        return site.try_login(client, login, password).status_code == 303


def test_a_colleague_is_invited_reset_shut_out_and_let_in(site: Site, http: Client) -> None:
    where = {"workspace": site.tenant.workspace, "role": "author"}
    answer = send(http, "", None, login=" Kai@Fjord.example ", **where)
    assert answer.status_code == 200
    [first] = _PASSWORD.findall(answer.text)
    kai = find(site, "kai@fjord.example")
    assert kai.roles == {site.tenant.workspace: Role.AUTHOR}
    assert (can_log_in(site, kai.login, first), first in http.get(PATH).text) == (True, False)
    [second] = _PASSWORD.findall(send(http, "reset", kai.id).text)
    assert [can_log_in(site, kai.login, one) for one in (first, second)] == [False, True]
    assert send(http, "role", kai.id, workspace="all", role="viewer").status_code == 303
    assert send(http, "role", kai.id, workspace=site.tenant.workspace, role="none").status_code == 303
    assert find(site, kai.login).roles == {None: Role.VIEWER}
    assert send(http, "disable", kai.id, verb="disable").status_code == 303
    assert not can_log_in(site, kai.login, second)
    send(http, "disable", kai.id, verb="enable")
    assert can_log_in(site, kai.login, second)
    taken = send(http, "", None, login=kai.login, **where)
    assert (taken.status_code, "There is a user" in taken.text) == (422, True)
    refused = send(http, "", None, login="a b", **where)
    assert (refused.status_code, "cannot be used" in refused.text) == (422, True)
    assert 'id="problem-login"' in refused.text
    assert send(http, "", None, login="lee", workspace="", role="author").status_code == 422
    assert send(http, "role", kai.id, workspace="all", role="owner").status_code == 400


def test_an_admin_of_one_client_gives_roles_there_alone(site: Site) -> None:
    other = site.server.tenant()
    colleague = site.add_user({site.tenant.workspace: Role.VIEWER, other.workspace: Role.VIEWER})
    stranger = site.add_user({other.workspace: Role.VIEWER})
    with site.log_in(
        site.add_user({site.tenant.workspace: Role.ADMIN, other.workspace: Role.OPERATOR})
    ) as client:
        shown = client.get(PATH).text
        assert (colleague.login in shown, stranger.login in shown, str(other.workspace) in shown) == (
            True,
            False,
            False,
        )
        asks = {"role": "admin", "workspace": site.tenant.workspace}
        assert send(client, "role", colleague.id, **asks).status_code == 303
        answers = [
            send(client, "role", colleague.id, role="admin", workspace=other.workspace),
            send(client, "role", colleague.id, role="admin", workspace="all"),
            send(client, "", None, login="mallory", role="admin", workspace="all"),
            send(client, "reset", colleague.id),
            send(client, "disable", colleague.id),
            send(client, "role", stranger.id, **asks),
        ]
    assert [one.status_code for one in answers] == [403, 403, 403, 403, 403, 404]
    assert find(site, colleague.login).roles == {
        site.tenant.workspace: Role.ADMIN,
        other.workspace: Role.VIEWER,
    }
    assert can_log_in(site, colleague.login, colleague.password)


def test_the_last_admin_of_all_clients_stays_one(site: Site) -> None:
    with site.server.context.database.begin() as c:
        rows(c, "DELETE FROM memberships WHERE workspace_id IS NULL RETURNING role")
    one, two = (site.add_user({None: Role.ADMIN}) for _ in range(2))
    with site.log_in(one) as client:
        assert send(client, "disable", two.id).status_code == 303
        for answer in (
            send(client, "disable", one.id),
            send(client, "role", one.id, role="operator", workspace="all"),
            send(client, "role", one.id, role="none", workspace="all"),
        ):
            assert (answer.status_code, "This is the last admin" in answer.text) == (409, True)
        assert find(site, one.login).roles == {None: Role.ADMIN}
        send(client, "disable", two.id, verb="enable")
        assert send(client, "role", one.id, role="none", workspace="all").status_code == 303
