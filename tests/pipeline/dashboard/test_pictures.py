"""Every page with a filled month: no barrier, nothing leaves its card, text has contrast, no word of the ledger, light.

With DASHBOARD_SCREENSHOTS it leaves pictures.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page

from adapters import errors
from pipeline.actions.steering import Steering, steer
from pipeline.domain.delivery import State
from pipeline.domain.steering import Arguments, Verb
from pipeline.runtime.context import Context
from pipeline.store.auth.keys import read_caller
from pipeline.store.database import rows
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.posts.approvals import demand_of
from tests.actors import TESTER
from tests.pipeline.dashboard.accessibility import (
    OF_COLOURS,
    SCREENSHOTS,
    assert_contrast,
    assert_everything_is_within,
    assert_no_serious_finding,
)
from tests.pipeline.dashboard.filled_month import (
    Month,
    drop_month,
    fill_month,
    find_partly_live,
    find_widest,
)
from tests.pipeline.dashboard.site import Client
from tests.pipeline.store.ledger import Ledger

PAGES = {
    "attention": "/dashboard/",
    "queue": "/dashboard/queue",
    "queue-all": "/dashboard/queue?when=all",
    "calendar": "/dashboard/calendar",
    "calendar-day-beside": f"/dashboard/calendar?day={datetime.now(UTC):%Y-%m-%d}",
    "calendar-week": "/dashboard/calendar?view=week",
    "calendar-day": "/dashboard/calendar?view=day",
    "approval": "/dashboard/approval",
    "imports": "/dashboard/imports",
    "accounts": "/dashboard/accounts",
    "pauses": "/dashboard/pauses",
    "numbers": "/dashboard/numbers",
    "numbers-today": "/dashboard/numbers?period=today",
    "settings": "/dashboard/sessions",
    "settings-people": "/dashboard/settings/people",
    "settings-factor": "/dashboard/settings/second-factor",
    "settings-keys": "/dashboard/settings/keys",
    "settings-webhooks": "/dashboard/settings/webhooks",
    "settings-notices": "/dashboard/settings/notices",
    "settings-clients": "/dashboard/settings/clients",
    "history": "/dashboard/history",
    "changes": "/dashboard/jobs",
}
PICTURED = ((1440, 900), (1280, 800), (390, 844))
SIZES = ((1920, 1080), *PICTURED)
STATES: Mapping[str, Callable[[Page], None]] = {
    "queue-selected": lambda page: page.locator(
        ".row.queue:has([data-verbs*=retry]) .pick-one"
    ).first.check(),
    "queue-nothing-fits": lambda page: page.locator(
        ".row.queue:has([data-verbs='']) .pick-one"
    ).first.check(),
    "queue-when": lambda page: page.locator(".filters summary", has_text="When").click(),
    "keys": lambda page: page.keyboard.press("?"),
}
"""What a visitor makes of the queue."""
HEAVIEST = 150_000
"""Bytes of a view of the calendar, without its pictures."""
_DETAILS = re.compile(r"<summary[^>]*>\s*(?:<svg.*?</svg>)?\s*Details\s*</summary>.*?</details>", re.DOTALL)
_CODE = re.compile(r"<(code|script|style)\b.*?</\1>", re.DOTALL)
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_WORDS = re.compile(
    r"\b(deliver(y|ies)|dead letters?|ingest|armed|min_gap|lateness p\d+|backoff|lease|generation|external_id)\b",
    re.IGNORECASE,
)
_CLASSES = re.compile(rf"\b({'|'.join(name for name in vars(errors) if name[0].isupper())})\b")


@pytest.fixture(scope="module")
def month(ledger: Ledger) -> Month:
    return fill_month(ledger)


@pytest.fixture(scope="module")
def pages(month: Month, ledger: Ledger, context: Context) -> dict[str, str]:
    """The pages of the month, by name."""
    client = next(iter(month.clients))
    with context.database.begin() as c:
        demand_of(c, month.posts[-60:], "user ann")
        [unknown, *_] = rows(c, "SELECT id FROM deliveries WHERE state = 'unknown' ORDER BY id")
        caller = read_caller(c, client, None)
    assert caller is not None
    chosen = ListFilter(workspace=client, state=State.FAILED)
    asked = Steering(verb=Verb.RETRY, filter=chosen, arguments=Arguments())
    job = steer(context, replace(caller, actor=TESTER), asked, confirm=True, dispatch=False).job
    assert job is not None
    return {
        **PAGES,
        "queue-filters": "/dashboard/queue?error_class=Rejected&filters=shown",
        "count": "/dashboard/queue/count?action=replay&scope=all&filter=state%3Dfailed",
        "numbers-client": f"/dashboard/numbers?period=month&workspace={client}",
        "client-month": f"/dashboard/numbers/month?client={client}",
        "post": f"/dashboard/posts/{find_partly_live(ledger)}",
        "post-planned": f"/dashboard/posts/{month.posts[-1]}",
        "post-of-six": f"/dashboard/posts/{find_widest(ledger)}",
        "queue-of-six": f"/dashboard/queue?workspace={client}",
        "import": f"/dashboard/imports/{drop_month(context, month)}",
        "decide": f"/dashboard/deliveries/{unknown.id}/decide",
        "job": f"/dashboard/jobs/{job.id}",
    }


def test_pages_of_a_filled_month(browser: Page, pages: Mapping[str, str]) -> None:
    for name, path in {**pages, **dict.fromkeys(STATES, "/dashboard/queue")}.items():
        browser.goto(path)
        browser.locator("h1").first.wait_for()
        assert browser.locator("main img[src=x]").count() == 0, f"{name} shows a caption as markup"
        assert "attacked" not in browser.title()
        if name in STATES:
            STATES[name](browser)
        check_at_all_sizes(browser, name)
        check_unfolded(browser, name)


def check_at_all_sizes(page: Page, name: str) -> None:
    folder = os.environ.get(SCREENSHOTS)
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        assert_everything_is_within(page, f"{name} at {width}")
        for scheme in ("light", "dark") if folder and (width, height) in PICTURED else ():
            choose_scheme(page, scheme)
            page.screenshot(path=Path(folder or "") / f"{name}-{width}-{scheme}.png")


def check_unfolded(page: Page, name: str) -> None:
    """Check the page with all its folds open, in a narrow and a wide window."""
    page.evaluate(
        "document.querySelectorAll('main details:not(.menu)').forEach((fold) => (fold.open = true))"
    )
    for width, height in (SIZES[-1], SIZES[1]):
        page.set_viewport_size({"width": width, "height": height})
        assert_everything_is_within(page, f"{name}, unfolded, at {width}")
        assert_no_serious_finding(page, f"{name}, unfolded, at {width}", without=("color-contrast",))
    for scheme in ("light", "dark"):
        choose_scheme(page, scheme)
        assert_contrast(page, f"{name}, {scheme}")
    assert_no_serious_finding(page, f"{name}, dark", OF_COLOURS[1:])


def choose_scheme(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="light" if scheme == "light" else "dark", reduced_motion="reduce")


def read_text(page: str) -> str:
    """Return the text of a page without its details."""
    return re.sub(r"<[^>]*>", " ", _CODE.sub(" ", _DETAILS.sub(" ", page)))


def test_no_page_of_a_filled_month_says_a_word_of_the_ledger(http: Client, pages: Mapping[str, str]) -> None:
    others = [pages[name] for name in ("import", "post", "post-planned", "queue-filters")]
    for path in (*PAGES.values(), *others, f"{pages['import']}/forecast"):
        text = read_text(http.get(path).text)
        for pattern in (_ID, _WORDS, _CLASSES):
            hit = pattern.search(text)
            assert hit is None, f"{path} says {hit[0]!r}: {text[max(0, hit.start() - 80) : hit.end() + 80]!r}"


def test_no_view_of_a_filled_month_is_heavy(http: Client, month: Month, ledger: Ledger) -> None:
    with ledger.database.begin() as c:
        sql = "SELECT date(due_at) AS day FROM posts GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"
        busy = str(rows(c, sql)[0].day)
    some = ".".join(one.hex for one in [*month.clients][:10])
    views: list[dict[str, str]] = [
        {},
        {"day": busy},
        {"day": busy, "workspace": some},
        {"view": "week"},
        {"view": "week", "workspace": some},
        {"view": "week", "hours": "all"},
        {"view": "day"},
    ]
    for asked in views:
        answer = http.get("/dashboard/calendar", params={"date": busy, **asked})
        assert (answer.status_code, "posts" in answer.text) == (200, True)
        assert len(answer.content) < HEAVIEST, asked
