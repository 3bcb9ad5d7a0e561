"""Rows that ask for the next free posting time: the plan shows the times of now, applying takes what is free then."""

from __future__ import annotations

from datetime import datetime

import pytest

from tests.pipeline.api.imports.importing import Importer
from tests.pipeline.api.imports.test_reading_options import plan
from tests.pipeline.api.posts.test_auto_times import DAY, next_time, once_a_day, to_time
from tests.pipeline.api.running_server import ask, video

URL = "https://media.example/v.mp4"


def write(account: str, *times: str) -> str:
    rows = [f"row {n},{URL},{account},{time}" for n, time in enumerate(times)]
    return "\n".join(["caption,media_urls,accounts,scheduled_at", *rows, ""])


def list_dues(importer: Importer) -> list[datetime]:
    return sorted(post.due_at for post in importer.posts())


def test_cells_and_blank_cells_take_free_times_in_order(importer: Importer) -> None:
    account = str(importer.tenant.accounts["tiktok"])
    path = f"/accounts/{account}/posting-times"
    ask(importer.server, importer.tenant.key, "PATCH", path, {"times": once_a_day()})
    text = write(account, "auto", "AUTO", "", "2090-01-01T00:00:00Z")
    found = plan(importer, text, blank="auto")
    assert found["counts"]["accepted"] == 4, importer.records(found["id"])
    first = next_time()
    planned = [record.due_at for record in importer.records(found["id"])]
    assert planned[:3] == [first, first + DAY, first + 2 * DAY]
    forecast = importer.server.get(f"/imports/{found['id']}/forecast", importer.tenant.key)
    assert forecast.status_code == 200, forecast.text
    body = video(importer.tenant, scheduled_at="auto", accounts=[{"id": account}])
    meanwhile = importer.server.post(body, importer.tenant.key).json()["data"]
    assert to_time(meanwhile["scheduled_at"]) == first
    importer.act(found["id"], "apply", {"plan": found["plan"]["hash"]})
    importer.work(found["id"])
    assert list_dues(importer)[:4] == [first + n * DAY for n in range(4)]


@pytest.mark.parametrize(
    ("times", "why"), [("", "or auto for the next free posting time"), ("auto later", "auto")]
)
def test_a_row_without_a_time_and_one_that_is_none_are_refused(
    importer: Importer, times: str, why: str
) -> None:
    account = str(importer.tenant.accounts["tiktok"])
    found = plan(importer, write(account, times))
    [record] = importer.records(found["id"])
    assert record.verdict == "rejected"
    assert why in record.issues[0]["message"]
