"""The page of approvals: what it shows, who may use it, and the page of a link, which needs no login."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
import requests

from pipeline.actions.approve import make_link
from pipeline.actions.edit import edit
from pipeline.actions.post_changes import Change
from pipeline.domain.account import Role
from pipeline.runtime.context import Context
from pipeline.stages.post_request import AcceptedPost
from pipeline.store.auth.keys import read_caller
from pipeline.store.database import rows
from pipeline.store.posts.approvals import Approval, demand_of, read_approvals
from tests.actors import TESTER
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.dashboard.site import Client, Site
from tests.pipeline.dashboard.thumbnails import add_thumbnail
from tests.pipeline.media import samples

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
    form = {"post": f"{post.id}.{approval(core.context, post).hash}", "verb": "approve", **form}
    return http.post("/dashboard/approval", form, allow_redirects=False)


def read(http: Client, post: AcceptedPost) -> str:
    return http.get(f"/dashboard/approval?post={post.id}").text


def test_the_post_leads_to_its_approval_and_is_approved(
    http: Client, core: CoreFixture, waiting: AcceptedPost
) -> None:
    shown = http.get(f"/dashboard/posts/{waiting.id}").text
    assert f'href="/dashboard/approval?post={waiting.id}"' in shown
    assert "Waits for an approval" in shown
    page = read(http, waiting)
    assert "Our &lt;b&gt;mug&lt;/b&gt;" in page
    assert approval(core.context, waiting).hash in page
    assert '<span aria-label="1 post to approve">1</span>' in http.get("/dashboard/now").text
    done = answer(http, core, waiting)
    assert (done.status_code, done.headers["Location"]) == (303, "/dashboard/approval?did=approve&number=1")
    assert approval(core.context, waiting).is_approved
    assert "Approved 1 post." in http.get(done.headers["Location"]).text


def test_what_was_changed_is_refused_in_words_and_the_rest_goes_through(
    http: Client, core: CoreFixture, waiting: AcceptedPost
) -> None:
    other = core.accept(caption="A jug", scheduled_at=core.now() + 2 * DAY)
    with core.context.database.begin() as c:
        demand_of(c, [other.id], "key 1")
    seen = [f"{waiting.id}.{'0' * 64}", f"{other.id}.{approval(core.context, other).hash}"]
    refused = http.post("/dashboard/approval", {"post": seen, "verb": "approve"})
    assert refused.status_code == 409
    assert "1 post went through, and this one did not:" in refused.text
    assert "mug&lt;/b&gt;</bdi>”: It was changed since you saw it" in refused.text
    assert (approval(core.context, waiting).is_approved, approval(core.context, other).is_approved) == (
        False,
        True,
    )


def test_it_is_sent_back_with_a_reason_and_only_with_one(
    http: Client, core: CoreFixture, waiting: AcceptedPost
) -> None:
    assert answer(http, core, waiting, verb="send_back", why=" ").status_code == 400
    assert answer(http, core, waiting, verb="send_back", why="The price").status_code == 303
    assert approval(core.context, waiting).sent_back == "The price"
    assert str(waiting.id) not in http.get("/dashboard/approval").text
    assert "“<bdi>The price</bdi>”" in http.get("/dashboard/approval?show=sent_back").text


def test_a_post_that_is_past_takes_a_new_time(http: Client, core: CoreFixture, waiting: AcceptedPost) -> None:
    core.run("UPDATE deliveries SET due_at = now() - interval '1 hour' WHERE post_id = :id", id=waiting.id)
    core.run("UPDATE posts SET due_at = now() - interval '1 hour' WHERE id = :id", id=waiting.id)
    assert "Its time has passed" in read(http, waiting)
    assert answer(http, core, waiting).status_code == 409
    form = {"local_time": "2031-07-01T09:00", "time_zone": "Europe/Berlin"}
    assert answer(http, core, waiting, **form).status_code == 303
    assert core.ledger.delivery(waiting.deliveries[0]).due_at.isoformat() == "2031-07-01T07:00:00+00:00"


def test_a_viewer_and_its_author_see_it_and_cannot_answer(
    site: Site, core: CoreFixture, waiting: AcceptedPost
) -> None:
    with site.log_in(site.add_user({core.workspace: Role.VIEWER})) as viewer:
        assert "Approve</button>" not in read(viewer, waiting)
        assert answer(viewer, core, waiting).status_code == 403
    author = site.add_user({core.workspace: Role.AUTHOR})
    core.run("UPDATE approvals SET editor = :by", by=f"user {author.id}")
    with site.log_in(author) as client:
        assert "You wrote it or changed it last" in read(client, waiting)
        assert "another user approves it" in answer(client, core, waiting).text
    assert not approval(core.context, waiting).is_approved


def test_what_changed_since_it_was_approved_is_shown(
    http: Client, core: CoreFixture, waiting: AcceptedPost
) -> None:
    assert "Changed since" not in read(http, waiting)
    answer(http, core, waiting)
    caller = replace(core.caller, actor=TESTER)
    edit(
        core.context, caller, waiting.id, Change(given=frozenset({"caption"}), caption="Our <b>cup</b>"), "*"
    )
    moved = Change(given=frozenset({"scheduled_at"}), scheduled_at=core.now() + 3 * DAY, shifts=True)
    edit(core.context, caller, waiting.id, moved, "*")
    shown = read(http, waiting)
    assert "Changed since it was approved" in shown
    assert "Our <del>&lt;b&gt;mug&lt;/b&gt;</del><ins>&lt;b&gt;cup&lt;/b&gt;</ins>" in shown
    assert re.search("Somebody moved it from <b[^>]*>[^<]+</b> to <b", shown)


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
        form = {"post": f"{other.id}.{'0' * 64}", "verb": "approve"}
        assert client.post(path, form, allow_redirects=False).status_code == 404
        [seen] = re.findall(r'name="post" value="([0-9a-f-]{36}\.[0-9a-f]{64})"', shown.text)
        form = {"post": seen, "verb": "approve"}
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


def test_a_link_is_made_of_selected_posts_shown_once_and_taken_back(
    site: Site, http: Client, core: CoreFixture, waiting: AcceptedPost
) -> None:
    form = {"post": f"{waiting.id}.{approval(core.context, waiting).hash}", "days": "7"}
    made = http.post("/dashboard/approval/links", form)
    [path] = re.findall(r'id="made-link" readonly value="[^"]*(/dashboard/approve/[^"]+)"', made.text)
    with core.context.database.begin() as c:
        [row] = rows(c, "SELECT id, workspace_id FROM approval_links")
    page = http.get("/dashboard/approval").text
    assert ("0 of 1 post answered" in page, path in page) == (True, False)
    with site.open() as client:
        assert "1 post to approve" in client.get(path).text
        where = {"link": str(row.id), "workspace": str(row.workspace_id)}
        assert http.post("/dashboard/approval/links/end", where, allow_redirects=False).status_code == 303
        assert http.post("/dashboard/approval/links/end", where, allow_redirects=False).status_code == 303
        assert client.get(path).status_code == 404
    assert "Links that work" not in http.get("/dashboard/approval").text
    assert http.post("/dashboard/approval/links", {"days": "7"}).status_code == 400


def test_a_link_shows_thumbnails_of_its_posts_only(
    site: Site, core: CoreFixture, waiting: AcceptedPost
) -> None:
    own, other = (add_thumbnail(core.context, core.workspace) for _ in range(2))
    core.run("UPDATE post_checks SET check_id = :check WHERE post_id = :id", check=own[:36], id=waiting.id)
    core.run(
        """UPDATE posts p SET media = jsonb_build_object('type', 'slideshow', 'urls', jsonb_build_array(k.url))
           FROM checks k WHERE (p.id, k.id) = (:id, :check)""",
        check=own[:36],
        id=waiting.id,
    )
    path = f"/dashboard/approve/{link(core, waiting)}"
    with site.open() as client:
        assert f'href="{path}/thumbnails/{own}"' in client.get(path).text
        shown = client.get(f"{path}/thumbnails/{own}")
        assert (shown.status_code, shown.content) == (200, samples.webp((256, 100)))
        assert client.get(f"{path}/thumbnails/{other}").status_code == 404
        core.run("UPDATE approval_links SET expires_at = now()")
        assert client.get(f"{path}/thumbnails/{own}").status_code == 404
