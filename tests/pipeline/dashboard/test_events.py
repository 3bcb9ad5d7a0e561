"""Live events: a page hears of what changes in its visitor's workspaces, misses nothing, and ends with its session."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipeline.dashboard.ledger import MAX_STREAMS, USER_STREAMS
from pipeline.dashboard.live_feed import open_position, seal_position
from pipeline.domain.account import Role
from pipeline.store.auth.sessions import find_session, list_audiences, list_sessions
from pipeline.store.database import new_id, row
from tests.pipeline.api.running_server import BASE, Tenant, serving, video
from tests.pipeline.dashboard.event_stream import listening
from tests.pipeline.dashboard.site import Client, Site

JSON = {"Content-Type": "application/json"}


def make_post(site: Site, tenant: Tenant) -> str:
    answer = site.server.post(video(tenant), tenant.key)
    assert answer.status_code == 201, answer.text
    identity: str = answer.json()["data"]["id"]
    return identity


def find_position(site: Site, client: Client, more: int = 0) -> str:
    """Return the cursor of a client's session after everything that there is, and *more*."""
    token = client.cookies["slipway"]
    with site.server.context.database.begin() as c:
        found, session = row(c, "SELECT coalesce(max(id), 0) AS id FROM moves"), find_session(c, token)
    assert found
    assert session
    return seal_position(site.server.context.vault, session.id, int(found.id) + more)


def test_a_page_hears_of_a_post_that_the_api_has_answered(site: Site, http: Client) -> None:
    with listening(http, site.url, "posts attention", find_position(site, http)) as stream:
        assert stream.answer.headers["Content-Type"] == "text/event-stream"
        assert stream.answer.headers["X-Accel-Buffering"] == "no"
        assert "no-transform" in stream.answer.headers["Cache-Control"]
        assert "Content-Length" not in stream.answer.headers
        make_post(site, site.tenant)
        event = stream.read()
    assert event is not None
    assert (event.name, event.topics) == ("changed", ["posts"])
    with site.server.context.database.begin() as c:
        session = find_session(c, http.cookies["slipway"])
    assert session
    vault = site.server.context.vault
    assert open_position(vault, session.id, event.position) is not None
    assert open_position(vault, new_id(), event.position) is None, "another session's cursor"


def test_no_page_and_no_event_shows_how_many_moves_there_are(site: Site, http: Client) -> None:
    make_post(site, site.tenant)
    shown = re.search(r'data-position="([^"]*)"', http.get("/dashboard/").text)
    assert shown
    with listening(http, site.url, "posts", "0") as stream:
        event = stream.read()
    assert event is not None, "a bare number is no cursor: the page reads itself again"
    for cursor in (shown[1], event.position):
        assert len(cursor) > 100
        assert not cursor.isdigit()


def test_a_page_that_was_read_before_a_post_hears_of_it_at_once(site: Site, http: Client) -> None:
    before = find_position(site, http)
    make_post(site, site.tenant)
    with listening(http, site.url, "posts numbers", before) as stream:
        event = stream.read()
    assert event is not None
    assert event.topics == ["numbers", "posts"], "everything it shows may have changed"
    again = {"Last-Event-ID": before}
    with listening(http, site.url, "posts", find_position(site, http), **again) as stream:
        assert stream.read() is not None, "the header of a reconnecting browser wins over the page's address"


def test_a_visitor_hears_of_their_workspaces_only(site: Site, http: Client) -> None:
    other = site.server.tenant()
    user = site.add_user({other.workspace: Role.VIEWER})
    with site.log_in(user) as stranger, ExitStack() as streams:
        at, before = find_position(site, http), find_position(site, stranger)
        theirs = make_post(site, site.tenant)
        topics = f"posts post:{theirs}"
        mine = streams.enter_context(listening(http, site.url, topics, at))
        foreign = streams.enter_context(listening(stranger, site.url, topics, before))
        for stream in (mine, foreign):
            assert stream.read() is not None, "something has happened since it was loaded, wherever"
        body = json.dumps({"post_ids": [theirs]}).encode()
        answer = site.server.send("POST", f"{BASE}/posts/cancel", site.tenant.key, body, **JSON)
        assert answer.status_code == 200, answer.text
        heard = mine.read()
        assert heard is not None
        assert f"post:{theirs}" in heard.topics
        make_post(site, other)
        event = foreign.read()
        assert event is not None
        assert event.topics == ["posts"]


def test_a_stream_ends_with_its_session(site: Site) -> None:
    user = site.add_user({None: Role.VIEWER})
    with (
        site.log_in(user) as client,
        listening(client, site.url, "posts", find_position(site, client, 10**15)) as stream,
    ):
        assert client.post("/dashboard/logout", allow_redirects=False).status_code == 303
        event = stream.read()
        assert event is not None
        assert event.name == "end"
        assert stream.read() is None
    with listening(client, site.url, "posts") as refused:
        assert refused.answer.status == 303


@pytest.mark.parametrize(
    "topics", ["", "posts <script>", "post:1", " ".join(f"a{'b' * n}" for n in range(51))]
)
def test_topics_that_are_none_are_refused(site: Site, http: Client, topics: str) -> None:
    with listening(http, site.url, topics) as stream:
        assert stream.answer.status == 400


def test_a_roles_end_ends_what_is_heard(site: Site) -> None:
    workspace = site.tenant.workspace
    user = site.add_user({workspace: Role.VIEWER})
    everywhere, nowhere = site.add_user({None: Role.VIEWER}), site.add_user()
    with ExitStack() as clients, site.server.context.database.begin() as c:
        for one in (user, everywhere, nowhere):
            clients.enter_context(site.log_in(one))
        ids = {one.login: one.id for one in list_sessions(c)}
        found = list_audiences(c, list(ids.values()))
        assert found[ids[user.login]] == frozenset({workspace})
        assert found[ids[everywhere.login]] is None
        assert found[ids[nowhere.login]] == frozenset()
        row(c, "UPDATE users SET disabled_at = now() WHERE id = :id RETURNING id", id=user.id)
        assert ids[user.login] not in list_audiences(c, list(ids.values()))


@pytest.fixture
def alone(environment: dict[str, str], tmp_path: Path) -> Iterator[Site]:
    """A server of this test's own."""
    with serving(environment, tmp_path) as server:
        yield Site(server=server, tenant=server.tenant())


def test_one_workspace_leaves_live_pages_to_others_and_pages_and_the_api_go_on(alone: Site) -> None:
    workspace = alone.tenant.workspace
    with ExitStack() as streams:
        clients = [
            streams.enter_context(alone.log_in(alone.add_user({workspace: Role.VIEWER})))
            for _ in range(MAX_STREAMS // 2 // USER_STREAMS + 1)
        ]
        *full, last = clients
        for client in full:
            for _ in range(USER_STREAMS):
                opened = streams.enter_context(listening(client, alone.url, "posts"))
                assert opened.answer.status == 200
        refused = streams.enter_context(listening(last, alone.url, "posts"))
        assert refused.answer.status == 429
        assert refused.answer.headers["Retry-After"]
        assert f"This workspace has {MAX_STREAMS // 2} live pages" in refused.answer.read().decode()
        assert last.get("/dashboard/").status_code == 200
        make_post(alone, alone.tenant)
        both = alone.add_user({workspace: Role.VIEWER, alone.server.tenant().workspace: Role.VIEWER})
        for user in (both, alone.add_user({None: Role.VIEWER})):
            client = streams.enter_context(alone.log_in(user))
            opened = streams.enter_context(listening(client, alone.url, "posts"))
            assert opened.answer.status == 200, "there is room in another workspace"
    with listening(last, alone.url, "posts") as stream:
        assert stream.answer.status == 200, "the places are free again"


def test_a_user_has_a_share_of_the_live_pages_over_all_sessions(alone: Site) -> None:
    user = alone.add_user({None: Role.VIEWER})
    with ExitStack() as streams:
        clients = [streams.enter_context(alone.log_in(user)) for _ in range(3)]
        opened = [
            streams.enter_context(listening(client, alone.url, "posts")).answer.status
            for client in clients
            for _ in range(USER_STREAMS // 2)
        ]
        assert opened == [200] * USER_STREAMS + [429] * (USER_STREAMS // 2)
        other = streams.enter_context(alone.log_in(alone.add_user({None: Role.VIEWER})))
        assert streams.enter_context(listening(other, alone.url, "posts")).answer.status == 200


def test_a_server_that_stops_ends_its_streams(environment: dict[str, str], tmp_path: Path) -> None:
    with ExitStack() as streams:
        with serving(environment, tmp_path) as server:
            site = Site(server=server, tenant=server.tenant())
            client = streams.enter_context(site.log_in(site.add_user({None: Role.VIEWER})))
            opened = [
                streams.enter_context(
                    listening(client, site.url, "posts", find_position(site, client, 10**15))
                )
                for _ in range(3)
            ]
        assert [one.read() for one in opened] == [None] * 3, "to their ends, not cut off"
    assert "Cancel" not in (tmp_path / "api.log").read_text()
