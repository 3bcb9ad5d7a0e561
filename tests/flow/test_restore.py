"""Restore an older database: posts sent since are found or left to a person, and never sent again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import requests

from pipeline.broker.queues import WORKER_GROUPS
from pipeline.store.deliveries.pauses import lift, pause
from tests.backups import Backups
from tests.conftest import Engines
from tests.flow.ledger import caption, delivery, slideshow, states_of
from tests.stack import Stack, until

PARTS = ("api", "beat", *WORKER_GROUPS)
PLATFORMS = ("tiktok", "instagram", "youtube", "pinterest", "facebook", "organization")
WAIT = 60
"""Seconds of an idle machine: every part is started again."""


@pytest.fixture
def backups(engines: Engines, stack: Stack, tmp_path: Path) -> Iterator[Backups]:
    yield Backups(engines, stack.environment["SLIPWAY_STORE__URL"], tmp_path)
    for part in PARTS:
        if stack.parts[part].poll() is not None:
            _start(stack, part)


def test_after_a_restore_nothing_that_went_out_since_the_backup_is_sent_again(
    stack: Stack, backups: Backups
) -> None:
    texts = {name: caption() for name in ("before", "found", "asked", "forward", "held", "later", "lost")}
    hour = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    _pause(stack, "pinterest", "linkedin", "youtube")
    posts = {
        "before": stack.create_post(texts["before"], "tiktok"),
        # the platform shows whose it is
        "found": stack.create_post(texts["found"], "pinterest", media=slideshow(stack)),
        # the API cannot list a member's posts
        "asked": stack.create_post(texts["asked"], "linkedin", media=slideshow(stack)),
        "forward": stack.create_post(texts["forward"], "linkedin", media=slideshow(stack), scheduled_at=hour),
        # due in the time in doubt, and never sent
        "held": stack.create_post(texts["held"], "youtube"),
        "later": stack.create_post(texts["later"], "tiktok", scheduled_at=hour),
    }
    stack.await_status(posts["before"], "posted", WAIT)
    backups.dump()

    _unpause(stack, "pinterest", "linkedin")
    _patch(stack, posts["forward"], {"scheduled_at": None})
    lost = stack.create_post(texts["lost"], "tiktok")
    went_out = {"before", "found", "asked", "forward", "lost"}
    _await_live(stack, *(texts[name] for name in went_out))
    assert {name for name, text in texts.items() if stack.live(text)} == went_out

    _restore_database(stack, backups)
    ready = until(lambda: _read_ready(stack, 503), WAIT)
    assert "`slipway restore status`" in ready["message"]
    doubted = {"found", "asked", "forward", "held"}
    ids = {name: delivery(stack, post) for name, post in posts.items()}
    listed = {one["id"]: one for one in _slipway(stack, "restore", "list")}
    assert {name for name, identity in ids.items() if identity in listed} == doubted
    assert stack.state(posts["found"], "pinterest")["state"] == "scheduled", "so says the backup"
    assert (
        requests.get(f"{stack.api}/api/partner/v1/posts/{lost}", headers=_key(stack), timeout=60).status_code
        == 404
    )

    accepted = {one["id"] for one in _slipway(stack, "restore", "accept")}
    assert accepted == set(listed)
    until(lambda: _read_ready(stack, 200), WAIT)
    stack.await_state(posts["found"], "published", "pinterest", WAIT)
    for name, platform in (("asked", "linkedin"), ("forward", "linkedin"), ("held", "youtube")):
        stack.await_state(posts[name], "blocked", platform, WAIT)
    open_ones = {one["id"]: one["reason"] for one in _slipway(stack, "restore", "list", "--waiting")}
    assert {ids[name]: "is_it_live" for name in doubted - {"found"}}.items() <= open_ones.items()
    assert ids["found"] not in open_ones

    _slipway(stack, "delivery", "decide", ids["asked"], "--live", "https://www.linkedin.com/feed/update/1")
    _unpause(stack, "youtube")
    _slipway(stack, "delivery", "decide", ids["held"], "--again")
    _patch(stack, posts["later"], {"scheduled_at": None})
    for name in ("asked", "held", "later"):
        stack.await_status(posts[name], "posted", WAIT)
    assert "unknown" not in states_of(stack, posts["later"])
    assert {name: len(stack.live(text)) for name, text in texts.items()} == dict.fromkeys(texts, 1)


def test_a_post_that_the_backup_calls_scheduled_is_found_live_on_all_six_platforms(
    stack: Stack, backups: Backups
) -> None:
    for name, kind in (("organization", "organization"), ("member", "person")):
        stack.accounts[name] = stack.connect(
            "linkedin", f"{stack.owner}-{name}", options={"kind": kind}, name=name
        )
    text, old, new = caption(), caption(), caption()
    _pause(stack, *PLATFORMS, "member")
    post = stack.create_post(text, *PLATFORMS, "member")
    edited = stack.create_post(old, "instagram")
    until(lambda: _list_states(stack, post) | _list_states(stack, edited) == {"scheduled"}, WAIT)
    backups.dump()

    _patch(stack, edited, {"caption": new})
    _unpause(stack, *PLATFORMS, "member")
    until(lambda: len(stack.live(text)) == len(PLATFORMS) + 1 and stack.live(new), WAIT)
    live = {line["account"]: line for line in stack.live(text)}
    assert len(live) == len(PLATFORMS) + 1

    _restore_database(stack, backups)
    until(lambda: _read_ready(stack, 503), WAIT)
    assert _list_states(stack, post) == {"scheduled"}, "so says the backup"
    _slipway(stack, "restore", "accept")
    until(lambda: _read_ready(stack, 200), WAIT)
    states = until(lambda: _read_settled(stack, post), WAIT)
    for name in PLATFORMS:
        state, line = states[stack.accounts[name]], live[stack.remote[name]]
        assert (state["state"], state["error"]) == ("published", None), name
        assert line["remote_id"] in state["published_url"] or line["url"] == state["published_url"], name
    asked = states[stack.accounts["member"]]
    assert (asked["state"], asked["blocked_reason"]) == ("blocked", "is_it_live")
    assert asked["error_message"] == (
        "It may have been published before the database was restored. "
        "LinkedIn cannot be asked: a member's posts cannot be listed."
    )

    [shown] = until(lambda: _read_settled(stack, edited), WAIT).values()
    assert "Instagram was asked for the account's posts since " in shown["error_message"]
    [candidate] = [one for one in shown["error"]["candidates"] if one["url"] == stack.live(new)[0]["url"]]
    assert (candidate["same_caption"], candidate["same_kind"], candidate["same_media"]) == (False, True, True)
    waiting = {one["id"]: one for one in _slipway(stack, "restore", "list", "--waiting")}
    listed = waiting[delivery(stack, edited)]
    assert listed["found"] == shown["error_message"]
    assert candidate["url"] in {one["url"] for one in listed["candidates"]}
    assert [len(stack.live(one)) for one in (text, old, new)] == [len(PLATFORMS) + 1, 0, 1]


def _list_states(stack: Stack, post: str) -> set[str]:
    return {s["state"] for s in stack.read(post)["accounts"]["states"]}


def _read_settled(stack: Stack, post: str) -> dict[UUID, Any] | None:
    """Return the post's states by account once none is looked for any more."""
    states = {UUID(s["account_id"]): s for s in stack.read(post)["accounts"]["states"]}
    return states if all(s["state"] in ("published", "blocked") for s in states.values()) else None


def _await_live(stack: Stack, *texts: str) -> None:
    """Wait until the ledger of the platforms has these posts: what our database says of them is lost anyway."""
    until(lambda: all(stack.live(text) for text in texts), WAIT)


def _restore_database(stack: Stack, backups: Backups) -> None:
    """Kill all parts, restore the database from the dump, and start all parts."""
    for part in PARTS:
        stack.kill(part)
    backups.restore_dump()
    stack.context.database.engine.dispose()
    for part in PARTS:
        _start(stack, part)


def _start(stack: Stack, part: str) -> None:
    if part in WORKER_GROUPS:
        stack.start_worker(part)
    else:
        {"api": stack.start_api, "beat": stack.start_beat}[part]()


def _read_ready(stack: Stack, status: int) -> Any:
    answer = requests.get(f"{stack.api}/readyz", timeout=60)
    return answer.json() if answer.status_code == status else None


def _slipway(stack: Stack, *words: str) -> Any:
    """Run an operator's command and return its JSON."""
    ended = subprocess.run(
        [sys.executable, "-m", "pipeline.cli", *words, "--json"],
        env=stack.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def _patch(stack: Stack, post: str, body: dict[str, Any]) -> None:
    answer = requests.patch(
        f"{stack.api}/api/partner/v1/posts/{post}", json=body, headers=_key(stack), timeout=30
    )
    assert answer.status_code == 200, answer.text


def _key(stack: Stack) -> dict[str, str]:
    return {"Authorization": f"Bearer {stack.key}"}


def _pause(stack: Stack, *platforms: str) -> None:
    with stack.context.database.begin() as c:
        for platform in platforms:
            pause(c, "account", str(stack.accounts[platform]), "a test")


def _unpause(stack: Stack, *platforms: str) -> None:
    with stack.context.database.begin() as c:
        for platform in platforms:
            lift(c, "account", str(stack.accounts[platform]))
