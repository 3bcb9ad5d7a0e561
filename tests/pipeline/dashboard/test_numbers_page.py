"""The page of numbers: what went live, how late, what failed and why, of days by the session's clock or by UTC."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from html import unescape
from itertools import pairwise
from math import inf
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest

from adapters.contract import Platform
from pipeline.dashboard.clock import ZONE_COOKIE
from pipeline.dashboard.numbers import (
    MOST_DAYS,
    build_frame,
    compute_numbers,
    find_height,
    format_lateness,
    format_share,
)
from pipeline.domain.account import Role
from pipeline.store.rollups.settled_counts import DAY, HOUR, KEPT, LATENESS, SettledCount, find_start
from tests.pipeline.dashboard.numbers_scene import count_some
from tests.pipeline.dashboard.site import Client, Site

PATH = "/dashboard/numbers"
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")


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
        count(3, "published", 8),
        count(3, LATENESS, 8, "60.0"),
        count(9, "failed", 1, "Rejected"),
    ]
    found = compute_numbers(counts, [NOON - timedelta(hours=hours) for hours in (2, 1, 0)])
    assert [*found.platforms] == [*Platform]
    some = {p: (line.published, line.failed) for p, line in found.platforms.items() if line.published}
    assert some == {"tiktok": (5, 5), "linkedin": (2, 0)}
    assert (found.total.published, found.total.slowest, found.total.fastest) == (7, inf, 0)
    assert found.total.prompt == pytest.approx(5 / 7)
    assert [(line.published, line.failed) for line in found.bars] == [(2, 5), (0, 0), (5, 0)]
    assert (found.before.published, found.before.failed, found.before.prompt) == (8, 1, 1)
    assert found.platforms["youtube"].typical is found.platforms["youtube"].prompt is None
    assert found.causes.most_common() == [("RateLimited", 4), ("Rejected", 1)]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "\N{EN DASH}"),
        (0.184, "0.18 s"),
        (6.04, "6 s"),
        (59.9, "59 s"),
        (90, "1 min 30 s"),
        (inf, "over 1 h"),
    ],
)
def test_lateness_is_shown_as_a_person_reads_it(seconds: float | None, shown: str) -> None:
    assert format_lateness(seconds) == shown


def test_not_all_is_never_a_hundred_percent() -> None:
    shares = (None, 0, 0.9996, 0.99, 1)
    assert [format_share(one) for one in shares] == ["\N{EN DASH}", "0 %", "99.9 %", "99 %", "100 %"]


def test_the_scale_of_the_chart_has_ends() -> None:
    heights = [find_height(seconds, 300) for seconds in (0, 0.1, 1, 60, 300, 4000, inf)]
    assert heights == sorted(heights)
    assert (heights[0], heights[1], heights[-3:]) == (0, 0, [150, 150, 150])


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 10, 25), 25), (date(2026, 3, 29), 23)])
def test_a_day_whose_hours_are_kept_is_one_of_the_sessions_clock(day: date, hours: int) -> None:
    now = datetime(day.year, day.month, day.day, 20, tzinfo=UTC)
    frame = build_frame(day, day, BERLIN, now)
    assert (frame.minutes, len(frame.bars), len(frame.labels)) == (HOUR, hours, hours)
    assert frame.labels.count("02:00") == hours - 23
    assert frame.bars[0][0].astimezone(BERLIN).date() == day
    assert frame.bars[0][0] - frame.before == timedelta(days=1)


def test_days_whose_hours_are_gone_are_those_of_utc() -> None:
    last = date(2026, 11, 27)
    frame = build_frame(last - timedelta(days=6), last, BERLIN, NOON)
    assert (frame.minutes, frame.labels[0], frame.labels[-1]) == (DAY, "Sat 21", "Fri 27")
    assert [start for start, _ in frame.bars] == [find_start(start, DAY) for start, _ in frame.bars]
    assert frame.before == datetime(2026, 11, 14, tzinfo=UTC)
    kept = build_frame(last - timedelta(days=1), last, BERLIN, NOON)
    assert (kept.minutes, len(kept.bars), kept.bars[0][0].hour) == (HOUR, 2, 23)


def test_a_year_has_a_bar_for_each_week() -> None:
    frame = build_frame(date(2026, 1, 1), date(2026, 12, 31), BERLIN, NOON)
    assert len(frame.bars) == 53
    assert all(end == start for (_, end), (start, _) in pairwise(frame.bars))
    assert frame.bars[-1][1] == datetime(2027, 1, 1, tzinfo=UTC)


def test_hours_are_counted_once_by_a_clock_that_is_half_an_hour_ahead() -> None:
    day, now = date(2026, 11, 27), NOON + timedelta(hours=3)
    kolkata = ZoneInfo("Asia/Kolkata")
    frames = [build_frame(one, one, kolkata, now) for one in (day - timedelta(days=1), day)]
    starts = [find_start(start, HOUR) for frame in frames for start, _ in frame.bars]
    assert all(after - before == timedelta(hours=1) for before, after in pairwise(starts))


def show(client: Client, **query: object) -> str:
    answer = client.get(PATH, params={name: str(value) for name, value in query.items()})
    assert answer.status_code == 200, answer.text
    return answer.text


def read_total(text: str) -> int:
    found = re.findall(r'aria-label="([\d,]+) accounts? of (?:a )?posts? went live"', text)
    return int(found[0].replace(",", "")) if found else 0


def list_links(text: str) -> list[dict[str, list[str]]]:
    """Return the fields of all links to the queue with a span of time."""
    found = [unescape(one) for one in re.findall(r'href="(/dashboard/queue\?[^"]*due_from[^"]*)"', text)]
    return [parse_qs(urlsplit(one).query) for one in found]


@pytest.mark.parametrize(("period", "bars"), [("today", 24), ("week", 7), ("month", 30)])
def test_the_page_shows_what_is_counted_of_the_visitors_workspaces(
    site: Site, http: Client, period: str, bars: int
) -> None:
    tenant = site.server.tenant()
    count_some(site.server.context, tenant.workspace)
    text = show(http, workspace=tenant.workspace, period=period)
    table = text.partition("As a table")[2].partition("</table>")[0]
    live = re.findall(r'<th scope="row">[^<]+</th><td class="number"><a href="[^"]+">(\d+)</a>', table)
    assert len(live) == bars
    named = re.findall(r'aria-label="[\w: ]+: typical 0\.\d+ s, 99 of 100 within 0\.\d+ s"', text)
    assert len(named) == sum(number != "0" for number in live), "links of the chart"
    assert sum(map(int, live)) == read_total(text) > 0
    assert f"the {'day' if bars == 24 else '7 days'} before" in text or period == "month"
    assert ("days of UTC" in text) == (period != "today")
    causes = re.findall(r"error_class=(\w+)\">([^<]+)</a>", text)
    assert (
        causes[:2]
        == [
            ("Rejected", "Refused by the platform"),
            ("RateLimited", "Another reason"),
        ]
        or period == "today"
    )
    with site.log_in(site.add_user({site.tenant.workspace: Role.VIEWER})) as stranger:
        assert read_total(show(stranger, period=period)) == 0
        assert stranger.get(PATH, params={"workspace": str(tenant.workspace)}).status_code == 404
    assert read_total(show(http, period=period)) >= read_total(text)


def test_every_number_opens_the_queue_with_the_same_client_and_days(site: Site, http: Client) -> None:
    tenant = site.server.tenant()
    count_some(site.server.context, tenant.workspace)
    links = list_links(show(http, workspace=tenant.workspace))
    days = {one["due_from"][0][:10] for one in links}
    today = datetime.now(UTC).date()
    assert days == {str(today - timedelta(days=n)) for n in range(7)}
    assert Counter(one["workspace"][0] for one in links) == {str(tenant.workspace): len(links)}
    assert {one["platform"][0] for one in links if "platform" in one} == set(Platform)
    for one in links[:3]:
        answer = http.get("/dashboard/queue", params=one)
        assert (answer.status_code, "No such post" in answer.text) == (200, True)


def test_all_clients_are_ranked_by_what_failed_and_lead_to_their_month(site: Site, http: Client) -> None:
    tenant = site.server.tenant()
    count_some(site.server.context, tenant.workspace)
    with site.log_in(
        site.add_user(dict.fromkeys((tenant.workspace, site.tenant.workspace), Role.VIEWER))
    ) as two:
        text = show(two, period="month")
    ranked = text.partition("Clients with most failed")[2].partition("</section>")[0]
    [found] = re.findall(r"(\d+) of ([\d,]+) <svg", ranked)
    assert int(found[0]) == sum(int(n) for n in re.findall(r"(\d+) (?:refused|another)", text)) > 0
    assert int(found[1].replace(",", "")) == read_total(text) + int(found[0])
    month = f"{datetime.now(UTC):%Y-%m}"
    assert f"{PATH}/month?client={tenant.workspace}&amp;month={month}" in ranked
    assert f"workspace={tenant.workspace}" in ranked


def test_today_is_a_day_of_the_sessions_clock(site: Site, http: Client) -> None:
    http.cookies.set(ZONE_COOKIE, "Pacific/Kiritimati", domain="127.0.0.1", path="/dashboard")
    tenant = site.server.tenant()
    count_some(site.server.context, tenant.workspace)
    [link, *_] = list_links(show(http, workspace=tenant.workspace, period="today"))
    assert link["due_from"][0].endswith("T10:00:00Z"), "midnight 14 hours ahead of UTC"
    today = datetime.now(ZoneInfo("Pacific/Kiritimati"))
    assert f"{today:%a} {today.day} {today:%b %Y}" in show(http, period="today")


def test_a_span_has_two_days_and_a_bar_for_each(http: Client) -> None:
    with_year = {"period": "span", "from": "2024-02-28", "to": "2024-03-01"}
    text = show(http, **with_year)
    assert "Wed 28 Feb to Fri 1 Mar 2024" in text
    assert "Nothing went out in this time." in text
    assert 'value="2024-02-28"' in text
    assert "is not counted" in text


@pytest.mark.parametrize(
    "query",
    [
        {"period": "decade"},
        {"period": "span"},
        {"period": "span", "from": "2026-11-02", "to": "2026-11-01"},
        {"period": "span", "from": "2024-01-01", "to": str(date(2024, 1, 1) + timedelta(days=MOST_DAYS))},
        {"period": "span", "from": "0001-01-01", "to": "0001-01-02"},
        {"period": "span", "from": "<img src=x>", "to": "x" * 999},
        {"workspace": "x"},
    ],
    ids=lambda query: " ".join(query.values())[:40],
)
def test_a_period_that_is_none_is_refused_with_the_rule(http: Client, query: dict[str, str]) -> None:
    answer = http.get(PATH, params=query)
    main = answer.text.partition("<main")[2]
    assert (answer.status_code, "<img" in main, "x" * 60 in main) == (400, False, False)
    assert ("period, from, to: choose today, week, month, or span" in main) == ("period" in query)


def test_hours_last_for_a_day_and_the_one_before_it() -> None:
    assert KEPT[HOUR] >= timedelta(days=2, hours=1), (
        "today and yesterday by any clock, one of them with 25 hours"
    )
