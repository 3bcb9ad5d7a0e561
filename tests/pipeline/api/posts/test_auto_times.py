"""`scheduled_at: "auto"` over HTTP: the next free posting time of each account, whoever asks, and however often."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from tests.pipeline.api.running_server import Server, Tenant, ask, code, read, video

WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DAY = timedelta(days=1)


@cache
def get_hour() -> int:
    """Return the hour of the accounts' posting time: far from now, so that no request meets its passing."""
    return (datetime.now(UTC).hour + 6) % 24


def once_a_day() -> dict[str, list[str]]:
    return {day: [f"{get_hour():02}:00"] for day in WEEK}


def set_times(server: Server, tenant: Tenant, platform: str = "tiktok", **more: Any) -> None:
    path = f"/accounts/{tenant.accounts[platform]}/posting-times"
    assert ask(server, tenant.key, "PATCH", path, {"times": once_a_day(), **more}).status_code == 200


def post(server: Server, tenant: Tenant, when: str = "auto", n: int = 0, **more: Any) -> dict[str, Any]:
    more = {"accounts": [{"id": tenant.accounts["tiktok"]}], "caption": f"number {n}", **more}
    answer = server.post(video(tenant, scheduled_at=when, **more), tenant.key)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()["data"]
    return found


def to_time(text: str) -> datetime:
    return datetime.fromisoformat(text)


def next_time(after: datetime | None = None) -> datetime:
    after = after or datetime.now(UTC)
    found = after.replace(hour=get_hour(), minute=0, second=0, microsecond=0)
    return found if found > after else found + DAY


def test_each_request_gets_the_next_free_time_and_a_repeat_its_own(server: Server) -> None:
    tenant = server.tenant()
    set_times(server, tenant)
    first, second = post(server, tenant, n=1), post(server, tenant, n=2)
    assert [to_time(one["scheduled_at"]) for one in (first, second)] == [next_time(), next_time() + DAY]
    assert first["status"] == "scheduled"
    again = server.post(
        video(tenant, scheduled_at="auto", accounts=[{"id": tenant.accounts["tiktok"]}], caption="number 1"),
        tenant.key,
    ).json()["data"]
    assert (again["id"], again["scheduled_at"]) == (first["id"], first["scheduled_at"])


def test_twenty_requests_at_once_get_twenty_times(server: Server) -> None:
    tenant = server.tenant()
    set_times(server, tenant)
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda n: post(server, tenant, n=n)["scheduled_at"], range(20)))
    first = next_time()
    assert sorted(map(to_time, found)) == [first + n * DAY for n in range(20)]


def test_a_time_is_free_again_when_its_post_moves_away_or_is_canceled(server: Server) -> None:
    tenant = server.tenant()
    set_times(server, tenant)
    first, second = post(server, tenant, n=1), post(server, tenant, n=2)
    moved = {"scheduled_at": "2090-01-01T00:00:00Z"}
    assert ask(server, tenant.key, "PATCH", f"/posts/{first['id']}", moved).status_code == 200
    ask(server, tenant.key, "POST", "/posts/cancel", {"post_ids": [second["id"]]})
    assert to_time(post(server, tenant, n=3)["scheduled_at"]) == next_time()
    assert to_time(post(server, tenant, n=4)["scheduled_at"]) == next_time() + DAY
    back = ask(server, tenant.key, "PATCH", f"/posts/{first['id']}", {"scheduled_at": "auto"}).json()["data"]
    assert to_time(back["scheduled_at"]) == next_time() + 2 * DAY
    kept = ask(server, tenant.key, "PATCH", f"/posts/{first['id']}", {"scheduled_at": "auto"}).json()["data"]
    assert kept["scheduled_at"] == back["scheduled_at"]


def test_every_account_gets_its_own_after_the_time_that_is_asked(server: Server) -> None:
    tenant = server.tenant()
    set_times(server, tenant)
    set_times(server, tenant, "instagram", time_zone="Asia/Tokyo")
    after = datetime.now(UTC) + 30 * DAY
    both = [{"id": tenant.accounts[name]} for name in ("tiktok", "instagram")]
    made = post(server, tenant, f"auto after {after.isoformat()}", accounts=both)
    states = read(server, tenant, made["id"])["accounts"]["states"]
    times = {one["platform"]: to_time(one.get("scheduled_at") or made["scheduled_at"]) for one in states}
    assert times["tiktok"] == next_time(after)
    assert times["instagram"] == next_time(after + timedelta(hours=9)) - timedelta(hours=9)
    assert to_time(made["scheduled_at"]) == min(times.values())
    entries = [{"id": tenant.accounts["tiktok"], "scheduled_at": "auto"}, both[1]]
    mixed = post(server, tenant, "2090-01-01T00:00:00Z", accounts=entries, caption="mixed")
    assert to_time(mixed["scheduled_at"]) == next_time()


def test_batches_and_validation_find_times_too(server: Server) -> None:
    tenant = server.tenant()
    set_times(server, tenant)
    body = video(tenant, scheduled_at="auto", accounts=[{"id": tenant.accounts["tiktok"]}])
    shown = ask(server, tenant.key, "POST", "/posts/validate", body).json()["data"]
    assert to_time(shown["scheduled_at"]) == next_time()
    posts = [{**body, "external_id": f"b{n}"} for n in range(3)]
    answer = ask(server, tenant.key, "POST", "/posts/batch", {"posts": posts}).json()["data"]
    times = sorted(to_time(one["data"]["scheduled_at"]) for one in answer["results"])
    assert times == [next_time() + n * DAY for n in range(3)]


def test_no_free_time_and_one_past_the_deadline_are_refused(server: Server) -> None:
    tenant = server.tenant()
    ask(server, tenant.key, "PATCH", f"/accounts/{tenant.accounts['tiktok']}/posting-times", {"times": {}})
    body = video(tenant, scheduled_at="auto", accounts=[{"id": tenant.accounts["tiktok"]}])
    answer = server.post(body, tenant.key)
    assert code(answer) == (400, "validation_failed")
    assert "has no free posting time within a year of" in answer.json()["message"]
    set_times(server, tenant)
    soon = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    answer = server.post({**body, "expires_at": soon}, tenant.key)
    assert code(answer) == (400, "validation_failed")
    assert "is not before expires_at" in answer.json()["message"]
