"""What is selected is counted, confirmed, done by a job with receipts, and only where the visitor's role allows it."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import pytest
import requests

from pipeline.actions.steer_step import run_steering_step
from pipeline.actions.undo import undo_job
from pipeline.broker.queues import IMPORTS
from pipeline.dashboard import steer
from pipeline.domain.account import Role
from pipeline.domain.delivery import Reason, State
from pipeline.domain.level import LEVEL
from pipeline.runtime.context import Context
from pipeline.store.auth.keys import read_caller
from pipeline.store.canaries import record_canary
from pipeline.store.database import new_id, row
from tests.actors import TESTER
from tests.pipeline.dashboard.site import Client, Site
from tests.pipeline.store.ledger import HOUR, Ledger

URL = "/dashboard/queue"
REJECTED = """error = '{"class": "Rejected", "code": "too_long", "message": "No."}'"""


def send(site: Site, http: Client, path: str, fields: Any, status: int = 200) -> requests.Response:
    answer = http.post(path, data=fields, allow_redirects=False)
    assert answer.status_code == status, answer.text + site.server.log.read_text()[-3000:]
    return answer


def read_form(page: str, action: str) -> list[tuple[str, str]]:
    """Return the hidden fields of the form with this action."""
    form = re.search(rf'<form method="post" action="{action}".*?</form>', page, re.DOTALL)
    assert form is not None, page
    found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form[0])
    return [(name, html.unescape(value)) for name, value in found]


def start(site: Site, http: Client, **fields: Any) -> list[UUID]:
    """Count, confirm, and return the jobs that the answer leads to."""
    answer = http.post(f"{URL}/count", data=fields, allow_redirects=False)
    if answer.status_code == 303:  # done at once
        return [UUID(found) for found in parse_qs(urlsplit(answer.headers["Location"]).query)["job"]]
    assert answer.status_code == 200, answer.text + site.server.log.read_text()[-3000:]
    answer = send(site, http, f"{URL}/start", read_form(answer.text, f"{URL}/start"), 303)
    place = urlsplit(answer.headers["Location"])
    return [UUID(found) for found in parse_qs(place.query).get("id", [place.path.rpartition("/")[2]])]


def work(context: Context, jobs: Sequence[UUID]) -> None:
    for job in jobs:
        for _ in range(5):
            run_steering_step(context, job)


def test_all_that_match_are_counted_confirmed_and_done(
    site: Site, http: Client, context: Context, ledger: Ledger
) -> None:
    one, other = (ledger.fresh(due=HOUR, accounts=2) for _ in range(2))
    kept = ledger.post([ledger.account(one.workspace)], State.FAILED)
    text = new_id().hex
    with ledger.database.begin() as c:
        for post in (one, other, kept):
            row(c, "UPDATE posts SET caption = :t WHERE id = :id RETURNING id", t=text, id=post.id)
    page = send(
        site, http, f"{URL}/count", {"action": "cancel", "scope": "all", "filter": f"text={text}"}
    ).text
    assert "Cancel: 2 posts at 4 accounts?" in page
    assert page.count('name="token"') == 2, "one job a workspace"
    form = read_form(page, f"{URL}/start")
    places = [send(site, http, f"{URL}/start", form, 303).headers["Location"] for _ in range(2)]
    assert places[0] == places[1], "confirmed twice, done once"
    assert ledger.states(one) == [State.SCHEDULED] * 2
    jobs = [UUID(found) for found in parse_qs(urlsplit(places[0]).query)["id"]]
    work(context, jobs)
    assert {*ledger.states(one), *ledger.states(other)} == {State.CANCELLED}
    assert ledger.states(kept) == [State.FAILED]
    page = http.get(places[0]).text
    assert page.count("2 done, 0 skipped, of 2") == 2
    assert "every 1s" not in page, "what is over is not loaded again"


def test_the_undo_of_a_job_is_shown_as_a_job_and_is_no_action_of_the_queue(
    site: Site, http: Client, context: Context, ledger: Ledger
) -> None:
    post = ledger.fresh(due=HOUR)
    [job] = start(site, http, action="cancel", scope="some", post=post.id)
    work(context, [job])
    with ledger.database.begin() as c:
        caller = read_caller(c, post.workspace, None)
    assert caller is not None
    made = undo_job(context, replace(caller, actor=TESTER), job)
    page = http.get(f"/dashboard/jobs/{made.id}").text
    assert "<h1>Undo</h1>" in page
    assert "Stop: leave the rest as it is" in page
    assert f'undoes <a href="/dashboard/jobs/{job}">' in page
    work(context, [made.id])
    assert ledger.states(post) == [State.ACCEPTED], "its media are checked again"
    assert str(made.id) in http.get("/dashboard/jobs").text
    fields = {"action": "undo", "scope": "some", "post": str(post.id)}
    assert "There is no action" in send(site, http, f"{URL}/count", fields, 400).text


def test_a_job_that_waits_for_an_upgrade_says_so(site: Site, http: Client, ledger: Ledger) -> None:
    [job] = start(site, http, action="cancel", scope="some", post=ledger.fresh(due=HOUR).id)
    places = (f"/dashboard/jobs/{job}", f"/dashboard/jobs/toast?id={job}")
    assert not any("upgrade" in http.get(place).text for place in places)
    with ledger.database.begin() as c:
        record_canary(c, IMPORTS, LEVEL)
        row(c, "UPDATE steering_jobs SET level = :n WHERE id = :id RETURNING id", n=LEVEL + 1, id=job)
    for place, words in zip(places, ("an upgrade is under way", "waits for an upgrade"), strict=True):
        assert words in http.get(place).text


def test_some_are_retried_and_each_has_a_receipt(
    site: Site, http: Client, context: Context, ledger: Ledger
) -> None:
    post, other = ledger.fresh(State.FAILED, accounts=2), ledger.fresh(State.FAILED)
    late = ledger.post([ledger.account(post.workspace)], State.FAILED)
    wanted = [post.id, late.id]
    [job] = start(site, http, action="retry", scope="some", post=wanted)
    page = http.get(f"/dashboard/jobs/{job}").text
    assert "every 1s" in page
    assert "2 selected posts" in page
    ledger.put(late, State.PUBLISHED)
    work(context, [job])
    assert State.FAILED not in ledger.states(post)
    assert ledger.states(other) == [State.FAILED]
    page = http.get(f"/dashboard/jobs/{job}").text
    assert "2 done, 1 skipped, of 3" in page, page
    assert page.count('<tr><th scope="row">') == 3
    skipped = http.get(f"/dashboard/jobs/{job}", params={"outcome": "skipped"}).text
    assert f"/dashboard/posts/{late.id}" in skipped
    assert f"/dashboard/posts/{post.id}" not in skipped
    assert str(job) in http.get("/dashboard/jobs").text


def test_posts_are_shifted_or_spread(site: Site, http: Client, context: Context, ledger: Ledger) -> None:
    account = ledger.account(ledger.workspace())
    posts = ledger.posts(2, [account], due=HOUR)
    ids, chosen = [d for post in posts for d in post.deliveries], [post.id for post in posts]
    before = [ledger.delivery(d).due_at for d in ids]
    work(context, start(site, http, action="reschedule", shift="1.5", scope="some", post=chosen))
    assert [ledger.delivery(d).due_at for d in ids] == [at + 1.5 * HOUR for at in before]
    window = {"start": "2027-03-01T10:00:00", "end": "2027-03-01T12:00:00Z"}
    work(context, start(site, http, action="spread", scope="some", post=chosen, **window))
    assert sorted(ledger.delivery(d).due_at.isoformat()[:16] for d in ids) == [
        "2027-03-01T10:00",
        "2027-03-01T11:00",
    ]


def test_a_pause_keeps_its_reason_and_is_resumed(
    site: Site, http: Client, context: Context, ledger: Ledger
) -> None:
    post = ledger.fresh(due=-HOUR)
    query = f"workspace={post.workspace}&platform=tiktok"
    work(context, start(site, http, action="pause", scope="all", filter=query, why_pause="wrong <b>campaign"))
    page = http.get(f"{URL}?{query}&reason=paused").text
    assert "A pause holds it" in page
    assert "wrong &lt;b&gt;campaign" in page
    work(context, start(site, http, action="resume", scope="all", filter=query))
    assert "A pause holds it" not in http.get(f"{URL}?{query}").text


def test_a_job_waits_for_an_earlier_one_and_is_stopped(
    site: Site, http: Client, context: Context, ledger: Ledger
) -> None:
    post = ledger.fresh(due=HOUR)
    [pause] = start(site, http, action="pause", scope="some", post=post.id)
    [resume] = start(site, http, action="resume", scope="some", post=post.id)
    path = f"{site.url}/dashboard/jobs/{resume}"
    page = http.get(path).text
    assert f'goes on after <a href="/dashboard/jobs/{pause}">' in page
    send(site, http, f"/dashboard/jobs/{resume}/stop", {}, 303)
    page = http.get(path).text
    assert "stopped" in page
    assert "left as it was" in page
    assert f"{resume}/stop" not in page
    work(context, [pause])
    assert "post_in_flight" not in http.get(f"/dashboard/jobs/{pause}").text
    with ledger.database.begin() as c:
        sql = "SELECT job_id FROM paused_deliveries WHERE delivery_id = :id"
        found = row(c, sql, id=post.deliveries[0])
    assert found is not None
    assert found.job_id == pause


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"action": "publish"}, "There is no action 'publish'"),
        ({"action": "cancel"}, "Select at least one post"),
        ({"action": "cancel", "post": "x"}, "has no id"),
        ({"action": "cancel", "scope": "all"}, "The filter is empty"),
        ({"action": "cancel", "scope": "all", "filter": "account=nobody"}, "There is no account"),
        ({"action": "reschedule", "post": str(new_id()), "shift": "nan"}, "is no number of hours"),
        ({"action": "reschedule", "post": str(new_id()), "shift": "99999"}, "by a year at most"),
        ({"action": "spread", "post": str(new_id()), "start": "2027-01-01T00:00"}, "ISO 8601"),
        ({"action": "pause", "post": str(new_id()), "why_pause": "x" * 501}, "more than 500 characters"),
        ({"action": "discard", "post": str(new_id())}, "Give the reason"),
    ],
)
def test_what_cannot_be_done_is_said(
    site: Site, http: Client, ledger: Ledger, fields: dict[str, str], sentence: str
) -> None:
    ledger.fresh(due=HOUR)
    assert sentence in html.unescape(send(site, http, f"{URL}/count", fields, 400).text)


def test_each_page_can_be_loaded_again_by_htmx(
    site: Site, http: Client, context: Context, ledger: Ledger
) -> None:
    post = ledger.fresh(due=HOUR)
    [job] = start(site, http, action="cancel", post=post.id)
    for path in (
        "/dashboard/",
        URL,
        f"{URL}?state=none",
        "/dashboard/jobs",
        f"/dashboard/jobs/{job}",
        f"{URL}/count?action=replay&scope=all&filter=state%3Dfailed",
        f"/dashboard/deliveries/{post.deliveries[0]}/decide",
    ):
        answer = http.get(path, headers={"HX-Request": "true"})
        assert answer.status_code in (200, 400), site.server.log.read_text()[-3000:]
        assert "<html" not in answer.text


# --- roles -----------------------------------------------------------------------------------------------------------


def test_a_role_acts_in_its_workspaces_only(site: Site, context: Context, ledger: Ledger) -> None:
    mine, seen, hidden = (ledger.fresh(due=HOUR) for _ in range(3))
    user = site.add_user({mine.workspace: Role.AUTHOR, seen.workspace: Role.VIEWER})
    everything = [mine.id, seen.id, hidden.id]
    with site.log_in(user) as http:
        for fields in (
            {"action": "pause", "scope": "some", "post": everything},
            {"action": "cancel", "scope": "all", "filter": f"workspace={seen.workspace}"},
        ):
            assert "role" in send(site, http, f"{URL}/count", fields, 403).text
        [job] = start(site, http, action="cancel", scope="some", post=everything)
        work(context, [job])
        assert ledger.states(mine) == [State.CANCELLED]
        assert {*ledger.states(seen), *ledger.states(hidden)} == {State.SCHEDULED}
        page = send(site, http, f"{URL}/count", {"action": "cancel", "post": hidden.id}).text
        assert "Nothing to cancel" in page
        shown = http.get(f"{URL}").text
        assert 'value="cancel"' in shown
        assert 'value="pause"' not in shown
        assert 'value="replay"' not in shown
        unknown = ledger.post([ledger.account(mine.workspace)], State.UNKNOWN)
        address = f"{site.url}/dashboard/deliveries/{unknown.deliveries[0]}/decide"
        assert http.get(address).status_code == 403


# --- dead letters ----------------------------------------------------------------------------------------------------


def test_all_letters_of_a_cause_are_replayed_by_a_job(
    site: Site, http: Client, context: Context, ledger: Ledger
) -> None:
    account = ledger.account(ledger.workspace())
    posts = ledger.posts(3, [account], State.FAILED)
    for post in posts:
        ledger.change(post.deliveries[0], REJECTED)
    ledger.change(posts[0].deliveries[0], "armed_at = now()")
    other = ledger.post([account], State.FAILED)
    query = {"action": "replay", "scope": "all", "filter": f"account={account}&error_class=Rejected"}
    page = http.get(f"{URL}/count", params=query).text
    assert "Yes, try again bit by bit 2" in page
    assert '<td>too long</td><td class="number">2</td>' in page
    assert "1 will be skipped: It may be live" in page
    answer = send(site, http, f"{URL}/start", read_form(page, f"{URL}/start"), 303)
    job = UUID(answer.headers["Location"].rpartition("/")[2])
    work(context, [job])
    page = http.get(answer.headers["Location"]).text
    assert "2 done, 1 skipped, of 3" in page
    assert page.count("<td>skipped</td><td>It may be live") == 1
    assert [ledger.state(p.deliveries[0]) for p in posts].count(State.FAILED) == 1
    assert ledger.states(other) == [State.FAILED]
    ledger.put(other, State.PUBLISHED)
    page = http.get(f"{URL}/count", params=query).text
    assert "Nothing to try again bit by bit" in page, "what may be live is no reason to confirm anything"
    assert "1 will be skipped: It may be live" in page


def test_selected_letters_are_discarded_with_a_reason(
    site: Site, http: Client, context: Context, ledger: Ledger
) -> None:
    failed, blocked = ledger.fresh(State.FAILED), ledger.fresh()
    ledger.put(blocked, State.BLOCKED, reason=Reason.PERSON_NEEDED)
    published = ledger.fresh(State.PUBLISHED)
    ids = [failed.id, blocked.id, published.id]
    reason = "the <b>campaign is over"
    jobs = start(site, http, action="discard", post=ids, why_discard=reason)
    work(context, jobs)
    assert len(jobs) == 2, "one in each workspace with a dead letter"
    assert ledger.states(failed) == [State.FAILED]
    assert ledger.states(blocked) == [State.CANCELLED]
    page = http.get(f"/dashboard/jobs/{jobs[0]}").text
    assert "why the &lt;b&gt;campaign is over" in page
    shown = http.get(URL, params={"text": str(failed.id), "discarded": "no"}).text
    assert "No such post." in shown
    with site.log_in(site.add_user({failed.workspace: Role.AUTHOR})) as author:
        fields = {"action": "replay", "post": str(failed.id)}
        assert "role operator" in send(site, author, f"{URL}/count", fields, 403).text
        answer = author.get(f"{URL}/count", params=fields)
        assert answer.status_code == 403


def test_of_more_workspaces_than_one_confirmation_takes_the_rest_is_said(
    site: Site, http: Client, context: Context, ledger: Ledger
) -> None:
    posts = [ledger.fresh(State.FAILED) for _ in range(steer.MOST + 2)]
    fields = {"action": "replay", "post": [post.id for post in posts]}
    page = send(site, http, f"{URL}/count", fields).text
    assert f"Yes, try again bit by bit {steer.MOST}" in page
    assert "there is more of 2 others" in page
    work(context, start(site, http, **fields))
    page = send(site, http, f"{URL}/count", fields).text
    assert "Yes, try again bit by bit 2" in page
    assert "there is more" not in page


# --- decisions -------------------------------------------------------------------------------------------------------


def test_a_person_decides_what_became_of_it(site: Site, http: Client, ledger: Ledger) -> None:
    unknown, blocked = ledger.fresh(State.UNKNOWN), ledger.fresh()
    ledger.put(blocked, State.BLOCKED, reason=Reason.PERSON_NEEDED)
    path = f"/dashboard/deliveries/{unknown.deliveries[0]}/decide"
    page = http.get(path).text
    sentence = r"I looked at the account (\S+) on tiktok, and the post is not there. If it is, it will be there twice."
    assert (name := re.search(rf'name="confirm" value="yes" required> {sentence}</label>', page))
    assert f'href="https://www.tiktok.com/@{name[1]}" target="_blank"' in page
    for unconfirmed in ({}, {"confirm": ""}, {"confirm": "no"}):
        refused = send(site, http, path, {"decision": "again", **unconfirmed}, 400).text
        assert re.search(f"Agree first: {sentence}", refused)
    again = {"decision": "again", "confirm": "yes"}
    assert "may still appear until" in send(site, http, path, again, 409).text
    assert ledger.states(unknown) == [State.UNKNOWN]
    url = f"https://www.tiktok.com/@a/video/{unknown.id.int}"
    send(site, http, path, {"decision": "live", "url": url}, 303)
    assert ledger.states(unknown) == [State.PUBLISHED]
    assert "There is nothing to decide any more." in http.get(path).text
    send(site, http, path, again, 409)
    path = f"/dashboard/deliveries/{blocked.deliveries[0]}/decide"
    send(site, http, path, {"decision": "guess"}, 400)
    send(site, http, path, {"decision": "resume"}, 303)
    assert ledger.states(blocked) == [State.RETRYING]
