"""What people do to a post from its page: each by the function that the API uses, by those who may, and once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
import requests

from pipeline.domain.account import Plan, Role, Subscription
from pipeline.domain.delivery import Reason, State
from pipeline.domain.post import NO_TIME
from pipeline.stages.post_state import compute_version
from pipeline.store.audit import AuditFilter, list_changes
from pipeline.store.auth.workspaces import set_plan
from pipeline.store.database import rows
from pipeline.store.posts.views import read_post
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.dashboard.site import Client, Site
from tests.pipeline.media import samples
from tests.pipeline.store.ledger import Post

DAY = timedelta(days=1)
ABSENT = "01a2106e-0000-7000-8000-000000000000"
AGREED = {"confirm": "yes"}


def press(
    http: Client,
    post: Post,
    verb: str,
    form: Mapping[str, str] | None = None,
    *,
    delivery: UUID | str | None = None,
    headers: Mapping[str, str] | None = None,
) -> requests.Response:
    """Send the form of a button of the post's first delivery; of ``reschedule`` that of the post."""
    own = "reschedule" if verb == "reschedule" else f"deliveries/{delivery or post.deliveries[0]}/{verb}"
    return http.post(
        f"/dashboard/posts/{post.id}/{own}",
        form or {},
        headers=headers,
        allow_redirects=False,
    )


def done(answer: requests.Response, post: Post, verb: str) -> None:
    assert (answer.status_code, answer.headers.get("Location")) == (
        303,
        f"/dashboard/posts/{post.id}?did={verb}",
    ), answer.text


def version(core: CoreFixture, post: Post) -> str:
    with core.context.database.begin() as c:
        view = read_post(c, core.workspace, post.id)
    assert view is not None
    return f'"{compute_version(view)}"'


def due(core: CoreFixture, post: Post) -> datetime:
    found: datetime = core.ledger.delivery(post.deliveries[0]).due_at
    return found


def planned(core: CoreFixture, **more: Any) -> Post:
    return core.ledger.post([core.account("one")], due=DAY, **more)


# --- reschedule ------------------------------------------------------------------------------------------------------


def test_a_form_gives_a_post_the_time_of_a_zones_clocks(http: Client, core: CoreFixture) -> None:
    post = planned(core)
    form = {"local_time": "2030-07-01T09:00", "time_zone": "Europe/Berlin", "version": version(core, post)}
    done(press(http, post, "reschedule", form), post, "reschedule")
    assert due(core, post) == datetime(2030, 7, 1, 7, tzinfo=UTC)
    assert "Moved." in http.get(f"/dashboard/posts/{post.id}?did=reschedule").text


def test_the_same_form_sends_a_draft_on_its_way(http: Client, core: CoreFixture) -> None:
    post = planned(core)
    with core.ledger.database.begin() as c:
        for table, more in (
            ("posts", ", status = 'draft' WHERE id = :id"),
            ("deliveries", " WHERE post_id = :id"),
        ):
            rows(c, f"UPDATE {table} SET due_at = :none{more} RETURNING id", id=post.id, none=NO_TIME)  # noqa: S608
    shown = http.get(f"/dashboard/posts/{post.id}").text
    assert 'name="local_time" value=""' in shown
    assert "9999" not in shown.partition('<details class="fold"')[0]
    form = {"local_time": "2030-07-01T09:00", "time_zone": "UTC", "version": version(core, post)}
    done(press(http, post, "reschedule", form), post, "reschedule")
    assert due(core, post) == datetime(2030, 7, 1, 9, tzinfo=UTC)


def test_the_calendars_script_gets_json(http: Client, core: CoreFixture) -> None:
    post = planned(core)
    form = {"local_time": "2030-01-01T09:00:00", "time_zone": "UTC"}
    headers = {"Accept": "application/json", "If-Match": version(core, post)}
    answer = press(http, post, "reschedule", form, headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"version": version(core, post)})
    assert due(core, post) == datetime(2030, 1, 1, 9, tzinfo=UTC)
    again = press(http, post, "reschedule", {**form, "local_time": "2031-01-01T09:00:00"}, headers=headers)
    assert (again.status_code, again.json()["code"]) == (412, "precondition_failed")
    assert due(core, post) == datetime(2030, 1, 1, 9, tzinfo=UTC)


def test_a_post_that_is_being_sent_stays_as_it_is(http: Client, core: CoreFixture) -> None:
    post = planned(core)
    core.ledger.put(post, State.PUBLISHING, armed=True)
    form = {"local_time": "2030-01-01T09:00", "time_zone": "UTC", "version": version(core, post)}
    before = due(core, post)
    answer = press(http, post, "reschedule", form)
    assert answer.status_code == 409
    assert "on TikTok is being sent, or may be live already; nothing was changed" in answer.text
    script = press(http, post, "reschedule", form, headers={"Accept": "application/json"})
    assert (script.status_code, script.json()["code"]) == (409, "post_in_flight")
    assert due(core, post) == before


@pytest.mark.parametrize(
    ("form", "word"),
    [
        ({"local_time": "2027-03-28T02:30", "time_zone": "Europe/Berlin"}, "does not exist in Europe/Berlin"),
        ({"local_time": "", "time_zone": "UTC"}, "It has no time"),
        ({"local_time": "now", "time_zone": "UTC"}, "New time: give a date and a time"),
        ({"local_time": "2020-01-01T09:00", "time_zone": "UTC"}, "in the past"),
    ],
)
def test_a_time_that_is_none_is_refused(
    http: Client, core: CoreFixture, form: Mapping[str, str], word: str
) -> None:
    post = planned(core)
    before = due(core, post)
    answer = press(http, post, "reschedule", {**form, "version": version(core, post)})
    assert answer.status_code == 400
    assert word in answer.text
    assert due(core, post) == before


def test_a_time_that_clocks_show_twice_is_chosen_by_its_offset(http: Client, core: CoreFixture) -> None:
    post = planned(core)
    tag = version(core, post)
    form = {"local_time": "2027-10-31T02:30", "time_zone": "Europe/Berlin", "version": tag}
    answer = press(http, post, "reschedule", form)
    assert answer.status_code == 400
    assert "exists twice in Europe/Berlin" in answer.text
    for moment in ("2027-10-31T02:30:00+02:00", "2027-10-31T02:30:00+01:00"):
        assert f'<button type="submit" name="scheduled_at" value="{moment}"' in answer.text
    chosen = {"scheduled_at": "2027-10-31T02:30:00+01:00", "version": tag}
    done(press(http, post, "reschedule", chosen), post, "reschedule")
    assert due(core, post) == datetime(2027, 10, 31, 1, 30, tzinfo=UTC)


def test_a_change_says_which_version_was_seen(http: Client, core: CoreFixture) -> None:
    post = planned(core)
    answer = press(http, post, "reschedule", {"local_time": "2030-01-01T09:00", "time_zone": "UTC"})
    assert answer.status_code == 400
    assert "say which version of the post you saw" in answer.text


# --- buttons of a delivery -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "state", "form", "end", "again"),
    [
        ("cancel", State.SCHEDULED, AGREED, State.CANCELLED, ""),
        ("retry", State.FAILED, {}, State.ACCEPTED, "only failed ones are retried"),
        (
            "live",
            State.UNKNOWN,
            {"url": "https://a.example/1"},
            State.PUBLISHED,
            "only blocked and unknown posts",
        ),
        ("again", State.UNKNOWN, AGREED, State.RETRYING, "only blocked and unknown posts"),
        ("resume", State.BLOCKED, {}, State.RETRYING, "only blocked"),
    ],
)
def test_a_button_acts_on_one_account_once(
    http: Client, core: CoreFixture, verb: str, state: State, form: Mapping[str, str], end: State, again: str
) -> None:
    post = core.ledger.post([core.account("one"), core.account("two")], due=DAY)
    first = Post(id=post.id, workspace=core.workspace, deliveries=post.deliveries[:1])
    core.ledger.put(first, state, reason=Reason.PERSON_NEEDED if state is State.BLOCKED else None)
    if verb == "again":
        early = press(http, post, verb, AGREED)
        assert (early.status_code, "may still appear until" in early.text) == (409, True)
        core.ledger.change(post.deliveries[0], "armed_deadline = now() - interval '2 days'")
    if form is AGREED:
        answer = press(http, post, verb)
        assert (answer.status_code, "Agree first" in answer.text) == (400, True)
    if verb == "live":
        answer = press(http, post, verb, {"url": "javascript:alert(1)"})
        assert (answer.status_code, "start it with https://" in answer.text) == (409, True)
    done(press(http, post, verb, form), post, verb)
    assert core.ledger.states(post) == [end, State.SCHEDULED]
    if again:
        answer = press(http, post, verb, form)
        assert (answer.status_code, again in answer.text) == (409, True)
        problem = answer.text.partition('role="alert" class')[2].partition("</div>")[0]
        assert str(post.deliveries[0]) not in problem


def test_a_candidate_is_chosen_with_one_button(http: Client, core: CoreFixture) -> None:
    post = planned(core)
    core.ledger.put(post, State.BLOCKED, armed=True, reason=Reason.IS_IT_LIVE)
    found = [
        {"remote_id": "77", "url": "https://a.example/77"},
        {"remote_id": "78", "url": "javascript:1"},
        {"remote_id": "79", "url": "https://a.example/79", "same_caption": False, "likely": False},
    ]
    error = {"class": "OutcomeUnknown", "code": "unclear", "message": "Unclear.", "candidates": found}
    core.ledger.change(post.deliveries[0], "error = CAST(:e AS jsonb)", e=json.dumps(error))
    page = http.get(f"/dashboard/posts/{post.id}").text
    assert 'name="url" value="https://a.example/77"' in page
    assert 'value="javascript:1"' not in page
    folded = page.partition("<summary>1 more that differ in text, kind, media or time")[2]
    assert 'name="url" value="https://a.example/79"' in folded.partition("</details>")[0]
    decide = http.get(f"/dashboard/deliveries/{post.deliveries[0]}/decide").text
    shown, _, folded = decide.partition("<summary>1 more live post of the account")
    assert "<li>https://a.example/77: " in shown
    assert "<li>https://a.example/79: caption differs" in folded.partition("</details>")[0]
    done(press(http, post, "live", {"url": "https://a.example/77"}), post, "live")
    assert core.ledger.delivery(post.deliveries[0]).remote_id == "77"


def test_a_post_whose_outcome_is_open_is_looked_up_now(http: Client, core: CoreFixture) -> None:
    post = planned(core)
    core.ledger.put(post, State.UNKNOWN)
    assert "/look" in http.get(f"/dashboard/posts/{post.id}").text
    done(press(http, post, "look"), post, "look")
    page = http.get(f"/dashboard/posts/{post.id}").text
    assert "/look" not in page
    assert "had the platform looked at" in page
    assert press(http, post, "look").status_code == 409


def test_a_pause_holds_one_delivery_until_it_ends(http: Client, core: CoreFixture) -> None:
    post = core.ledger.post([core.account("one"), core.account("two")], due=DAY)
    done(press(http, post, "pause", {"why": "<b>wait</b>"}), post, "pause")
    assert list_paused(core, post) == [(post.deliveries[0], "<b>wait</b>")]
    page = http.get(f"/dashboard/posts/{post.id}").text
    assert "&lt;b&gt;wait&lt;/b&gt;" in page
    assert "Paused by itself: “&lt;b&gt;wait&lt;/b&gt;”" in page
    assert press(http, post, "pause", {"why": "x" * 501}).status_code == 400
    again = press(http, post, "pause")
    assert (again.status_code, "It changed in the meantime" in again.text) == (409, True)
    done(press(http, post, "unpause"), post, "unpause")
    assert list_paused(core, post) == []


def list_paused(core: CoreFixture, post: Post) -> list[tuple[UUID, str]]:
    with core.context.database.begin() as c:
        found = rows(
            c,
            "SELECT delivery_id, why FROM paused_deliveries WHERE delivery_id = ANY(CAST(:ids AS uuid[]))",
            ids=post.deliveries,
        )
    return [(r.delivery_id, r.why) for r in found]


# --- who may ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("role", "may"),
    [
        (Role.VIEWER, set()),
        (Role.AUTHOR, {"reschedule", "cancel"}),
        (Role.OPERATOR, {"reschedule", "cancel", "pause"}),
    ],
)
def test_each_role_does_what_it_may(site: Site, core: CoreFixture, role: Role, may: set[str]) -> None:
    roles: dict[UUID | None, Role] = {core.workspace: role, core.ledger.workspace(): Role.ADMIN}
    with site.log_in(site.add_user(roles)) as visitor:
        for verb in ("reschedule", "pause", "cancel"):
            post = planned(core)
            form = {
                **AGREED,
                "local_time": "2030-01-01T09:00",
                "time_zone": "UTC",
                "version": version(core, post),
            }
            answer = press(visitor, post, verb, form)
            assert answer.status_code == (303 if verb in may else 403), verb
        post = planned(core)
        core.ledger.put(post, State.FAILED)
        for verb in ("live", "again", "resume", "unpause", "look"):
            answer = press(visitor, post, verb, AGREED)
            assert (answer.status_code == 403) is (role < Role.OPERATOR), verb


# --- replace a file --------------------------------------------------------------------------------------------------


def send_file(
    http: Client, post: Post, data: bytes, kind: str = "video/mp4", **query: str
) -> requests.Response:
    """Send a file for the post's first delivery, as the page's script does."""
    path = f"/dashboard/posts/{post.id}/deliveries/{post.deliveries[0]}/file"
    given = {"name": "v2.mp4", "version": "*", **query}
    return http.post(path, data=data, params=given, headers={"Content-Type": kind})


def read_media(core: CoreFixture, post: Post) -> Mapping[str, Any]:
    with core.context.database.begin() as c:
        view = read_post(c, core.workspace, post.id)
    assert view is not None
    return view.media


def count_files(core: CoreFixture) -> int:
    with core.context.database.begin() as c:
        return len(rows(c, "SELECT id FROM files WHERE workspace_id = :w", w=core.workspace))


def test_a_file_is_replaced_and_only_its_account_is_tried_again(
    site: Site, http: Client, core: CoreFixture
) -> None:
    post = core.ledger.post([core.account("one"), core.account("two")], State.FAILED, due=DAY)
    shown = http.get(f"/dashboard/posts/{post.id}").text
    assert shown.count("Replace file and retry") == 2
    answer = send_file(http, post, samples.video(), version=version(core, post))
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (
        204,
        f"/dashboard/posts/{post.id}?did=file",
    )
    assert core.ledger.states(post) == [State.ACCEPTED, State.FAILED]
    media = read_media(core, post)
    assert media["type"] == "video"
    assert media["url"].startswith(f"{site.url}/files/")
    assert "the file is replaced" in http.get(answer.headers["HX-Redirect"]).text.lower()
    with core.context.database.begin() as c:
        verbs = [one.verb for one in list_changes(c, AuditFilter(subject=str(post.id)), limit=9)]
    assert verbs == ["edit", "retry"]


def test_one_of_several_files_is_replaced_in_its_place(site: Site, http: Client, core: CoreFixture) -> None:
    post = planned(core)
    core.ledger.put(post, State.FAILED)
    urls = [f"https://media.example/{n}.jpg" for n in range(3)]
    media = json.dumps({"type": "slideshow", "urls": urls})
    core.ledger.update("posts", post.id, "media = CAST(:m AS jsonb)", m=media)
    assert send_file(http, post, samples.image("JPEG"), "image/jpeg", place="1").status_code == 204
    first, new, last = read_media(core, post)["urls"]
    assert (first, last) == (urls[0], urls[2])
    assert new.startswith(f"{site.url}/files/")
    assert core.ledger.states(post) == [State.ACCEPTED]


def test_a_file_that_cannot_take_the_place_changes_nothing(
    site: Site, http: Client, core: CoreFixture
) -> None:
    post = core.ledger.post([core.account("one"), core.account("two")], State.FAILED, due=DAY)
    before = read_media(core, post)
    with site.log_in(site.add_user({core.workspace: Role.VIEWER})) as viewer:
        assert send_file(viewer, post, samples.video()).status_code == 403
        assert "Replace file" not in viewer.get(f"/dashboard/posts/{post.id}").text
    for status, answer in (
        (422, send_file(http, post, b"words", "text/plain")),
        (415, send_file(http, post, samples.image("PNG"))),
        (404, send_file(http, post, samples.video(), place="1")),
        (404, send_file(http, post, samples.video(), place="x")),
    ):
        assert answer.status_code == status, answer.text
    assert count_files(core) == 1, "the one whose bytes were of another type: maintenance removes it"
    assert send_file(http, post, samples.video(), version='"old"').status_code == 412
    live = Post(id=post.id, workspace=core.workspace, deliveries=[post.deliveries[1]])
    core.ledger.put(live, State.PUBLISHED)
    number = count_files(core)
    answer = send_file(http, post, samples.video())
    assert (answer.status_code, count_files(core)) == (400, number), "it is refused before the file is sent"
    assert "Replace file" not in http.get(f"/dashboard/posts/{post.id}").text
    assert (read_media(core, post), core.ledger.states(post)) == (before, [State.FAILED, State.PUBLISHED])


def test_wrong_addresses_are_not_found(http: Client, core: CoreFixture) -> None:
    post, other = planned(core), planned(core)
    for delivery in (ABSENT, "x", other.deliveries[0]):
        assert press(http, post, "cancel", AGREED, delivery=delivery).status_code == 404
    assert press(http, post, "explode").status_code == 404
    assert core.ledger.states(post) == [State.SCHEDULED]


def test_without_a_plan_posts_are_cancelled_and_not_sent(http: Client, core: CoreFixture) -> None:
    post = planned(core)
    with core.context.database.begin() as c:
        set_plan(c, core.workspace, Plan.BUSINESS, Subscription.CANCELED)
    form = {
        "local_time": "2030-01-01T09:00",
        "time_zone": "UTC",
        "version": version(core, post),
    }
    answer = press(http, post, "reschedule", form)
    assert (answer.status_code, "renew it to publish" in answer.text) == (402, True)
    done(press(http, post, "cancel", AGREED), post, "cancel")
