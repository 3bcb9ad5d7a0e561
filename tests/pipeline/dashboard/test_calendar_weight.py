"""The calendar stays light with three thousand posts of twenty clients in its month."""

from __future__ import annotations

from pipeline.store.database import rows
from tests.pipeline.dashboard.filled_month import fill_month
from tests.pipeline.dashboard.site import Client
from tests.pipeline.store.ledger import Ledger

HEAVIEST = 150_000
"""Bytes of a page, without its pictures."""


def test_no_view_of_a_filled_month_is_heavy(http: Client, ledger: Ledger) -> None:
    month = fill_month(ledger)
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
