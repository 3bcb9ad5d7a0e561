"""The first page is the list of `slipway attention`; each line leads to what deals with it, and shows exactly that."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from urllib.parse import urlencode
from uuid import UUID

import pytest

from pipeline.actions.attention import list_attention
from pipeline.dashboard.attention import build_query, list_links
from pipeline.domain.account import Role
from pipeline.domain.attention import Kind
from pipeline.domain.delivery import Reason, State
from pipeline.runtime.context import Context
from pipeline.store.canaries import record_canary
from pipeline.store.database import row
from pipeline.store.deliveries.pauses import pause
from pipeline.store.health import database_now
from tests.pipeline.dashboard.site import HOME, Client, Site
from tests.pipeline.store.ledger import HOUR, Ledger

DAY = timedelta(days=1)
REJECTED = """error = '{"class": "Rejected", "code": "too_long", "message": "No."}'"""
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


def test_each_line_shows_exactly_what_it_counts(site: Site, context: Context, workspace: UUID) -> None:
    user = site.add_user({workspace: Role.OPERATOR})
    with context.database.begin() as c:
        items, now = list_attention(c, SILENT, [workspace]), database_now(c)
    with site.log_in(user) as http:
        page = html.unescape(http.get(HOME).text)
        found = set()
        for item in items:
            matter = item.matter
            if matter.kind in (Kind.PAUSED, Kind.RECONNECT, Kind.GRANT_ENDING):
                continue
            link = list_links(matter, now)[-1]
            assert link.address.partition("due_")[0] in page, "the page leads there"
            shown = http.get(link.address).text
            rows = re.findall(r'<tr id="row-', shown)
            assert len(rows) == matter.count, (matter, build_query(matter, now))
            found.add(matter.kind)
    assert found == {Kind.UNKNOWN, Kind.BLOCKED, Kind.HELD, Kind.OVERDUE, Kind.DEAD_LETTERS}
    overdue = {
        (i.matter.state, i.matter.reason): i.matter.count for i in items if i.matter.kind is Kind.OVERDUE
    }
    assert overdue == {("scheduled", "backlog"): 2, ("accepted", "checking"): 1, ("publishing", None): 1}
    assert len(items) == 11


def test_the_lines_say_how_many_since_when_and_what_to_do(site: Site, workspace: UUID) -> None:
    with site.log_in(site.add_user({workspace: Role.OPERATOR})) as http:
        page = html.unescape(http.get(HOME).text)
        lines = re.findall(r"<tr>\s*<th scope=\"row\">.*?</tr>", page, re.DOTALL)
        [failed] = [line for line in lines if "too long" in line]
        assert '<td class="short">1</td>' in failed
        assert "ago</small>" in failed
        [replay] = re.findall(r'href="(/dashboard/queue/count[^"]+)"', failed)
        assert "Yes, replay 1" in http.get(replay).text
        assert [line for line in lines if "Paused" in line and 'href="/dashboard/pauses"' in line]
    with site.log_in(site.add_user({workspace: Role.VIEWER})) as http:
        page = http.get(HOME).text
        assert "/dashboard/queue/count" not in page
        assert ">Resume</a>" not in page


def test_accounts_lead_to_those_that_need_a_person(site: Site, ledger: Ledger) -> None:
    workspace = ledger.workspace()
    lost, fine = ledger.account(workspace), ledger.account(workspace)
    ledger.update("accounts", lost, "status = 'reconnect'")
    with site.log_in(site.add_user({workspace: Role.OPERATOR})) as http:
        page = html.unescape(http.get(HOME).text)
        [address] = re.findall(r'href="(/dashboard/accounts\?[^"]+)"', page)
        shown = http.get(address).text
        assert str(lost) in shown
        assert str(fine) not in shown


def test_a_visitor_sees_what_concerns_their_workspaces(site: Site, ledger: Ledger, workspace: UUID) -> None:
    other = ledger.workspace()
    with site.log_in(site.add_user({other: Role.ADMIN})) as http:
        assert "Nothing needs an operator." in http.get(HOME).text
    with ledger.database.begin() as c:
        record_canary(c, "delay")
        row(c, "UPDATE canaries SET taken_at = now() - interval '1 hour' RETURNING queue")
    with site.log_in(site.add_user({other: Role.ADMIN})) as http:
        page = http.get(HOME).text
        assert "slipway worker" in page, "a silent queue concerns everyone; its command is for the server"
        assert "Failed" not in page


def test_the_list_is_that_of_the_command_line(http: Client, context: Context) -> None:
    with context.database.begin() as c:
        items = list_attention(c, SILENT)
    page = http.get(HOME).text
    assert page.count('<th scope="row">') == len(items)
    assert urlencode({"state": "blocked"}) in page or not items
