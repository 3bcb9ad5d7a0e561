"""The demo on a temporary stack: real API, workers and sandbox. The sandbox processes instantly, to save time."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from config.settings import PREFIX
from pipeline.cli.demo import DAYS, WHY
from pipeline.cli.demo_stack import OurDelivery, compare, open_stack
from pipeline.domain.delivery import State
from pipeline.embedded.sandbox import Control
from pipeline.store.database import Database
from pipeline.store.deliveries.pauses import list_pauses, pause
from pipeline.store.deliveries.selection import DeliveryFacts, ListFilter, list_deliveries
from tests.waiting import until

IN_BACKGROUND = ("/bin/sh", "-c", "trap '' INT; exec \"$@\"", "sh")
"""What a shell script does to a command that ends in `&`."""

LOSE_INTERRUPT = """
import os, runpy, signal, sys, requests
real, calls = requests.request, []
class Finalized:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)  # what a handler raises in here is discarded
def request(*args, **more):
    calls.append(args)
    if len(calls) == 6:
        Finalized()
    return real(*args, **more)
requests.request = request
sys.argv[0] = "slipway"
runpy.run_module("pipeline.cli", run_name="__main__")
"""


def demo(
    folder: str, out: Path, *options: str, start: Sequence[str] = ("-m", "pipeline.cli")
) -> subprocess.Popen[str]:
    """`slipway demo` on a data folder, put in the background by a shell script: it starts with SIGINT ignored."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    with out.with_suffix(".out").open("w") as stdout, out.with_suffix(".err").open("w") as stderr:
        return subprocess.Popen(
            [*IN_BACKGROUND, sys.executable, *start, "demo", *options, "--json"],
            stdout=stdout,
            stderr=stderr,
            text=True,
            env={**plain, "SLIPWAY_FOLDER": folder},
        )


def list_found(database: Database, chosen: ListFilter) -> list[DeliveryFacts]:
    with database.begin() as c:
        return list(list_deliveries(c, chosen, limit=100))


def read_pauses(database: Database) -> list[tuple[str, str]]:
    with database.begin() as c:
        return [(one.target, one.why) for one in list_pauses(c)]


def require_pause_ends_with_it(folder: str, out: Path, database: Database) -> None:
    """Stop a demo while its account is paused; the next one leaves the pause that an operator makes in that time."""
    running = demo(folder, out, "--ahead", "600")
    [(_, why)] = until(lambda: read_pauses(database) or None, 60, out.with_suffix(".err").read_text)
    assert why == WHY
    running.send_signal(signal.SIGTERM)
    assert until(running.poll, 60) != 0
    assert read_pauses(database) == []
    running = demo(folder, out, "--ahead", "600", start=("-c", LOSE_INTERRUPT))
    assert until(running.poll, 60, out.with_suffix(".err").read_text) != 0
    assert "Finalized.__del__" in out.with_suffix(".err").read_text()
    assert read_pauses(database) == []
    running = demo(folder, out, "--ahead", "600")
    [(account, _)] = until(lambda: read_pauses(database) or None, 60)
    with database.begin() as c:
        pause(c, "account", account, "mine")
    running.send_signal(signal.SIGHUP)
    assert until(running.poll, 60) != 0
    assert read_pauses(database) == [(account, "mine")]


def listens(url: str) -> bool:
    parts = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((str(parts.hostname), parts.port)) == 0


def test_of_two_demos_on_one_stack_the_one_whose_post_fails_ends_with_1_and_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIPWAY_FOLDER", str(tmp_path))
    said: list[str] = []
    with open_stack(said.append, SLIPWAY_SANDBOX__LIFTED="true") as own:
        assert "starting a temporary one" in said[0]
        fault = {"platform": "tiktok", "step": "any", "fault": "fail-processing", "times": 1}
        control = Control(own.summary.sandbox, own.summary.sandbox_token)
        control.call("POST", "faults", json={**fault, "reason": "file_format_check_failed"})
        running = [demo(own.summary.folder, tmp_path / name, "--ahead", "0") for name in "ab"]
        ended = {until(one.poll, 90): tmp_path / name for one, name in zip(running, "ab", strict=True)}
        lost = tmp_path / "lost"
        assert demo(own.summary.folder, lost, "--lose-answer").wait(300) == 0, lost.with_suffix(
            ".err"
        ).read_text()
        live = control.call("GET", "ledger", params={"platform": "linkedin"})
        database = Database(own.settings.store.url.get_secret_value(), pool=1)
        with closing(database):
            refused = ListFilter(state=State.FAILED, platform="facebook")
            until(lambda: len(list_found(database, refused)) == len(ended), 60)
            unknown = list_found(database, ListFilter(state=State.UNKNOWN))
            waited = ListFilter(state=State.PUBLISHED, platform="pinterest")
            until(lambda: len(list_found(database, waited)) == len(ended), 60)
            assert read_pauses(database) == []
            require_pause_ends_with_it(own.summary.folder, tmp_path / "stopped", database)
            scheduled = list_found(database, ListFilter(state=State.SCHEDULED, platform="youtube"))
    assert set(ended) == {0, 1}

    well = json.loads(ended[0].with_suffix(".out").read_text())
    assert (well["agrees"], well["differences"]) == (True, [])
    assert {(d["post"], d["platform"], d["our_state"], d["ledger_entries"]) for d in well["deliveries"]} == {
        (post, platform, "published", 1)
        for post in ("video", "slideshow")
        for platform in ("tiktok", "instagram")
    }
    assert all(d["our_url"] == d["ledger_url"] for d in well["deliveries"])
    told = ended[0].with_suffix(".err").read_text()
    assert "the demo publishes through it" in told
    assert len(well["left"]["posts"]) == 5
    assert len(scheduled) == 2 * len(DAYS)
    assert "instagram sandbox_instagram" in told

    ill = json.loads(ended[1].with_suffix(".out").read_text())
    [difference] = ill["differences"]
    assert "on tiktok: live 0 times, not once; we say failed" in difference

    found = json.loads(lost.with_suffix(".out").read_text())
    assert [(str(one.id), str(one.post_id)) for one in unknown] == [(found["delivery"], found["post"])]
    assert [entry["url"] for entry in live] == [found["live_at"]]

    assert said[-1].startswith("Stopping")
    assert not Path(own.summary.folder).exists()
    assert not any(
        map(listens, (own.summary.api, own.summary.flower, own.summary.sandbox, own.summary.media))
    )


def test_a_bulk_demo_publishes_the_first_day_of_its_file_once_and_takes_the_other_days_back(
    tmp_path: Path,
) -> None:
    out = tmp_path / "bulk"
    assert demo(str(tmp_path / "data"), out, "--bulk").wait(400) == 0, out.with_suffix(".err").read_text()
    found = json.loads(out.with_suffix(".out").read_text())
    assert (found["agrees"], found["differences"]) == (True, [])
    assert found["rows"] == {"rows": 300, "accepted": 300, "duplicate": 0, "rejected": 0}
    assert (found["published"], found["ledger"]) == (60, 60)
    assert found["rolled_back"] == {"created": 300, "live": 60, "canceled": 240}
    assert found["lost_answers"] == 5
    assert sum(day["posts"] for day in found["forecast"]["days"]) == 300
    told = out.with_suffix(".err").read_text()
    assert "60 posts, 60 fit the quotas" in told
    assert re.search(r"publishing: 60 of 60 \(100 %\).*; 60 published", told)


def test_a_lost_answer_needs_a_running_stack_where_its_delivery_can_stay(tmp_path: Path) -> None:
    assert demo(str(tmp_path / "data"), tmp_path / "lost", "--lose-answer").wait(300) == 1
    assert "start `slipway up` in another terminal first" in (tmp_path / "lost.err").read_text()


DUE = datetime(2026, 11, 25, 12, tzinfo=UTC)
URL = "https://www.tiktok.com/@ann/video/7"
OURS = OurDelivery(
    post="video",
    caption="demo-1: a video",
    platform="tiktok",
    username="ann",
    account="_000a",
    state="published",
    due_at=DUE,
    remote_id="7",
    url=URL,
    error=None,
)
ENTRY: dict[str, Any] = {
    "platform": "tiktok",
    "account": "_000a",
    "caption": "demo-1: a video",
    "remote_id": "7",
    "handle": "v_pub~1",
    "url": URL,
    "at": "2026-11-25T12:00:01.500000+00:00",
}


def test_live_once_as_we_say_is_no_difference_whatever_else_is_live() -> None:
    [one], differences = compare([OURS], [ENTRY, {**ENTRY, "caption": "another run"}], "demo-1")
    assert (one.difference, one.late, differences) == ("", 1.5, [])
    unknown = replace(OURS, url=None, remote_id="v_pub~1")
    assert compare([unknown], [ENTRY], "demo-1")[1] == [], "its address is not known yet"


@pytest.mark.parametrize(
    ("ours", "ledger", "word"),
    [
        (OURS, [], "live 0 times"),
        (
            replace(OURS, state="scheduled", hold="held for daily_quota"),
            [],
            "scheduled (held for daily_quota)",
        ),
        (OURS, [ENTRY, {**ENTRY, "remote_id": "8"}], "live 2 times"),
        (replace(OURS, state="failed", error="too long"), [ENTRY], "we say failed (too long)"),
        (replace(OURS, state="unknown"), [ENTRY], "we say unknown"),
        (replace(OURS, remote_id="9"), [ENTRY], "we say it is 9, the ledger says 7"),
        (replace(OURS, remote_id=None), [ENTRY], "we say it is None"),
        (replace(OURS, url="https://elsewhere.example/"), [ENTRY], "the ledger says https://www"),
        (OURS, [ENTRY, {**ENTRY, "account": "_000b"}], "belongs to no delivery"),
    ],
)
def test_each_difference_is_said(ours: OurDelivery, ledger: list[dict[str, Any]], word: str) -> None:
    _, differences = compare([ours], ledger, "demo-1")
    assert len(differences) == 1
    assert word in differences[0]
