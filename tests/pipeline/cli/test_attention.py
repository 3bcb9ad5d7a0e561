"""`slipway attention`: what needs a person, and commands that deal with it."""

from __future__ import annotations

from pipeline.domain.delivery import Reason, State
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import Ledger


def test_the_list_is_empty_until_something_needs_a_person_and_its_command_finds_it(
    terminal: Terminal, ledger: Ledger
) -> None:
    assert terminal.json("attention") == []
    assert "Nothing needs a person." in terminal.text("attention")
    post = ledger.fresh()
    ledger.put(post, State.BLOCKED, reason=Reason.IS_IT_LIVE)
    [found] = terminal.json("attention")
    assert (found["kind"], found["reason"], found["count"]) == ("blocked", "is_it_live", 1)
    assert found["oldest"].endswith("Z")
    assert str(found["command"]) in terminal.text("attention")
    [listed] = terminal.json(*found["command"].split()[1:])
    assert listed["id"] == str(post.deliveries[0])
