"""`slipway steer` with a real worker: a filter's deliveries are counted, then changed with --yes."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from pipeline.broker.queues import IMPORTS
from pipeline.domain.delivery import State
from pipeline.domain.level import LEVEL
from pipeline.store.canaries import record_canary
from pipeline.store.database import row
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import Ledger, Post
from tests.stack import Stack
from tests.waiting import until

DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def worker(sandbox: Stack) -> Stack:
    """A worker that takes the steps of jobs."""
    sandbox.start_worker("upkeep")
    return sandbox


def finish(terminal: Terminal, answer: dict[str, Any]) -> dict[str, Any]:
    """Wait for the job's end; return it."""
    shown: list[dict[str, Any]] = []

    def is_done() -> bool:
        shown.append(terminal.json("steer show", answer["job"]["id"]))
        return bool(shown[-1]["state"] == "done")

    until(is_done, 60)
    return shown[-1]


def make(ledger: Ledger) -> tuple[str, Post, Post]:
    """Return an account, a post to it, and one to another of the same workspace."""
    workspace = ledger.workspace()
    one, two = ledger.account(workspace), ledger.account(workspace)
    return str(one), ledger.post([one], due=DAY), ledger.post([two], due=DAY)


def test_it_counts_first_and_acts_with_yes(terminal: Terminal, ledger: Ledger, worker: Stack) -> None:
    assert worker is not None
    account, post, other = make(ledger)
    where = ("--workspace", str(post.workspace))
    told = terminal.text("steer cancel --account", account, *where)
    assert "1 scheduled" in told
    assert "Nothing was done. Repeat with --yes" in told
    assert ledger.states(post) == [State.SCHEDULED]

    before = ledger.delivery(post.deliveries[0]).due_at
    moved = terminal.json("steer reschedule --account", account, "--later", "2h", "--yes", *where)
    assert finish(terminal, moved)["done"] == 1
    assert ledger.delivery(post.deliveries[0]).due_at == before + timedelta(hours=2)

    held = terminal.json("steer pause --account", account, "--why", "wrong campaign", "--yes", *where)
    assert finish(terminal, held)["done"] == 1
    [shown] = terminal.json("pause list")
    assert (shown["scope"], shown["target"], shown["why"]) == (
        "delivery",
        held["job"]["id"],
        "wrong campaign",
    )

    gone = terminal.text("steer cancel --account", account, "--due", "now..2d", "--yes", *where)
    identity = gone.split()[-1]
    finish(terminal, {"job": {"id": identity}})
    assert (ledger.states(post), ledger.states(other)) == ([State.CANCELLED], [State.SCHEDULED])
    assert f"undoes {identity}, undone cancel" in terminal.text("steer undo", identity)
    [receipt] = terminal.json("steer receipts", identity)
    assert (receipt["delivery_id"], receipt["outcome"]) == (str(post.deliveries[0]), "done")
    shown_text = terminal.text("steer show", identity)
    assert f"account_id {account}" in shown_text


def test_a_job_is_followed_without_a_terminal(terminal: Terminal, ledger: Ledger, worker: Stack) -> None:
    assert worker is not None
    account, post, _ = make(ledger)
    where = ("--account", account, "--workspace", str(post.workspace))
    assert "give --yes" in terminal.run("steer pause", *where, "--wait").stderr
    ended = terminal.run("steer pause", *where, "--yes", "--wait", "--json")
    job = json.loads(ended.stdout)["job"]
    assert (job["state"], job["done"]) == ("done", 1)
    assert ended.stderr.lstrip().startswith("pause: ")
    undone = terminal.run("steer undo", job["id"], "--wait", "--json")
    assert json.loads(undone.stdout)["state"] == "done"
    assert undone.stderr.lstrip().startswith("undo: ")


def test_jobs_are_listed_in_pages_and_what_was_skipped_or_waits_is_said(
    terminal: Terminal, ledger: Ledger, worker: Stack
) -> None:
    assert worker is not None
    account, post, other = make(ledger)
    ledger.put(post, State.UNKNOWN)
    where = ("--account", account, "--yes", "--workspace", str(post.workspace))
    first, second = (terminal.json("steer", verb, *where) for verb in ("cancel", "resume"))
    finish(terminal, second)
    done = finish(terminal, first)
    assert (done["done"], done["skipped"]) == (0, 1)
    assert "--outcome skipped" in terminal.text("steer show", done["id"])
    assert "post_in_flight" in terminal.text("steer receipts", done["id"], "--outcome", "skipped")
    listed = ("steer list --workspace", str(post.workspace))
    pages = [terminal.json(*listed, "--limit", "1")]
    pages.append(terminal.json(*listed, "--limit", "1", "--after", pages[0][0]["id"]))
    assert [[job["id"] for job in page] for page in pages] == [[second["job"]["id"]], [done["id"]]]
    assert terminal.json("steer stop", done["id"])["state"] == "done", "it has ended"
    newer = "UPDATE steering_jobs SET state = 'working', level = :n WHERE id = :id RETURNING id"
    with ledger.database.begin() as c:
        record_canary(c, IMPORTS, LEVEL)
        row(c, newer, n=LEVEL + 1, id=UUID(done["id"]))
    shown = terminal.text("steer show", done["id"]).splitlines()
    assert ["held_for", "newer_worker"] in [line.split() for line in shown]
    assert ledger.states(other) == [State.SCHEDULED]


def test_what_cannot_be_done_is_said(terminal: Terminal, ledger: Ledger) -> None:
    account, post, _ = make(ledger)
    where = ("--workspace", str(post.workspace))
    assert "select every post" in terminal.refusal("steer cancel --yes", *where)
    both = ("--later", "2h", "--spread", "now..7d")
    assert "one of --later" in terminal.refusal("steer reschedule --account", account, *both, *where)
    assert "both ends" in terminal.refusal("steer reschedule --account", account, "--spread", "now..", *where)
    assert "no steering job" in terminal.refusal("steer show", str(post.id))
    assert ledger.states(post) == [State.SCHEDULED]
