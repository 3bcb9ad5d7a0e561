"""The queue shows a visitor what their filter selects, why each waits or failed, and nothing of others."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime
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
    return [UUID(found) for found in re.findall(r'<tr id="row-([0-9a-f-]+)"', page)]


def set_caption(ledger: Ledger, post: Post, caption: str) -> None:
    ledger.update("posts", post.id, "caption = :t", t=caption)


def test_each_delivery_says_where_it_stands_and_why(site: Site, http: Client, ledger: Ledger) -> None:
    failed, blocked = ledger.fresh(State.FAILED), ledger.fresh()
    ledger.put(blocked, State.BLOCKED, reason=Reason.RECONNECT)
    ledger.change(failed.deliveries[0], REJECTED)
    page = get(site, http, workspace=failed.workspace)
    assert list_shown(page) == failed.deliveries
    assert "<b>too_long</b> The caption is &lt;too&gt; long." in page
    assert f'href="/dashboard/posts/{failed.id}"' in page
    assert 'class="source">partner_api<' in page
    page = get(site, http, workspace=blocked.workspace)
    assert "has to be connected again." in page
    assert "Next: It goes on when the account is connected." in page
    assert f"/dashboard/deliveries/{blocked.deliveries[0]}/decide" in page


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
        assert {*list_shown(page)} == {d for post in wanted for d in post.deliveries}, query
    page = get(site, http, account=account, state="scheduled", text="hello")
    assert '<option value="scheduled" selected>' in page
    assert 'name="text" value="hello"' in page


def test_an_account_is_named_by_its_id_or_its_name(site: Site, http: Client, ledger: Ledger) -> None:
    post = ledger.fresh()
    name = ledger.delivery(post.deliveries[0]).account_id.hex  # of 32 characters, so no other account has it
    ledger.update("accounts", UUID(name), "username = :name", name=name + "x")
    for given in (f"{name}x", f"tiktok:{name}x", name):
        assert list_shown(get(site, http, account=given)) == post.deliveries
    assert "There is no account" in get(site, http, 400, account="nobody at all")
    with ledger.database.begin() as c:
        for one in (ledger.account(ledger.workspace()) for _ in range(2)):
            row(c, "UPDATE accounts SET username = 'twice' WHERE id = :id RETURNING id", id=one)
    assert "Several accounts are named" in get(site, http, 400, account="twice")


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"state": "posted"}, "is none of accepted, scheduled"),
        ({"reason": "tired"}, "is none of reconnect"),
        ({"workspace": "mine"}, "is not an id"),
        ({"workspace": str(new_id())}, "There is no such workspace"),
        ({"due_from": "tomorrow"}, "Not an ISO 8601 date"),
        ({"due_from": "2027-01-02T00:00", "due_to": "2027-01-01T00:00"}, "later than the other end"),
        ({"text": "x" * 201}, "more than 200 characters"),
        ({"after": "1~2"}, "does not fit its filter"),
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
    assert {*list_shown(page), *list_shown(rest)} == {d for post in posts for d in post.deliveries}
    assert 'rel="next"' not in rest
    assert "First page" in rest


def test_a_visitor_sees_the_workspaces_of_their_roles_only(site: Site, ledger: Ledger) -> None:
    mine, other = ledger.fresh(accounts=2), ledger.fresh()
    with site.log_in(site.add_user({mine.workspace: Role.VIEWER})) as http:
        assert {*list_shown(get(site, http))} == {*mine.deliveries}
        assert list_shown(get(site, http, text=str(other.id))) == []
        assert list_shown(get(site, http, account=ledger.delivery(other.deliveries[0]).account_id)) == []
        get(site, http, 400, workspace=other.workspace)
        page = get(site, http)
        assert 'name="delivery"' not in page, "a viewer does nothing, so there is nothing to select"
        assert "Decide" not in page
