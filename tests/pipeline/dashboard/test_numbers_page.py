"""The page of numbers: throughput, lateness and failures, as charts and as tables."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from math import inf

import pytest
from playwright.sync_api import Page, expect

from pipeline.dashboard.numbers import compute_numbers, format_lateness
from pipeline.domain.account import Role
from pipeline.store.deliveries.pauses import pause
from pipeline.store.rollups.settled_counts import HOUR, LATENESS, SettledCount
from tests.pipeline.dashboard.accessibility import check_accessibility
from tests.pipeline.dashboard.numbers_scene import HOSTILE, add_named, count_some
from tests.pipeline.dashboard.site import Client, Site

PATH = "/dashboard/numbers"
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


def count(hours: int, kind: str, n: int, label: str = "", platform: str = "tiktok") -> SettledCount:
    return SettledCount(
        starts_at=NOON - timedelta(hours=hours), platform=platform, kind=kind, label=label, n=n
    )


def test_numbers_are_added_up_by_platform_span_and_class() -> None:
    counts = [
        count(0, "published", 5),
        count(0, LATENESS, 5, "0.1"),
        count(2, "published", 2, platform="linkedin"),
        count(2, LATENESS, 2, "+Inf", platform="linkedin"),
        count(2, "failed", 1, "Rejected"),
        count(2, "failed", 4, "RateLimited"),
        count(0, "cancelled", 3),
    ]
    found = compute_numbers(counts, ["tiktok", "linkedin", "youtube"], NOON - timedelta(hours=2), NOON, HOUR)
    assert [(p, line.published, line.failed, line.cancelled) for p, line in found.platforms.items()] == [
        ("tiktok", 5, 5, 3),
        ("linkedin", 2, 0, 0),
        ("youtube", 0, 0, 0),
    ]
    assert (found.total.published, found.total.p99) == (7, inf)
    assert [(line.published, line.failed) for line in found.spans.values()] == [(2, 5), (0, 0), (5, 0)]
    assert found.platforms["youtube"].median is None
    assert found.failures == {"RateLimited": Counter(tiktok=4), "Rejected": Counter(tiktok=1)}
    assert list(found.failures) == ["RateLimited", "Rejected"], "the most frequent first"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "\N{EN DASH}"), (0.184, "0.18 s"), (59.9, "59.90 s"), (90, "1 min 30 s"), (inf, "over 1 h")],
)
def test_lateness_is_shown_as_a_person_reads_it(seconds: float | None, shown: str) -> None:
    assert format_lateness(seconds) == shown


def show(client: Client, **query: object) -> str:
    answer = client.get(PATH, params={name: str(value) for name, value in query.items()})
    assert answer.status_code == 200, answer.text
    return answer.text


def read_total(text: str) -> int:
    [total] = re.findall(r"<tfoot><tr><th scope=\"row\">all</th>\s*<td>(\d+)</td>", text)
    return int(total)


@pytest.mark.parametrize(("period", "rows"), [("day", 25), ("month", 31)])
def test_the_page_shows_what_is_counted_of_the_visitors_workspaces(
    site: Site, http: Client, period: str, rows: int
) -> None:
    tenant = site.server.tenant()
    count_some(site.server.context, tenant.workspace)
    text = show(http, workspace=tenant.workspace, period=period)
    spans = re.findall(r'<tr><th scope="row" data-value="\d+">.*?</th><td data-value="(\d+)">', text)
    assert len(spans) == rows
    assert sum(map(int, spans)) == read_total(text) > 0
    assert re.findall(r"error_class=(\w+)", text) == ["Rejected", "RateLimited"]
    with site.log_in(site.add_user({site.tenant.workspace: Role.VIEWER})) as stranger:
        assert read_total(show(stranger, period=period)) == 0
        assert stranger.get(PATH, params={"workspace": str(tenant.workspace)}).status_code == 404
    assert read_total(show(http, period=period)) >= read_total(text)


def test_a_period_that_is_none_is_refused(http: Client) -> None:
    assert http.get(PATH, params={"period": "decade"}).status_code == 400


def test_charts_are_drawn_from_the_table(browser: Page, site: Site) -> None:
    tenant = site.server.tenant()
    count_some(site.server.context, tenant.workspace)
    browser.goto(f"{PATH}?workspace={tenant.workspace}")
    expect(browser.locator(".chart canvas")).to_have_count(2)
    expect(browser.get_by_role("img", name="Deliveries by hour")).to_be_visible()
    expect(browser.locator(".u-legend").first).to_contain_text("Published")
    browser.get_by_text("As a table").click()
    expect(browser.get_by_role("region", name="By hour")).to_be_visible()


@pytest.mark.parametrize("name", ["accounts", "pauses", "numbers", "numbers?period=month"])
def test_a_page_has_no_serious_finding(browser: Page, site: Site, name: str) -> None:
    tenant = site.server.tenant()
    add_named(site.server.context, tenant.workspace)
    count_some(site.server.context, tenant.workspace)
    with site.server.context.database.begin() as c:
        pause(c, "workspace", str(tenant.workspace), HOSTILE, "user ann")
    browser.goto(f"/dashboard/{name}")
    check_accessibility(browser, name.replace("?period=", "-"))
