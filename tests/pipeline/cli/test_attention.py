"""`slipway attention`: what needs an operator, and commands that deal with it."""

from __future__ import annotations

from pipeline.domain.delivery import Reason, State
from pipeline.domain.hold import LIMITS
from tests.pipeline.cli.terminal import Terminal
from tests.pipeline.store.ledger import COLUMNS_OF_STATE, HOUR, Ledger


def test_the_list_is_empty_until_something_needs_a_person_and_its_command_finds_it(
    terminal: Terminal, ledger: Ledger
) -> None:
    assert terminal.json("attention") == []
    assert "Nothing needs an operator." in terminal.text("attention")
    post = ledger.fresh()
    ledger.put(post, State.BLOCKED, reason=Reason.IS_IT_LIVE)
    [found] = terminal.json("attention")
    assert (found["kind"], found["reason"], found["count"]) == ("blocked", "is_it_live", 1)
    assert found["oldest"].endswith("Z")
    assert str(found["command"]) in terminal.text("attention")
    [listed] = terminal.json(*found["command"].split()[1:])
    assert listed["id"] == str(post.deliveries[0])


def test_the_commands_of_what_is_overdue_list_exactly_what_is_counted(
    terminal: Terminal, ledger: Ledger
) -> None:
    free, other = (ledger.account(ledger.workspace()) for _ in range(2))
    for due in (-HOUR, -HOUR, -25 * HOUR):
        ledger.post([free], due=due)
    ledger.post([free], State.PUBLISHING, due=-HOUR)
    armed = ledger.post([free], State.PUBLISHING, due=-HOUR)
    ledger.change(armed.deliveries[0], COLUMNS_OF_STATE[State.UNKNOWN])
    for hold in LIMITS:
        limited = ledger.post([other], due=-HOUR)
        ledger.change(limited.deliveries[0], f"held_for = '{hold}', next_at = now() + interval '1 hour'")
    over = ledger.post([other], due=-HOUR)
    ledger.change(over.deliveries[0], "held_for = 'rate', next_at = now() - interval '31 seconds'")
    late = [one for one in terminal.json("attention") if one["kind"] in ("held", "overdue")]
    assert [(one["kind"], one["state"], one["reason"], one["count"]) for one in late] == [
        ("held", "scheduled", "backlog", 1),
        ("overdue", "publishing", None, 1),
        ("overdue", "scheduled", "backlog", 2),
    ]
    for one in late:
        assert len(terminal.json(*one["command"].split()[1:])) == one["count"], one
