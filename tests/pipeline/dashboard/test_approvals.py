"""The page of an approval: what it shows, who may use it, and the page of a link, which needs no login."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import UUID

import pytest
import requests

from pipeline.actions.approve import make_link
from pipeline.domain.account import Role
from pipeline.runtime.context import Context
from pipeline.stages.post_request import AcceptedPost
from pipeline.store.auth.keys import read_caller
from pipeline.store.database import rows
from pipeline.store.posts.approvals import Approval, demand_of, read_approvals
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.dashboard.site import Client, Site

DAY = timedelta(days=1)


@pytest.fixture
def waiting(core: CoreFixture) -> AcceptedPost:
    core.account("one")
    core.decided()
    post = core.accept(caption="Our <b>mug</b>", scheduled_at=core.now() + DAY)
    with core.context.database.begin() as c:
        demand_of(c, [post.id], "key 1")
    return post


def approval(context: Context, post: AcceptedPost) -> Approval:
    with context.database.begin() as c:
        return read_approvals(c, [post.id])[post.id]


def answer(http: Client, core: CoreFixture, post: AcceptedPost, **form: str) -> requests.Response:
    form = {"hash": approval(core.context, post).hash, "verb": "approve", **form}
    return http.post(f"/dashboard/posts/{post.id}/approve", form, allow_redirects=False)


def test_the_post_leads_to_its_approval_and_is_approved(
    http: Client, core: CoreFixture, waiting: AcceptedPost
) -> None:
    shown = http.get(f"/dashboard/posts/{waiting.id}").text
    assert f'href="/dashboard/posts/{waiting.id}/approve"' in shown
    assert "Waits for an approval" in shown
    page = http.get(f"/dashboard/posts/{waiting.id}/approve").text
    assert "Our &lt;b&gt;mug&lt;/b&gt;" in page
    assert approval(core.context, waiting).hash in page
    done = answer(http, core, waiting)
    assert (done.status_code, done.headers["Location"]) == (303, f"/dashboard/posts/{waiting.id}?did=approve")
    assert approval(core.context, waiting).is_approved


def test_another_hash_is_said_and_nothing_is_approved(
    http: Client, core: CoreFixture, waiting: AcceptedPost
) -> None:
    refused = answer(http, core, waiting, hash="0" * 64)
    assert (refused.status_code, "read it again" in refused.text) == (409, True)
    assert not approval(core.context, waiting).is_approved


def test_it_is_sent_back_with_a_reason_and_only_with_one(
    http: Client, core: CoreFixture, waiting: AcceptedPost
) -> None:
    assert answer(http, core, waiting, verb="send_back", why=" ").status_code == 400
    assert answer(http, core, waiting, verb="send_back", why="The price").status_code == 303
    assert approval(core.context, waiting).sent_back == "The price"


def test_a_post_that_is_past_takes_a_new_time(http: Client, core: CoreFixture, waiting: AcceptedPost) -> None:
    core.run("UPDATE deliveries SET due_at = now() - interval '1 hour' WHERE post_id = :id", id=waiting.id)
    core.run("UPDATE posts SET due_at = now() - interval '1 hour' WHERE id = :id", id=waiting.id)
    assert "Its time has passed" in http.get(f"/dashboard/posts/{waiting.id}/approve").text
    assert answer(http, core, waiting).status_code == 400
    form = {"local_time": "2031-07-01T09:00", "time_zone": "Europe/Berlin"}
    assert answer(http, core, waiting, **form).status_code == 303
    assert core.ledger.delivery(waiting.deliveries[0]).due_at.isoformat() == "2031-07-01T07:00:00+00:00"


def test_a_viewer_sees_it_and_cannot_answer(site: Site, core: CoreFixture, waiting: AcceptedPost) -> None:
    with site.log_in(site.add_user({core.workspace: Role.VIEWER})) as viewer:
        assert "Approve</button>" not in viewer.get(f"/dashboard/posts/{waiting.id}/approve").text
        assert answer(viewer, core, waiting).status_code == 403


def link(core: CoreFixture, *posts: AcceptedPost) -> str:
    with core.context.database.begin() as c:
        caller = read_caller(c, core.workspace, None)
    assert caller is not None
    return make_link(core.context, caller, [post.id for post in posts], DAY)[0]


def test_a_link_needs_no_login_and_shows_its_posts_only(
    site: Site, core: CoreFixture, waiting: AcceptedPost
) -> None:
    other = core.ledger.post([core.accounts["one"]], due=DAY)
    core.run("UPDATE posts SET caption = 'a secret' WHERE id = :id", id=other.id)
    path = f"/dashboard/approve/{link(core, waiting)}"
    with site.open() as client:
        client.get(path)
        shown = client.get(path)  # reading changes nothing
        assert (shown.status_code, shown.headers["Referrer-Policy"]) == (200, "no-referrer")
        assert "Our &lt;b&gt;mug&lt;/b&gt;" in shown.text
        assert "by the clock of UTC" in shown.text
        assert "a secret" not in shown.text
        assert "/dashboard/queue" not in shown.text
        assert not approval(core.context, waiting).is_approved
        form = {"post": str(other.id), "hash": "0" * 64, "verb": "approve"}
        assert client.post(path, form, allow_redirects=False).status_code == 404
        [shown_hash] = re.findall(r'name="hash" value="([0-9a-f]{64})"', shown.text)
        form = {"post": str(waiting.id), "hash": shown_hash, "verb": "approve"}
        done = client.post(path, form, headers={"Origin": "null"}, allow_redirects=False)
        assert (done.status_code, done.headers["Location"]) == (303, path)
        assert client.post(path, form, allow_redirects=False).status_code == 409
        assert "Approved" in client.get(path).text
    assert approval(core.context, waiting).is_approved
    with core.context.database.begin() as c:
        [row] = rows(c, "SELECT * FROM audit WHERE verb = 'approve' AND subject = :id", id=str(waiting.id))
    assert (row.actor_kind, row.actor_name.startswith("approval link ")) == ("system", True)


def test_a_link_whose_time_is_over_shows_nothing(
    site: Site, core: CoreFixture, waiting: AcceptedPost
) -> None:
    path = f"/dashboard/approve/{link(core, waiting)}"
    core.run("UPDATE approval_links SET expires_at = now()")
    with site.open() as client:
        shown = client.get(path)
        assert (shown.status_code, "mug" in shown.text) == (404, False)
        assert client.get(f"/dashboard/approve/{UUID(int=0)}").status_code == 404
