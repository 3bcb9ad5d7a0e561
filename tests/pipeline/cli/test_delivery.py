from __future__ import annotations

import pytest

from pipeline.domain.delivery import Reason, State
from pipeline.store.deliveries.late_results import save_late_result
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import Ledger, Post

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


def test_again_starts_from_scratch_and_the_open_attempt_is_closed(terminal: Terminal, ledger: Ledger) -> None:
    post = unknown(ledger)
    delivery = str(post.deliveries[0])
    assert "may still appear until" in terminal.refusal("delivery decide", delivery, "--again")
    ledger.change(post.deliveries[0], "armed_deadline = now() - interval '1 hour'")
    before = ledger.delivery(post.deliveries[0])
    assert before.checkpoint is not None
    assert terminal.json("delivery decide", delivery, "--again")["state"] == "retrying"

    after = ledger.delivery(post.deliveries[0])
    assert (after.armed_at, after.checkpoint) == (None, None)
    assert after.fence > before.fence
    shown = terminal.json("delivery show", delivery)
    assert (shown["moves"][-1]["mover"], shown["moves"][-1]["to"]) == ("decide", "retrying")
    assert [a["outcome"] for a in shown["attempts"]] == ["decided"]
    assert terminal.json("post show", str(post.id))["status"] == "retry"


@pytest.mark.parametrize("words", [(), ("--live", URL, "--again")])
def test_exactly_one_thing_is_said(terminal: Terminal, ledger: Ledger, words: tuple[str, ...]) -> None:
    post = unknown(ledger)
    assert "exactly one" in terminal.refusal("delivery decide", str(post.deliveries[0]), *words)
    assert ledger.state(post.deliveries[0]) is State.UNKNOWN


def test_what_is_settled_or_nowhere_or_no_address_is_refused(terminal: Terminal, ledger: Ledger) -> None:
    post = ledger.fresh(State.PUBLISHED)
    delivery = str(post.deliveries[0])
    assert "only unknown and blocked deliveries" in terminal.refusal("delivery decide", delivery, "--again")
    assert ledger.state(post.deliveries[0]) is State.PUBLISHED
    assert "`slipway delivery list`" in terminal.refusal("delivery decide nonsense --again")
    assert "https://" in terminal.refusal("delivery decide", delivery, "--live", "javascript:alert(1)")


@pytest.mark.parametrize(("armed", "state"), [(True, State.UNKNOWN), (False, State.RETRYING)])
def test_a_resumed_one_that_was_armed_is_looked_at_and_never_sent_again(
    terminal: Terminal, ledger: Ledger, armed: bool, state: State
) -> None:
    post = ledger.fresh()
    ledger.put(post, State.BLOCKED, armed=armed, reason=Reason.PERSON_NEEDED)
    assert terminal.json("delivery resume", str(post.deliveries[0]))["state"] == state
    assert ledger.state(post.deliveries[0]) is state


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


def test_late_proof_and_errors_are_shown(terminal: Terminal, ledger: Ledger) -> None:
    post = ledger.fresh()
    held = ledger.armed(post)
    with ledger.database.begin() as c:
        save_late_result(c, held, {"remote_id": "77", "url": URL})
    shown = terminal.json("delivery show", str(post.deliveries[0]))
    assert shown["attempts"][0]["late_proof"] == [{"remote_id": "77", "url": URL}]
    assert "checkpoint" not in shown


def test_posts_are_listed_in_the_public_words(terminal: Terminal, ledger: Ledger) -> None:
    post = unknown(ledger)
    listed = terminal.json("post list --workspace", str(post.workspace), "--status", "pending")
    assert [(p["id"], p["status"]) for p in listed] == [(str(post.id), "pending")]
    text = terminal.text("post show", str(post.id))
    assert "hello" in text
    assert str(post.deliveries[0]) in text
    assert "`slipway post list" in terminal.refusal("post show", str(post.workspace))
