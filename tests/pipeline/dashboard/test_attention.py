"""The first page: what needs somebody by cause and account, with what helps; each line shows exactly what it counts."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from pipeline.dashboard import words
from pipeline.dashboard.attention import build_query, list_items
from pipeline.domain.account import Role
from pipeline.domain.attention import CARDS, REFUSED, Kind
from pipeline.domain.delivery import Reason, State
from pipeline.runtime.context import Context
from pipeline.store.accounts.accounts import require_reconnect
from pipeline.store.canaries import record_canary
from pipeline.store.database import row
from pipeline.store.deliveries.pauses import pause
from pipeline.store.health import database_now
from pipeline.store.posts.approvals import demand_of
from tests.pipeline.dashboard.numbers_scene import HOSTILE
from tests.pipeline.dashboard.site import HOME, Client, Site
from tests.pipeline.store.ledger import HOUR, Ledger

DAY, SECOND = timedelta(days=1), timedelta(seconds=-1)
REJECTED = """error = '{"class": "Rejected", "code": "too_long", "fault": "customer", "message": "No.",
                        "platform_message": "The title is too long."}'"""
OUTAGE = """error = '{"class": "Unavailable", "code": "platform_outage", "fault": "platform", "message": "503."}'"""
REVOKED = {"class": "CredentialsRevoked", "code": "revoked", "platform_message": f"Signed out. {HOSTILE}"}
SILENT = timedelta(minutes=2)


@pytest.fixture
def workspace(ledger: Ledger) -> UUID:
    """A workspace with something of each kind that the queue shows."""
    space = ledger.workspace()
    account = ledger.account(space)
    for reason in Reason:
        ledger.put(ledger.post([account]), State.BLOCKED, reason=reason)
    for state in (State.FAILED, State.FAILED, State.UNKNOWN):
        ledger.post([account], state)
    ledger.change(ledger.post([account], State.FAILED).deliveries[0], REJECTED)
    ledger.posts(2, [account], due=-DAY - HOUR)
    ledger.post([account], due=-HOUR)
    ledger.post([account], State.ACCEPTED, due=-HOUR)
    ledger.post([account], State.PUBLISHING, due=-HOUR)
    retrying = ledger.post([account], State.RETRYING, due=-HOUR)
    ledger.change(retrying.deliveries[0], "next_at = now() + interval '1 hour'")
    limited = ledger.post([account], due=-HOUR)
    ledger.change(limited.deliveries[0], "held_for = 'rate', next_at = now() + interval '1 hour'")
    with ledger.database.begin() as c:
        pause(c, "account", str(account), "under review")
    free = ledger.account(space)
    ledger.post([free], due=-HOUR)
    for due, hold, next_at in ((-HOUR, "daily_quota", HOUR), (-DAY - HOUR, "rate", -2 * HOUR)):
        limited = ledger.post([free], due=due)
        ledger.change(limited.deliveries[0], f"held_for = '{hold}', next_at = now() + interval '{next_at}'")
    return space


def show(client: Client) -> str:
    return html.unescape(client.get(HOME).text)


def list_lines(page: str) -> list[str]:
    """Return the lines of the page as text with its links and forms."""
    return re.findall(r'<li class="row cause">.*?</li>', page, re.DOTALL)


def lose(ledger: Ledger, account: UUID) -> None:
    with ledger.database.begin() as c:
        require_reconnect(c, account, REVOKED, 1)


def name(ledger: Ledger, workspace: UUID, client: str) -> UUID:
    ledger.update("workspaces", workspace, "name = :name", name=client)
    return workspace


def test_each_line_shows_exactly_what_it_counts(site: Site, context: Context, workspace: UUID) -> None:
    user = site.add_user({workspace: Role.OPERATOR})
    with context.database.begin() as c:
        (items, has_more), now = list_items(c, SILENT, [workspace]), database_now(c)
    with site.log_in(user) as http:
        page = show(http)
        found = set()
        for item in items:
            matter = item.matter
            address = f"/dashboard/queue?{urlencode(build_query(matter, now))}"
            assert address.partition("due_")[0] in page, "the page leads there"
            rows = re.findall(r'<li class="row queue" id="row-', http.get(address).text)
            assert len(rows) == matter.count, (matter, build_query(matter, now))
            found.add(matter.kind)
        assert len(list_lines(page)) == len(items)
    assert found == {Kind.UNKNOWN, Kind.BLOCKED, Kind.HELD, Kind.OVERDUE, Kind.DEAD_LETTERS}
    overdue = {
        (i.matter.state, i.matter.reason): i.matter.count for i in items if i.matter.kind is Kind.OVERDUE
    }
    assert overdue == {("scheduled", "backlog"): 2, ("accepted", "checking"): 1, ("publishing", None): 1}
    assert (len(items), has_more) == (10, False)


def test_three_lost_accounts_make_three_lines_that_name_client_platform_sentence_and_what_waits(
    site: Site, ledger: Ledger
) -> None:
    workspace = name(ledger, ledger.workspace(), "Sakura <i>Studio</i>")
    accounts = [ledger.account(workspace) for _ in range(3)]
    for account in accounts:
        ledger.put(ledger.post([account], due=-HOUR), State.BLOCKED, reason=Reason.RECONNECT)
        ledger.posts(3, [account], due=2 * DAY)
        ledger.post([account], State.PUBLISHED)
        lose(ledger, account)
    with site.log_in(site.add_user({workspace: Role.OPERATOR})) as http:
        page = show(http)
        lines = list_lines(page)
        assert len(lines) == 3
        for line in lines:
            assert "TikTok says: \N{LEFT DOUBLE QUOTATION MARK}Signed out." in line
            assert "4 posts wait" in line
            assert re.search(r"first 1 h( 1 min)? late,</span> <span>next <time", line)
            assert 'action="/dashboard/accounts/connect"' in line
        assert {re.findall(r'name="account" value="([^"]+)"', line)[0] for line in lines} == set(
            map(str, accounts)
        )
        assert "3 things need a person. 12 posts wait for them." in page
        assert len(re.findall(r'class="[^"]*\bsolid"', page.partition("<dialog")[0])) == 1
        raw = http.get(HOME).text
        assert "Sakura &lt;i&gt;Studio" in raw
        assert HOSTILE not in raw
        [shown] = set(re.findall(r'href="([^"]+when=open)"', lines[0]))
        assert len(re.findall(r'id="row-', http.get(shown).text)) == 4
        assert ">3</span>" in http.get("/dashboard/now").text, "the sidebar counts the lines"
    with site.log_in(site.add_user({workspace: Role.AUTHOR})) as http:
        page = show(http)
        assert "Connect" not in "".join(list_lines(page))
        assert "solid" not in page.partition("<dialog")[0]


@pytest.mark.parametrize(
    ("cause", "number", "verbs"),
    [
        (OUTAGE, 2, {Role.VIEWER: "Show", Role.AUTHOR: "Try again"}),
        (REJECTED, 1, {Role.VIEWER: "Show", Role.AUTHOR: "Open post"}),
        (REJECTED, 2, {Role.VIEWER: "Show", Role.AUTHOR: "Show"}),
    ],
)
def test_what_failed_has_the_verb_that_helps_and_the_visitor_may_use(
    site: Site, ledger: Ledger, cause: str, number: int, verbs: Mapping[Role, str]
) -> None:
    workspace = ledger.workspace()
    for post in ledger.posts(number, [ledger.account(workspace)], State.FAILED):
        ledger.change(post.deliveries[0], cause)
    for role, verb in verbs.items():
        with site.log_in(site.add_user({workspace: role})) as http:
            [line] = list_lines(show(http))
            [(address, label)] = re.findall(r'<a class="button verb ?\w*" href="([^"]+)"[^>]*>([^<]+)<', line)
            assert label == verb
            assert f"{number} post{'s' if number > 1 else ''} failed" in line
            assert ("The title is too long." in line) == (cause == REJECTED)
            answer = http.get(address)
            assert answer.status_code == 200
            assert (f"Yes, try again {number}" in answer.text) == (verb == "Try again")
            offered = [words in answer.text for words in ("Replace file and retry", 'id="move"')]
            assert offered == [verb == "Open post"] * 2, "a post has no other way of being changed here"


def test_a_single_post_that_may_be_live_leads_to_its_decision(site: Site, ledger: Ledger) -> None:
    workspace = ledger.workspace()
    post = ledger.post([ledger.account(workspace)])
    ledger.put(post, State.BLOCKED, reason=Reason.IS_IT_LIVE)
    with site.log_in(site.add_user({workspace: Role.OPERATOR})) as http:
        [line] = list_lines(show(http))
    assert f'href="/dashboard/posts/{post.id}"' in line
    assert ">Decide</a>" in line


def test_posts_on_their_way_are_counted_and_named(site: Site, ledger: Ledger) -> None:
    workspace = ledger.workspace()
    account = ledger.account(workspace)
    sending, just_due = (
        ledger.post([account], State.PUBLISHING, due=SECOND),
        ledger.post([account], due=SECOND),
    )
    ledger.post([account], due=-120 * SECOND)
    with site.log_in(site.add_user({workspace: Role.VIEWER})) as http:
        page, now = show(http), http.get("/dashboard/now").text
        shown = http.get("/dashboard/queue", params={"when": "now"}).text
    assert '<strong>3</strong> <span class="dot blue">to come, 2 going out now, 1 in the next hour' in page
    assert re.search(r'when=now">Going out now <span class="count">2</span>', now)
    assert {*re.findall(r'id="row-([0-9a-f-]+)"', shown)} == {str(sending.id), str(just_due.id)}


def test_posts_for_an_approval_lead_to_the_page_that_lists_them(site: Site, ledger: Ledger) -> None:
    workspace = ledger.workspace()
    posts = ledger.posts(2, [ledger.account(workspace)], due=HOUR)
    with ledger.database.begin() as c:
        demand_of(c, [one.id for one in posts], "key 1")
        pause(c, "workspace", str(workspace), "a paused post waits for its approval too")
    with site.log_in(site.add_user({workspace: Role.VIEWER})) as http:
        page = show(http)
        [line] = list_lines(page)
        assert "<strong>2 posts</strong>" in line
        assert 'href="/dashboard/approval"' in line
        assert "another person has approved them" in page
        assert http.get("/dashboard/approval").text.count('class="row waiting') == 2


def test_pauses_are_one_grey_line_and_count_for_nothing(site: Site, ledger: Ledger) -> None:
    workspace = name(ledger, ledger.workspace(), "Nordlys Yoga")
    with ledger.database.begin() as c:
        pause(c, "workspace", str(workspace), "a holiday", "user ann")
    with site.log_in(site.add_user({workspace: Role.VIEWER})) as http:
        page = show(http)
        assert "1 pause on purpose</strong>: <bdi>Nordlys Yoga</bdi>, all accounts (ann)" in page
        assert "Nothing needs you. 0 posts go out in the next hour." in page
        assert 'id="attention-count" hx-swap-oob="outerHTML" hidden' in http.get("/dashboard/now").text


def test_today_is_counted_by_hour_of_the_sessions_clock(site: Site, ledger: Ledger) -> None:
    workspace = ledger.workspace()
    account = ledger.account(workspace)
    zone = ZoneInfo("Asia/Kolkata")
    now = datetime.now(zone)
    noon = now.replace(hour=12, minute=15) - now
    for state, number in (
        (State.PUBLISHED, 3),
        (State.FAILED, 2),
        (State.SCHEDULED, 4),
        (State.CANCELLED, 5),
    ):
        for post in ledger.posts(number, [account], due=noon):
            ledger.put(post, state)
    ledger.posts(7, [account], due=noon + DAY)
    ledger.post([account], State.FAILED, due=noon + HOUR)
    with site.log_in(site.add_user({workspace: Role.VIEWER})) as http:
        http.cookies.set("slipway-zone", zone.key, domain="127.0.0.1", path="/")
        page = show(http)
    assert re.findall(r"<title>(1\d:00: \d+ [a-z ]+)</title>", page) == [
        "12:00: 3 live",
        "12:00: 4 to come",
        "12:00: 2 failed",
        "13:00: 1 failed",
    ]
    assert "10 posts of 1 client" in page
    assert f"Today, {now:%A} {now.day} {now:%b}" in page


def test_every_kind_and_reason_is_in_one_card_that_has_its_words() -> None:
    assert [*words.CARDS] == [*CARDS]
    causes = [cause for card in CARDS.values() for cause in card]
    assert len(causes) == len(set(causes))
    assert set(causes) == {REFUSED, *Reason, *Kind} - {Kind.BLOCKED, Kind.PAUSED}


def test_accounts_whose_access_ends_are_connected_before(site: Site, ledger: Ledger) -> None:
    workspace = ledger.workspace()
    ending, _fine = ledger.account(workspace), ledger.account(workspace)
    ledger.update("accounts", ending, "expires_at = now() + interval '5 hours', renewable = false")
    with site.log_in(site.add_user({workspace: Role.OPERATOR})) as http:
        [line] = list_lines(show(http))
    assert f'name="account" value="{ending}"' in line
    assert "ends <time" in line


def test_a_visitor_sees_what_concerns_their_workspaces(site: Site, ledger: Ledger, workspace: UUID) -> None:
    other = ledger.workspace()
    with site.log_in(site.add_user({other: Role.ADMIN})) as http:
        assert "Nothing needs you." in show(http)
    with ledger.database.begin() as c:
        record_canary(c, "delay")
        row(c, "UPDATE canaries SET taken_at = now() - interval '1 hour' RETURNING queue")
    try:
        with site.log_in(site.add_user({other: Role.ADMIN})) as http:
            page = show(http)
            assert "slipway worker" in page, "a silent queue concerns everyone; its command is for the server"
            assert "failed</strong>" not in page
    finally:
        with ledger.database.begin() as c:
            row(c, "DELETE FROM canaries RETURNING queue")
