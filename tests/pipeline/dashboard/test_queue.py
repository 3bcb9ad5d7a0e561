"""The queue shows a visitor what their filter selects, why each waits or failed, and nothing of others."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from pipeline.dashboard import queue
from pipeline.domain.account import Role
from pipeline.domain.delivery import Reason, State
from pipeline.store.database import new_id, row
from tests.pipeline.dashboard.site import Client, Site
from tests.pipeline.store.ledger import HOUR, Ledger, Post

URL = "/dashboard/queue"
REJECTED = """error = '{"class": "Rejected", "code": "too_long", "message": "The caption is <too> long."}'"""


def get(site: Site, http: Client, status: int = 200, **query: Any) -> str:
    answer = http.get(URL, params=query)
    assert answer.status_code == status, site.server.log.read_text()[-3000:]
    return answer.text


def list_shown(page: str) -> list[UUID]:
    return [UUID(found) for found in re.findall(r'id="row-([0-9a-f-]+)"', page)]


def set_caption(ledger: Ledger, post: Post, caption: str) -> None:
    ledger.update("posts", post.id, "caption = :t", t=caption)


def test_each_post_says_where_it_stands_and_why(site: Site, http: Client, ledger: Ledger) -> None:
    failed, blocked = ledger.fresh(State.FAILED), ledger.fresh()
    ledger.put(blocked, State.BLOCKED, reason=Reason.RECONNECT)
    ledger.change(failed.deliveries[0], REJECTED)
    page = get(site, http, workspace=failed.workspace)
    assert list_shown(page) == [failed.id]
    assert "The caption is &lt;too&gt; long." in page
    assert f'href="/dashboard/posts/{failed.id}"' in page
    assert "Failed</span>" in page
    page = get(site, http, workspace=blocked.workspace)
    assert "has to be connected again. It goes on when the account is connected." in page
    assert "Connect again</span>" in page


def test_a_row_is_a_post_with_all_its_accounts(site: Site, http: Client, ledger: Ledger) -> None:
    post = ledger.fresh(State.PUBLISHED, accounts=3, due=-HOUR)
    words = '{"class": "Rejected", "code": "no", "message": "No.", "platform_message": "It is <i>bad</i>."}'
    ledger.change(
        post.deliveries[0], f"state = 'failed', published_at = NULL, remote_id = NULL, error = '{words}'"
    )
    both: list[dict[str, Any]] = [
        {"workspace": post.workspace},
        {"workspace": post.workspace, "state": "failed"},
    ]
    for query in both:
        page = get(site, http, **query)
        assert list_shown(page) == [post.id]
        assert "Partly live</span>" in page
        assert page.count('class="mark"') == 3
        assert "TikTok says: “It is &lt;i&gt;bad&lt;/i&gt;.”" in page
    assert list_shown(get(site, http, workspace=post.workspace, state="scheduled")) == []


def test_what_is_late_or_failed_stands_above_today(site: Site, ledger: Ledger) -> None:
    workspace = ledger.workspace()
    account = ledger.account(workspace)
    late, live = ledger.post([account], due=-HOUR), ledger.post([account], State.PUBLISHED, due=-HOUR)
    failed, blocked = ledger.post([account], State.FAILED, due=-HOUR), ledger.post([account], State.BLOCKED)
    soon = ledger.post([account], due=timedelta(seconds=30))
    with site.log_in(site.add_user({workspace: Role.VIEWER})) as http:
        page = get(site, http)
        first = page.partition("Late or failed")[2]
        assert {*list_shown(first)} >= {late.id, failed.id, blocked.id}
        assert list_shown(get(site, http, when="late")) == [late.id]
        assert list_shown(get(site, http, when="failed")) == [failed.id]
        assert list_shown(get(site, http, when="hour")) == [soon.id]
        assert {*list_shown(get(site, http, when="all"))} == {
            p.id for p in (late, live, failed, blocked, soon)
        }
        now = http.get("/dashboard/now").text
        counts = dict(re.findall(r'when=(\w+)">[^<]*<span class="count[^"]*">(\d+)', now))
        assert counts == {"now": "0", "hour": "1", "late": "1", "failed": "1"}


def test_new_posts_wait_until_they_are_asked_for(site: Site, http: Client, ledger: Ledger) -> None:
    workspace = ledger.workspace()
    account = ledger.account(workspace)
    first = ledger.post([account], State.FAILED)
    query: dict[str, Any] = {"workspace": workspace, "state": "failed"}
    assert list_shown(get(site, http, **query)) == [first.id]
    second = ledger.post([account], State.FAILED)
    ledger.put(first, State.SCHEDULED)
    page = get(site, http, **query, shown=str(first.id))
    assert list_shown(page) == [first.id], "it stays where it was, with its new state"
    assert "Scheduled</span>" in page
    assert "1 new" in page
    assert list_shown(get(site, http, **query)) == [second.id]


def list_titles(page: str) -> list[str]:
    return re.findall(r'<h2 class="divider">(.*?)<span>', page)


def name_order(page: str) -> str:
    [found] = re.findall(r'<summary class="button">(By time|Newest first)', page) or re.findall(
        r'<span class="soft">(By time|Newest first|Next step first)</span>', page
    )
    return str(found)


def test_a_list_says_its_order_and_takes_another(site: Site, ledger: Ledger) -> None:
    workspace = ledger.workspace()
    account = ledger.account(workspace)
    later, live = (
        ledger.post([account], due=2 * HOUR),
        ledger.post([account], State.PUBLISHED, due=-48 * HOUR),
    )
    sooner = ledger.post([account], due=HOUR)
    queries: list[dict[str, Any]] = [{"when": "all"}, {"account": str(account), "when": "all"}]
    with site.log_in(site.add_user({workspace: Role.VIEWER})) as http:
        for query in queries:
            page = get(site, http, **query)
            assert (name_order(page), list_shown(page)) == ("Newest first", [sooner.id, live.id, later.id])
            assert [one.startswith("Added today, ") for one in list_titles(page)] == [True]
            page = get(site, http, **query, order="time")
            assert (name_order(page), list_shown(page)) == ("By time", [sooner.id, later.id])
            assert "When: Any time, from today on" in page
            assert not any(one.startswith("Added") for one in list_titles(page))
        page = get(site, http, due_from=(datetime.now(UTC) - 72 * HOUR).isoformat())
        assert (name_order(page), list_shown(page)) == ("By time", [live.id, sooner.id, later.id])
        page = get(site, http, due_from=(datetime.now(UTC) - 72 * HOUR).isoformat(), order="newest")
        assert (name_order(page), list_shown(page)) == ("Newest first", [sooner.id, live.id, later.id])
        page = get(site, http, state="scheduled")
        assert (name_order(page), list_titles(page)) == ("Next step first", ["Next step first"])
        assert "order=" not in page.partition('aria-label="Filter"')[0].partition("<h1>")[2], (
            "there is no other"
        )
        assert "none of time, newest" in get(site, http, 400, order="mood")


def test_what_a_list_by_time_shows_is_what_its_verbs_act_on(site: Site, http: Client, ledger: Ledger) -> None:
    account = ledger.account(ledger.workspace())
    ledger.post([account], due=-48 * HOUR)
    ledger.post([account], due=HOUR)
    form = {"action": "cancel", "scope": "all", "filter": f"?account={account}&order=time"}
    assert "Cancel: 1 post at 1 account?" in html.unescape(http.post(f"{URL}/count", form).text)


def test_a_span_is_chosen_by_the_sessions_clock(site: Site, http: Client) -> None:
    page = get(site, http, due_from="2030-12-01T09:00", due_to="2030-12-02T09:00", platform="tiktok")
    form = page.partition('aria-label="Due times"')[2].partition("</form>")[0]
    assert 'name="due_from" value="2030-12-01T09:00"' in form
    assert 'name="due_to" value="2030-12-02T09:00"' in form
    assert '<input type="hidden" name="platform" value="tiktok">' in form
    assert re.search(r"When: from <time [^>]*>Sun 1 Dec 2030, 09:00</time> before <time", page)


def test_hostile_text_stays_text(site: Site, http: Client, ledger: Ledger) -> None:
    attack = "<img src=x onerror=alert(1)>'\"</textarea><script>alert(2)</script>"
    post = ledger.fresh()
    set_caption(ledger, post, attack)
    for page in (get(site, http, text=attack), get(site, http, 400, state=attack, account=attack)):
        assert "<img" not in page
        assert "<script>alert" not in page
        assert html.escape("onerror=alert(1)") in page


def test_the_filter_is_in_the_address_and_in_the_form(site: Site, http: Client, ledger: Ledger) -> None:
    account = ledger.account(ledger.workspace())
    late, soon = ledger.post([account], due=2 * HOUR), ledger.post([account], due=HOUR)
    paused = ledger.post([account], due=-HOUR)
    until = datetime.now(UTC) + HOUR * 1.5
    for query, wanted in (
        ({"due_to": until.strftime("%Y-%m-%dT%H:%M")}, [paused, soon]),
        ({"due_from": until.isoformat()}, [late]),
        ({"reason": "backlog"}, [paused]),
        ({"reason": "none"}, [soon, late]),
        ({"text": str(late.id)}, [late]),
        ({"platform": "tiktok", "state": "scheduled", "error_class": "none"}, [paused, soon, late]),
        ({"state": "failed"}, []),
    ):
        page = get(site, http, 200, account=account, **query)
        assert {*list_shown(page)} == {post.id for post in wanted}, query
    page = get(site, http, account=account, state="scheduled", text="hello")
    assert "State: Scheduled" in page
    assert 'name="text" value="hello"' in page


def test_an_account_is_named_by_its_id_or_its_name(site: Site, http: Client, ledger: Ledger) -> None:
    post = ledger.fresh()
    name = ledger.delivery(post.deliveries[0]).account_id.hex  # of 32 characters, so no other account has it
    ledger.update("accounts", UUID(name), "username = :name", name=name + "x")
    for given in (f"{name}x", f"tiktok:{name}x", name):
        assert list_shown(get(site, http, account=given)) == [post.id]
    assert "There is no account" in get(site, http, 400, account="nobody at all")
    with ledger.database.begin() as c:
        for one in (ledger.account(ledger.workspace()) for _ in range(2)):
            row(c, "UPDATE accounts SET username = 'twice' WHERE id = :id RETURNING id", id=one)
    assert "Several accounts are named" in get(site, http, 400, account="twice")


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"state": "posted"}, "is none of accepted, scheduled"),
        ({"workspace": str(new_id())}, "There is no such workspace"),
        ({"due_from": "tomorrow"}, "Not an ISO 8601 date"),
        ({"due_from": "2027-01-02T00:00", "due_to": "2027-01-01T00:00"}, "later than the other end"),
        ({"text": "x" * 201}, "more than 200 characters"),
        ({"state": "scheduled", "after": f"now~{new_id()}"}, "does not fit its filter"),
        ({"text": "a\0b"}, "NUL"),
    ],
)
def test_a_field_that_cannot_be_used_is_named(
    site: Site, http: Client, query: dict[str, str], sentence: str
) -> None:
    assert sentence in html.unescape(get(site, http, 400, **query))


def test_pages_follow_each_other(site: Site, http: Client, ledger: Ledger) -> None:
    workspace = ledger.workspace()
    posts = ledger.posts(queue.PAGE + 3, [ledger.account(workspace)], due=HOUR)
    page = get(site, http, workspace=workspace)
    following = re.search(r'rel="next" href="([^"]+)"', page)
    assert following is not None
    rest = http.get(html.unescape(following[1])).text
    assert len(list_shown(page)) == queue.PAGE
    assert {*list_shown(page), *list_shown(rest)} == {post.id for post in posts}
    assert 'rel="next"' not in rest
    assert "First page" in rest


def test_a_visitor_sees_the_workspaces_of_their_roles_only(site: Site, ledger: Ledger) -> None:
    mine, other = ledger.fresh(accounts=2), ledger.fresh()
    with site.log_in(site.add_user({mine.workspace: Role.VIEWER})) as http:
        assert list_shown(get(site, http)) == [mine.id]
        assert list_shown(get(site, http, text=str(other.id))) == []
        assert list_shown(get(site, http, account=ledger.delivery(other.deliveries[0]).account_id)) == []
        get(site, http, 400, workspace=other.workspace)
        page = get(site, http)
        assert 'name="post"' not in page, "a viewer does nothing, so there is nothing to select"
