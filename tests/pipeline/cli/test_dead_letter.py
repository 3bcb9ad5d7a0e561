from __future__ import annotations

from pipeline.domain.delivery import State
from pipeline.store.database import jsonb
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import Ledger, Post

POISON = {
    "code": "poison",
    "class": "AdapterError",
    "message": "It crashed its worker 3 times.",
    "fault": "us",
}


def dead(ledger: Ledger, state: State = State.BLOCKED) -> Post:
    post = ledger.fresh(state)
    ledger.change(post.deliveries[0], "error = CAST(:e AS jsonb)", e=jsonb(POISON))
    return post


def test_one_is_listed_shown_with_its_evidence_and_replayed(terminal: Terminal, ledger: Ledger) -> None:
    post = dead(ledger)
    letter, of = str(post.deliveries[0]), ("--workspace", str(post.workspace))
    [row] = terminal.json("dead-letter list", *of, "--code", "poison", "--younger", "1h")
    assert (row["id"], row["class"], row["state"]) == (letter, "AdapterError", "blocked")
    assert terminal.json("dead-letter list", *of, "--older", "1h") == []
    shown = terminal.json("dead-letter show", letter)
    assert shown["error"] == POISON
    assert [a["outcome"] for a in shown["attempts"]] == [None]
    assert f"slipway dead-letter replay {letter}" in terminal.text("dead-letter show", letter)

    assert terminal.json("dead-letter replay", letter) == {"replayed": [letter], "skipped": {}}
    assert ledger.states(post) == [State.RETRYING]
    assert f"slipway delivery show {letter}" in terminal.refusal("dead-letter show", letter)
    again = terminal.run("dead-letter replay", letter)
    assert again.status == 1
    assert "1 skipped" in again.stdout


def test_many_are_counted_first_and_dealt_with_when_told_to(terminal: Terminal, ledger: Ledger) -> None:
    workspace = ledger.workspace()
    account = ledger.account(workspace)
    posts = [ledger.post([account], State.BLOCKED) for _ in range(3)]
    for post in posts:
        ledger.change(post.deliveries[0], "error = CAST(:e AS jsonb)", e=jsonb(POISON))
    words = ("--workspace", str(workspace), "--class", "AdapterError", "--platform", "tiktok")
    told = terminal.text("dead-letter discard", *words, "--why", "over")
    assert "3 would be discarded: run it again with --yes." in told
    assert terminal.json("dead-letter causes", *words) == [
        {"platform": "tiktok", "class": "AdapterError", "code": "poison", "letters": 3}
    ]
    assert "3 discarded, 0 skipped." in terminal.text("dead-letter discard", *words, "--why", "over", "--yes")
    assert {s for p in posts for s in ledger.states(p)} == {State.CANCELLED}
    assert terminal.json("dead-letter list --account", str(account)) == []


def test_a_count_names_what_would_be_skipped(terminal: Terminal, ledger: Ledger) -> None:
    post = ledger.fresh(State.BLOCKED)
    ledger.change(post.deliveries[0], "armed_at = now(), armed_deadline = now(), reason = 'person_needed'")
    of = ("--workspace", str(post.workspace))
    told = terminal.text("dead-letter replay", *of)
    assert "No dead letters would be replayed." in told
    assert "1 would be skipped: It may be live" in told
    done = terminal.text("dead-letter replay", *of, "--yes")
    assert "0 replayed, 1 skipped." in done


def test_what_makes_no_sense_is_a_sentence(terminal: Terminal, ledger: Ledger) -> None:
    letter = str(dead(ledger).deliveries[0])
    assert "not both" in terminal.refusal("dead-letter replay", letter, "--code", "poison")
    assert "--why is empty" in terminal.refusal("dead-letter discard", letter, "--why", " ")
    assert "slipway dead-letter list" in terminal.refusal("dead-letter show nonsense")
    assert "did you mean tiktok?" in terminal.refusal("dead-letter list --platform tiktak")
