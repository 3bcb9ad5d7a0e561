from __future__ import annotations

import signal
from datetime import timedelta
from uuid import UUID

import pytest

from pipeline.store.database import row
from pipeline.store.deliveries.release import release
from tests.crash_table import Crashes
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import LEASE, Ledger, Post


def target(ledger: Ledger, post: Post, scope: str) -> list[str]:
    """Return the arguments that pause what this post belongs to."""
    account: UUID = ledger.delivery(post.deliveries[0]).account_id
    words = {"all": [], "platform": ["tiktok"], "workspace": [str(post.workspace)], "account": [str(account)]}
    return words[scope]


def released(ledger: Ledger) -> set[UUID]:
    with ledger.database.begin() as c:
        return {ring.delivery for ring in release(c, "tiktok", 100, LEASE)}


@pytest.mark.parametrize("scope", ["all", "platform", "workspace", "account"])
def test_what_is_paused_is_not_released_until_it_is_lifted(
    terminal: Terminal, ledger: Ledger, scope: str
) -> None:
    due = ledger.fresh(due=-timedelta(seconds=2))
    words = target(ledger, due, scope)
    for why in ("first", "looking into it"):
        terminal.text("pause add", scope, *words, "--why", why)
    [listed] = terminal.json("pause list")
    assert (listed["scope"], listed["why"], listed["holds"] >= 1) == (scope, "looking into it", True)
    assert due.deliveries[0] not in released(ledger)
    assert terminal.json("pause lift", scope, *words)["paused"] is False
    assert terminal.json("pause list") == []
    assert due.deliveries[0] in released(ledger)


def test_a_pause_that_is_lifted_by_a_command_that_dies_is_lifted(
    terminal: Terminal, ledger: Ledger, crashes: Crashes
) -> None:
    post = ledger.fresh(due=-timedelta(seconds=2))
    terminal.text("pause add platform tiktok --why", "looking into it")
    assert post.deliveries[0] not in released(ledger)
    assert terminal.run("pause lift platform tiktok", **crashes.arm()).status == -signal.SIGKILL
    assert terminal.json("pause list") == []
    assert post.deliveries[0] in released(ledger), "the sweep needs no ring"


def test_a_wrong_target_is_said(terminal: Terminal) -> None:
    assert "did you mean tiktok?" in terminal.refusal("pause add platform tiktk --why x")
    assert "--why is empty" in terminal.refusal("pause add all --why", " ")
    assert "`slipway pause list`" in terminal.refusal("pause lift all")
    assert "slipway pause lift platform NAME" in terminal.refusal("pause lift platform")
    assert "takes no target" in terminal.refusal("pause add all acme --why x")


def test_an_open_breaker_is_listed_and_lifted(terminal: Terminal, ledger: Ledger) -> None:
    post = ledger.fresh(due=-timedelta(seconds=2))
    ledger.change(post.deliveries[0], 'unavailable_since = \'{"platform": "2026-01-01T00:00:00+00:00"}\'')
    with ledger.database.begin() as c:
        row(
            c,
            """INSERT INTO platform_health (platform, opened_at, probe_at, why) VALUES ('tiktok', now(), now(), 'down')
               ON CONFLICT (platform) DO UPDATE SET opened_at = now(), probe_at = now(), why = 'down'
               RETURNING platform""",
        )
    [listed] = terminal.json("pause list")
    assert (listed["scope"], listed["target"], listed["holds"] >= 1) == ("breaker", "tiktok", True)
    assert listed["why"].startswith("down; the next probe is at ")
    assert terminal.json("pause lift breaker tiktok")["paused"] is False
    assert terminal.json("pause list") == []
    assert ledger.delivery(post.deliveries[0]).unavailable_since is None
