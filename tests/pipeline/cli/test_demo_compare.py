"""The demo's comparison reports every difference between our deliveries and the sandbox's ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from pipeline.cli.demo_stack import OurDelivery, compare

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


def test_an_address_that_is_not_known_yet_is_no_difference() -> None:
    assert compare([replace(OURS, url=None, remote_id="v_pub~1")], [ENTRY], "demo-1")[1] == []
