"""Sessions end: by their user, by an admin, by the command line, by time, and at once when the user is disabled."""

from __future__ import annotations

from uuid import UUID

import pytest
import requests

from pipeline.domain.account import Role
from pipeline.store.audit import AuditFilter, list_changes
from pipeline.store.auth.sessions import find_session
from pipeline.store.auth.users import set_disabled, set_password, set_role
from pipeline.store.database import row, rows
from tests.pipeline.dashboard.site import HOME, PASSWORD, Client, Site, Someone

PATH = "/dashboard/sessions"


def is_open(client: Client) -> bool:
    answer = client.get(HOME, allow_redirects=False)
    assert answer.status_code in {200, 303}
    return answer.status_code == 200


def find_id(site: Site, client: Client) -> UUID:
    with site.server.context.database.begin() as c:
        session = find_session(c, client.cookies["slipway"])
    assert session is not None
    return session.id


def age(site: Site, session: UUID, column: str, interval: str) -> None:
    with site.server.context.database.begin() as c:
        row(
            c,
            f"UPDATE sessions SET {column} = now() - CAST(:i AS interval) WHERE id = :id RETURNING id",  # noqa: S608
            i=interval,
            id=session,
        )


def end(client: Client, session: UUID | str) -> requests.Response:
    return client.post(f"{PATH}/{session}/end", allow_redirects=False)


@pytest.fixture
def viewer(site: Site) -> Someone:
    return site.add_user({site.tenant.workspace: Role.VIEWER})


def test_the_token_is_stored_as_a_hash_only(site: Site, viewer: Someone) -> None:
    with site.log_in(viewer) as client:
        token = client.cookies["slipway"]
    with site.server.context.database.begin() as c:
        stored = rows(c, "SELECT s::text AS line FROM sessions s WHERE user_id = :u", u=viewer.id)
        users = rows(c, "SELECT u::text AS line FROM users u WHERE id = :u", u=viewer.id)
    assert stored
    assert token not in stored[0].line
    assert PASSWORD not in users[0].line
    assert "$argon2id$v=19$m=65536,t=3,p=4$" in users[0].line


def test_a_user_ends_another_session_of_theirs_and_no_one_elses(site: Site, viewer: Someone) -> None:
    stranger = site.add_user({None: Role.OPERATOR})
    with site.log_in(viewer) as one, site.log_in(viewer) as two, site.log_in(stranger) as other:
        shown = one.get(PATH).text
        assert shown.count(f'<th scope="row">{viewer.login}</th>') == 2
        assert stranger.login not in shown
        assert f'action="{PATH}/{find_id(site, two)}/end"' in shown, "a button"
        for session in (find_id(site, other), "no-id", "00000000-0000-0000-0000-000000000000"):
            assert end(one, session).status_code in {303, 404}
        assert is_open(other)
        assert end(one, find_id(site, two)).status_code == 303
        assert [is_open(client) for client in (one, two)] == [True, False]


def test_an_admin_of_all_workspaces_ends_anyones(site: Site, viewer: Someone) -> None:
    local = site.add_user({site.tenant.workspace: Role.ADMIN})
    everywhere = site.add_user({None: Role.ADMIN})
    with site.log_in(viewer) as one, site.log_in(local) as admin, site.log_in(everywhere) as chief:
        session = find_id(site, one)
        end(admin, session)
        assert is_open(one)
        assert viewer.login in chief.get(PATH).text
        end(chief, session)
        assert not is_open(one)


def test_the_start_and_end_of_a_session_are_audit_rows(site: Site, viewer: Someone) -> None:
    with site.log_in(viewer) as one, site.open() as two:
        assert site.try_login(two, viewer.login, viewer.password).status_code == 303
        session, token = find_id(site, two), two.cookies["slipway"]
        end(one, session)
        end(one, session)
    with site.server.context.database.begin() as c:
        found = list_changes(c, AuditFilter(actor=str(viewer.id)), limit=10)
    assert [(x.verb, x.kind, x.actor_name, x.address) for x in found] == [
        (verb, "session", viewer.login, "127.0.0.1") for verb in ("start", "end")
    ]
    assert found[1].subject == str(session)
    assert token not in repr(found)


def test_a_disabled_users_sessions_end_at_once_and_a_new_password_ends_them_too(
    site: Site, viewer: Someone
) -> None:
    with site.log_in(viewer) as client:
        with site.server.context.database.begin() as c:
            set_disabled(c, viewer.id, disabled=True)
        assert not is_open(client)
        with site.server.context.database.begin() as c:
            set_disabled(c, viewer.id, disabled=False)
        assert not is_open(client), "the session does not come back"
    with site.log_in(viewer) as client:
        with site.server.context.database.begin() as c:
            set_password(c, viewer.id, "another hash")
        assert not is_open(client)


def test_a_session_ends_twelve_hours_after_its_last_use_and_thirty_days_after_its_start(
    site: Site, viewer: Someone
) -> None:
    with site.log_in(viewer) as client:
        session = find_id(site, client)
        age(site, session, "seen_at", "11 hours 59 minutes")
        assert is_open(client), "and this was a use"
        age(site, session, "created_at", "29 days 23 hours")
        assert is_open(client)
        age(site, session, "created_at", "30 days")
        assert not is_open(client)
    with site.log_in(viewer) as client:
        age(site, find_id(site, client), "seen_at", "12 hours")
        assert not is_open(client)


def test_an_open_page_that_reloads_parts_of_itself_is_no_use(site: Site, viewer: Someone) -> None:
    with site.log_in(viewer) as client:
        session = find_id(site, client)
        age(site, session, "seen_at", "11 hours")
        reload = {"HX-Request": "true"}
        assert client.get(PATH, headers=reload).status_code == 200
        age(site, session, "seen_at", "12 hours")
        assert not is_open(client)


def test_a_role_that_is_taken_ends_with_the_next_page(site: Site, viewer: Someone) -> None:
    with site.log_in(viewer) as client:
        with site.server.context.database.begin() as c:
            set_role(c, viewer.id, site.tenant.workspace, None)
        answer = client.get(HOME)
        assert (answer.status_code, "needs the role viewer" in answer.text) == (403, True)


def test_the_name_of_a_browser_stays_text(site: Site, http: Client, viewer: Someone) -> None:
    hostile = "<img src=x onerror=alert(1)>\"'{{7*7}}" + "x" * 500
    with site.open() as client:
        client.headers["User-Agent"] = hostile
        assert site.try_login(client, viewer.login, viewer.password).status_code == 303
    shown = http.get(PATH).text
    assert "<img" not in shown
    assert "&lt;img src=x onerror=alert(1)&gt;" in shown
    assert "{{7*7}}" in shown
    assert "x" * 300 not in shown
