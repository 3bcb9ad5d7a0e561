"""`slipway delivery|explain|dead-letter`: deliveries are inspected, explained, decided, replayed and discarded."""

from __future__ import annotations

from uuid import uuid4

from pipeline.domain.delivery import Reason, State
from pipeline.store.database import jsonb
from pipeline.store.deliveries.late_results import save_late_result
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import HOUR, Ledger, Post

URL = "https://www.tiktok.com/@ann/video/1"


def unknown(ledger: Ledger) -> Post:
    """Create a delivery that was claimed and armed and whose answer was lost."""
    post = ledger.fresh()
    ledger.armed(post)
    ledger.change(post.deliveries[0], "state = 'unknown', lease_until = NULL")
    return post


def test_it_is_live_publishes_closes_the_attempt_and_is_a_move_of_its_own(
    terminal: Terminal, ledger: Ledger
) -> None:
    post = unknown(ledger)
    delivery = str(post.deliveries[0])
    assert terminal.json("delivery decide", delivery, "--live", URL)["state"] == "published"

    shown = terminal.json("delivery show", delivery)
    assert (shown["state"], shown["url"]) == ("published", URL)
    last = shown["moves"][-1]
    assert (last["mover"], last["from"], last["to"]) == ("decide", "unknown", "published")
    assert URL in last["why"]
    assert [m["to"] for m in shown["moves"]] == ["scheduled", "publishing", "published"]
    assert [a["outcome"] for a in shown["attempts"]] == ["decided"]
    assert shown["attempts"][0]["armed_at"].endswith("Z")
    assert terminal.json("post show", str(post.id))["status"] == "posted"


def test_what_is_settled_or_nowhere_or_no_address_is_refused(terminal: Terminal, ledger: Ledger) -> None:
    post, late = ledger.fresh(State.PUBLISHED), ledger.armed(ledger.fresh())
    with ledger.database.begin() as c:
        save_late_result(c, late, {"remote_id": "77", "url": URL})
    shown = terminal.json("delivery show", str(late.id))
    assert shown["attempts"][0]["late_proof"] == [{"remote_id": "77", "url": URL}]
    assert "checkpoint" not in shown
    decide = ("delivery decide", str(post.deliveries[0]))
    assert "only blocked and unknown deliveries" in terminal.refusal(*decide, "--again")
    assert ledger.state(post.deliveries[0]) is State.PUBLISHED
    assert "exactly one" in terminal.refusal(*decide, "--live", URL, "--again")
    assert "https://" in terminal.refusal(*decide, "--live", "javascript:alert(1)")
    assert "`slipway delivery list`" in terminal.refusal("delivery decide nonsense --again")
    assert "only blocked" in terminal.refusal("delivery resume", str(post.deliveries[0]))
    assert "`slipway post list`" in terminal.refusal("explain", str(uuid4()))
    assert "not the id of a post" in terminal.refusal("explain x")


def test_the_list_finds_those_that_wait_for_a_person_and_show_says_what_to_do(
    terminal: Terminal, ledger: Ledger
) -> None:
    post, other = unknown(ledger), unknown(ledger)
    found = terminal.json("delivery list --state unknown --workspace", str(post.workspace))
    assert [d["id"] for d in found] == [str(post.deliveries[0])]
    assert len(terminal.json("delivery list --state unknown --limit 1")) == 1

    text = terminal.text("delivery show", str(other.deliveries[0]))
    assert f"slipway delivery decide {other.deliveries[0]} --live URL" in text
    assert "first" not in text, "that is the checkpoint's handle"


def test_posts_are_listed_in_the_public_words(terminal: Terminal, ledger: Ledger) -> None:
    post = unknown(ledger)
    listed = terminal.json("post list --workspace", str(post.workspace), "--status", "pending")
    assert [(p["id"], p["status"]) for p in listed] == [(str(post.id), "pending")]
    text = terminal.text("post show", str(post.id))
    assert "hello" in text
    assert str(post.deliveries[0]) in text
    assert "`slipway post list" in terminal.refusal("post show", str(post.workspace))


def test_a_paused_account_is_named_until_the_command_of_the_explanation_lifts_it(
    terminal: Terminal, ledger: Ledger
) -> None:
    post = ledger.fresh(due=-HOUR)
    account = str(ledger.delivery(post.deliveries[0]).account_id)
    terminal.text("pause add account", account, "--why", "under review")
    [found] = terminal.json("explain", str(post.id))["accounts"]
    assert (found["state"], found["held_for"], found["turn"]) == ("scheduled", "paused", "operator")
    assert "under review" in found["summary"]
    assert found["evidence"]["holds"][0]["why"] == "under review"
    command = found["action"]["command"].split()
    assert command[:1] == ["slipway"]
    terminal.text(*command[1:])
    [after] = terminal.json("explain", str(post.id))["accounts"]
    assert (after["held_for"], after["turn"]) == ("backlog", "us")


def test_one_delivery_alone_and_as_text(terminal: Terminal, ledger: Ledger) -> None:
    post = ledger.fresh(accounts=2)
    ledger.put(post, State.BLOCKED, reason=Reason.IS_IT_LIVE)
    assert len(terminal.json("explain", str(post.id))["accounts"]) == 2
    delivery = str(post.deliveries[1])
    [found] = terminal.json("explain", delivery)["accounts"]
    assert found["delivery_id"] == delivery
    text = terminal.text("explain", delivery)
    assert "blocked (is_it_live)" in text
    assert f"slipway delivery decide {delivery} --live URL" in text
    assert str(post.deliveries[0]) not in text


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
    post, live = dead(ledger), dead(ledger)
    ledger.change(live.deliveries[0], "armed_at = now(), armed_deadline = now(), reason = 'person_needed'")
    words = ("--workspace", str(post.workspace), "--class", "AdapterError", "--platform", "tiktok")
    told = terminal.text("dead-letter discard", *words, "--why", "over")
    assert "1 would be discarded: run it again with --yes." in told
    assert terminal.json("dead-letter causes", *words) == [
        {"platform": "tiktok", "class": "AdapterError", "code": "poison", "letters": 1}
    ]
    assert "1 discarded, 0 skipped." in terminal.text("dead-letter discard", *words, "--why", "over", "--yes")
    assert ledger.states(post) == [State.CANCELLED]
    of = ("--workspace", str(live.workspace))
    assert "1 would be skipped: It may be live" in terminal.text("dead-letter replay", *of)
    assert "0 replayed, 1 skipped." in terminal.text("dead-letter replay", *of, "--yes")


def test_a_command_about_dead_letters_that_makes_no_sense_is_a_sentence(
    terminal: Terminal, ledger: Ledger
) -> None:
    letter = str(dead(ledger).deliveries[0])
    assert "not both" in terminal.refusal("dead-letter replay", letter, "--code", "poison")
    assert "--why is empty" in terminal.refusal("dead-letter discard", letter, "--why", " ")
    assert "slipway dead-letter list" in terminal.refusal("dead-letter show nonsense")
    assert "did you mean tiktok?" in terminal.refusal("dead-letter list --platform tiktak")
