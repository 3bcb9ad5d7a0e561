"""Every page with a filled month: nothing leaves its card at any width, and all text has contrast in both schemes.

With DASHBOARD_SCREENSHOTS it leaves pictures.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import Page

from pipeline.runtime.context import Context
from pipeline.store.posts.approvals import demand_of
from tests.pipeline.dashboard.accessibility import (
    SCREENSHOTS,
    assert_contrast,
    assert_everything_is_within,
)
from tests.pipeline.dashboard.filled_month import (
    Month,
    drop_month,
    fill_month,
    find_partly_live,
    find_widest,
)
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
    "keys": lambda page: page.keyboard.press("?"),
}
"""What a visitor makes of the queue."""


@pytest.fixture
def month(ledger: Ledger) -> Month:
    return fill_month(ledger)


def test_pages_of_a_filled_month(browser: Page, month: Month, ledger: Ledger, context: Context) -> None:
    client = next(iter(month.clients))
    with context.database.begin() as c:
        demand_of(c, month.posts[-60:], "user ann")
    pages = {
        **PAGES,
        "numbers-client": f"/dashboard/numbers?period=month&workspace={client}",
        "client-month": f"/dashboard/numbers/month?client={client}",
        "post": f"/dashboard/posts/{find_partly_live(ledger)}",
        "post-planned": f"/dashboard/posts/{month.posts[-1]}",
        "post-of-six": f"/dashboard/posts/{find_widest(ledger)}",
        "queue-of-six": f"/dashboard/queue?workspace={client}",
        "import": f"/dashboard/imports/{drop_month(context, month)}",
        **dict.fromkeys(STATES, "/dashboard/queue"),
    }
    for name, path in pages.items():
        browser.goto(path)
        browser.locator("h1").first.wait_for()
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
    for scheme in ("light", "dark"):
        choose_scheme(page, scheme)
        assert_contrast(page, f"{name}, {scheme}")


def choose_scheme(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme="light" if scheme == "light" else "dark", reduced_motion="reduce")
