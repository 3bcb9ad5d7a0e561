"""`slipway explain`: a person asks why a post waits, and is given the next step."""

from __future__ import annotations

from uuid import uuid4

from pipeline.domain.delivery import Reason, State
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import HOUR, Ledger


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


def test_what_does_not_exist_is_said_with_the_next_step(terminal: Terminal) -> None:
    assert "`slipway post list`" in terminal.refusal("explain", str(uuid4()))
    assert "not the id of a post" in terminal.refusal("explain x")
