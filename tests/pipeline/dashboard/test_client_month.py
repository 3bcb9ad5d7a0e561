"""A client's month: every account of its posts on a page to print and in a CSV, at the session's clock."""

from __future__ import annotations

import csv
import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import Page, expect

from pipeline.dashboard import numbers
from pipeline.dashboard.clock import ZONE_COOKIE
from pipeline.dashboard.numbers import Month, list_month
from pipeline.domain.delivery import State
from pipeline.imports.export import PAGE
from pipeline.store.database import jsonb, rows
from pipeline.store.deliveries.selection import ListFilter
from tests.pipeline.dashboard.site import Client, Site
from tests.pipeline.store.ledger import Ledger, Post

PATH = "/dashboard/numbers/month"
NOON = datetime(2026, 11, 10, 12, tzinfo=UTC)
HOSTILE = '=HYPERLINK("http://evil.example","free")\r\n<img src=x onerror=alert(1)>, "quoted"'
SAID = "The video file you selected is in a format that we don't support."


def add(ledger: Ledger, account: UUID, due: datetime, state: State = State.PUBLISHED, **columns: Any) -> Post:
    """Add a post that is due then, with this caption, if one is given, and these columns of its delivery."""
    post = ledger.post([account], state)
    move(ledger, post, due, columns.pop("caption", "hello"))
    if state is State.PUBLISHED:
        columns = {"published_at": due + timedelta(seconds=90), "url": "https://tiktok.example/1", **columns}
    for name, value in columns.items():
        ledger.change(post.deliveries[0], f"{name} = :value", value=value)
    return post


def move(ledger: Ledger, post: Post, due: datetime, caption: str) -> None:
    ledger.update("posts", post.id, "due_at = :due, caption = :caption", due=due, caption=caption)
    for delivery in post.deliveries:
        ledger.change(delivery, "due_at = :due", due=due)


def read(client: Client, workspace: UUID, month: str = "2026-11") -> list[dict[str, str]]:
    """Return the rows of the CSV."""
    answer = client.get(f"{PATH}.csv", params={"client": str(workspace), "month": month})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert answer.content.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


def show(client: Client, workspace: UUID, month: str = "2026-11") -> str:
    answer = client.get(PATH, params={"client": str(workspace), "month": month})
    assert answer.status_code == 200, answer.text
    return answer.text


@pytest.fixture
def account(ledger: Ledger) -> UUID:
    return ledger.account(ledger.workspace())


@pytest.fixture
def workspace(ledger: Ledger, account: UUID) -> UUID:
    with ledger.database.begin() as c:
        [found] = rows(c, "SELECT workspace_id AS id FROM accounts WHERE id = :id", id=account)
    return UUID(str(found.id))


def test_the_csv_has_each_account_of_each_post(
    http: Client, ledger: Ledger, account: UUID, workspace: UUID
) -> None:
    add(ledger, account, NOON)
    error = jsonb(
        {"class": "Rejected", "code": "media_refused", "message": "Ours.", "platform_message": SAID}
    )
    add(ledger, account, NOON + timedelta(days=1), State.FAILED, error=error)
    own = jsonb({"class": "TooLate", "code": "expired", "message": "It was not published in time."})
    add(ledger, account, NOON + timedelta(days=2), State.FAILED, error=own)
    add(ledger, account, NOON + timedelta(days=3), State.CANCELLED, error=own)
    add(ledger, account, NOON + timedelta(days=4), State.SCHEDULED)
    taken_off = add(ledger, account, NOON + timedelta(days=5), State.CANCELLED)
    ledger.change(taken_off.deliveries[0], "removed_generation = generation")
    found = read(http, workspace)
    assert [one["State"] for one in found] == ["Live", "Failed", "Failed", "Canceled", "Scheduled"]
    with ledger.database.begin() as c:
        [named] = rows(c, "SELECT username FROM accounts WHERE id = :id", id=account)
    assert found[0] == {
        "Due": "2026-11-10 12:00:00+00:00",
        "Words": "hello",
        "Platform": "TikTok",
        "Account": named.username,
        "State": "Live",
        "Went live": "2026-11-10 12:01:30+00:00",
        "Seconds late": "90",
        "Link": "https://tiktok.example/1",
        "Why not": "",
    }
    reasons = [one["Why not"] for one in found[1:]]
    assert reasons == [f"TikTok says: “{SAID}”", "It was not published in time.", "", ""]
    assert {one["Went live"] + one["Seconds late"] + one["Link"] for one in found[1:]} == {""}


def test_the_page_says_the_same_with_totals_on_top(
    http: Client, ledger: Ledger, account: UUID, workspace: UUID
) -> None:
    add(ledger, account, NOON, published_at=NOON + timedelta(seconds=6))
    add(ledger, account, NOON + timedelta(hours=1))
    error = jsonb(
        {"class": "Rejected", "code": "media_refused", "message": "Ours.", "platform_message": SAID}
    )
    add(ledger, account, NOON + timedelta(days=1), State.FAILED, error=error)
    text = show(http, workspace)
    for figure in ("3 posts", "2 accounts of posts went live", "50 % within one minute", "1 failed"):
        assert f'aria-label="{figure}' in text
    assert text.count('href="https://tiktok.example/1"') == 2
    assert "don&#39;t support" in text
    assert re.findall(r"<small class=\"soft\">(Tue 10 Nov, 1\d:\d\d)</small>", text) == [
        "Tue 10 Nov, 12:00",
        "Tue 10 Nov, 12:00",
        "Tue 10 Nov, 13:00",
        "Tue 10 Nov, 13:01",
    ]
    assert "1 min 30 s" in text
    assert f"month.csv?client={workspace}&amp;month=2026-11" in text
    assert "month=2026-10" in text
    assert "month=2026-12" in text


def test_hostile_words_are_no_formula_no_markup_and_no_link(
    http: Client, ledger: Ledger, account: UUID, workspace: UUID
) -> None:
    error = jsonb({"class": "Rejected", "code": "x", "message": "\t=1+1", "platform_message": None})
    add(ledger, account, NOON, caption=HOSTILE, url="javascript:alert(1)")
    add(ledger, account, NOON + timedelta(hours=1), State.FAILED, caption="\uff1d1+1", error=error)
    ledger.update("accounts", account, "username = :name", name="@SUM(A1)")
    ledger.update("workspaces", workspace, "name = :name", name='a"; x=\r\n/../مخبز')
    live, failed = read(http, workspace)
    assert live["Words"] == f"'{HOSTILE}"
    assert (live["Account"], live["Link"]) == ("'@SUM(A1)", "javascript:alert(1)")
    assert (failed["Words"], failed["Why not"]) == ("'\uff1d1+1", "'\t=1+1")
    text = show(http, workspace)
    assert "<img src=x" not in text
    assert "onerror=alert(1)&gt;" in text
    assert 'href="javascript' not in text
    answer = http.get(f"{PATH}.csv", params={"client": str(workspace), "month": "2026-11"})
    kind, _, name = answer.headers["Content-Disposition"].partition("; filename*=UTF-8''")
    assert (kind, unquote(name)) == ("attachment", 'a"; x=\r\n/../مخبز 2026-11.csv')
    assert re.fullmatch(r"[\w.%-]+", name, re.ASCII)


@pytest.mark.parametrize("month", ["2026", "2026-13", "1999-12", "\u0662\u0660\u0662\u0666-11"])
def test_a_month_that_is_none_is_refused_with_the_rule(http: Client, site: Site, month: str) -> None:
    for path in (PATH, f"{PATH}.csv"):
        answer = http.get(path, params={"client": str(site.tenant.workspace), "month": month})
        assert (answer.status_code, "such as 2026-11" in answer.text) == (400, True)
        missing = http.get(path, params={"month": "2026-11"})
        assert (missing.status_code, "client is missing" in missing.text) == (400, True)


def test_a_month_is_one_of_the_sessions_clock_with_both_hours_of_its_change(
    http: Client, ledger: Ledger, account: UUID, workspace: UUID
) -> None:
    times = (
        "2026-09-30T21:59:59",  # September in Berlin
        "2026-09-30T22:00:00",
        "2026-10-25T00:30:00",
        "2026-10-25T01:30:00",  # the same wall time an hour later
        "2026-10-31T22:59:59",
        "2026-10-31T23:00:00",  # November
    )
    for one in times:
        add(ledger, account, datetime.fromisoformat(f"{one}+00:00"), State.SCHEDULED)
    http.cookies.set(ZONE_COOKIE, "Europe/Berlin", domain="127.0.0.1", path="/dashboard")
    assert [one["Due"] for one in read(http, workspace, "2026-10")] == [
        "2026-10-01 00:00:00+02:00",
        "2026-10-25 02:30:00+02:00",
        "2026-10-25 02:30:00+01:00",
        "2026-10-31 23:59:59+01:00",
    ]
    assert [one["Due"] for one in read(http, workspace, "2026-11")] == ["2026-11-01 00:00:00+01:00"]
    text = show(http, workspace, "2026-10")
    assert "by the clock of Berlin" in text
    assert text.count("Sun 25 Oct, 02:30") == 2
    assert len(read(http, workspace, "2026-09")) == 1


def test_a_post_that_is_half_live_stands_whole_in_the_month_of_its_time(
    http: Client, ledger: Ledger, workspace: UUID
) -> None:
    accounts = [ledger.account(workspace) for _ in range(2)]
    post = ledger.post(accounts, State.PUBLISHED)
    move(ledger, post, NOON, "hello")
    ledger.change(post.deliveries[0], "published_at = due_at")
    ledger.change(
        post.deliveries[1],
        "state = 'scheduled', published_at = NULL, remote_id = NULL, due_at = :due",
        due=NOON + timedelta(days=30),
    )
    ledger.update("posts", post.id, "due_at = :due", due=NOON + timedelta(days=30))
    assert read(http, workspace) == []
    states = [(one["State"], one["Due"][:10]) for one in read(http, workspace, "2026-12")]
    assert states == [("Live", "2026-11-10"), ("Scheduled", "2026-12-10")]
    assert '"1 post"' in show(http, workspace, "2026-12")


def test_more_than_a_page_is_in_the_csv_once_and_in_order(
    http: Client, ledger: Ledger, account: UUID, workspace: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = PAGE + 3
    ledger.posts(number, [account])
    with ledger.database.begin() as c:
        rows(
            c,
            """UPDATE posts SET due_at = :due + (p.n / 2) * interval '1 minute', caption = 'post ' || p.n
               FROM (SELECT id, row_number() OVER (ORDER BY id) AS n FROM posts WHERE workspace_id = :w) p
               WHERE posts.id = p.id RETURNING posts.id""",
            due=NOON,
            w=workspace,
        )
        rows(
            c,
            """UPDATE deliveries d SET due_at = p.due_at FROM posts p
               WHERE p.id = d.post_id AND p.workspace_id = :w RETURNING d.id""",
            w=workspace,
        )
    found = read(http, workspace)
    assert len(found) == len({one["Words"] for one in found}) == number
    assert [one["Due"] for one in found] == sorted(one["Due"] for one in found)
    chosen = ListFilter(workspace=workspace, due_from=NOON, due_until=NOON + timedelta(days=2))
    month = Month(workspace, ZoneInfo("UTC"), NOON.date(), chosen)
    with ledger.database.begin() as c:
        assert list_month(c, month)[1] is False
        for most in (1, PAGE, number - 1):
            monkeypatch.setattr(numbers, "MOST", most)
            shown, is_cut = list_month(c, month)
            assert (len(shown), is_cut) == (most, True)
        monkeypatch.setattr(numbers, "MOST", number)
        assert (len(list_month(c, month)[0]), list_month(c, month)[1]) == (number, False)


def test_an_empty_month_leads_on(http: Client, site: Site) -> None:
    text = show(http, site.tenant.workspace, "2031-01")
    assert "No post of this client is due in January 2031." in text
    assert f"/dashboard/queue?when=all&amp;workspace={site.tenant.workspace}" in text
    assert len(read(http, site.tenant.workspace, "2031-01")) == 0


def test_the_page_prints_what_it_reports_only(
    browser: Page, ledger: Ledger, account: UUID, workspace: UUID
) -> None:
    add(ledger, account, NOON, caption=HOSTILE)
    error = jsonb(
        {"class": "Rejected", "code": "media_refused", "message": "Ours.", "platform_message": SAID}
    )
    add(ledger, account, NOON + timedelta(days=1), State.FAILED, error=error)
    browser.goto(f"{PATH}?client={workspace}&month=2026-11")
    browser.emulate_media(media="print", color_scheme="dark")
    browser.set_viewport_size({"width": 718, "height": 1000})  # A4 without its margins
    expect(browser.get_by_text(SAID)).to_be_visible()
    expect(browser.get_by_role("link", name="https://tiktok.example/1")).to_be_visible()
    for hidden in (".side", ".page-head .verbs"):
        expect(browser.locator(hidden)).to_be_hidden()
    assert browser.evaluate("getComputedStyle(document.body).color") == "rgb(19, 33, 42)", (
        "ink of the light scheme"
    )
    width = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.evaluate(width) <= 0
