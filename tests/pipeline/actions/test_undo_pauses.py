"""The undo of pauses from their audit rows: all of them end or get their earlier reason back, or none does."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from pipeline.actions.pauses import lift, pause
from pipeline.actions.undo import undo_pauses
from pipeline.domain.hold import Scope
from pipeline.domain.steering import UNDO_WITHIN
from pipeline.stages.post_request import Refusal
from pipeline.store.audit import AuditFilter, list_changes
from pipeline.store.database import rows
from tests.actors import TESTER
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.store.ledger import together


@pytest.fixture
def core(alone: CoreFixture) -> CoreFixture:
    return alone


def make(core: CoreFixture, why: str, account: UUID, scope: Scope = "account") -> int:
    with core.context.database.begin() as c:
        audit = pause(c, TESTER, scope, str(account), why)
    assert audit is not None
    return audit


def list_all(core: CoreFixture) -> dict[str, str]:
    with core.context.database.begin() as c:
        return {r.target: r.why for r in rows(c, "SELECT target, why FROM pauses")}


def undo(core: CoreFixture, *audits: int) -> None:
    undo_pauses(core.context, core.caller, audits)


def refuse(core: CoreFixture, *audits: int) -> Refusal:
    """Return the refusal of an undo, which must leave all pauses as they are."""
    before = list_all(core)
    with pytest.raises(Refusal) as caught:
        undo(core, *audits)
    assert list_all(core) == before
    return caught.value


def test_new_pauses_end_and_the_undo_is_recorded(core: CoreFixture) -> None:
    one, two = core.account("one"), core.account("two")
    audits = [make(core, "x" * 500, one), make(core, "a", two), make(core, "b", core.workspace, "workspace")]
    undo(core, *audits)
    assert list_all(core) == {}
    with core.context.database.begin() as c:
        last = list_changes(c, AuditFilter(subject=f"account {two}"), limit=1, newest_first=True)[0]
    assert (last.verb, last.kind, last.before, last.after) == ("undo", "pause", {"why": "a"}, {"why": None})
    assert last.workspace_id == core.workspace
    assert refuse(core, audits[0]).status == 409, "it was undone"


def test_a_pause_that_got_another_reason_gets_its_earlier_one_back(core: CoreFixture) -> None:
    account = core.account("one")
    first = make(core, "first", account)
    undo(core, make(core, "second", account))
    assert list_all(core) == {str(account): "first"}
    assert refuse(core, first).code == "cannot_undo"


def test_nothing_is_undone_unless_all_can_be(core: CoreFixture) -> None:
    one, two = core.account("one"), core.account("two")
    audits = [make(core, "a", one), make(core, "a", two)]
    with core.context.database.begin() as c:
        assert lift(c, TESTER, "account", str(two))
    assert "ended since" in refuse(core, *audits).message
    make(core, "again", two)
    assert refuse(core, *audits).code == "cannot_undo", "another pause than the one that was made"
    assert list_all(core) == {str(one): "a", str(two): "again"}


def test_the_same_reason_again_and_a_reason_that_was_not_kept_cannot_be_undone(core: CoreFixture) -> None:
    account = core.account("one")
    make(core, "x" * 500, account)
    refuse(core, make(core, "x" * 500, account))
    refuse(core, make(core, "short", account))


def test_others_changes_and_old_ones_are_refused(core: CoreFixture) -> None:
    account = core.account("one")
    audit = make(core, "a", account)
    with pytest.raises(Refusal) as caught:
        undo_pauses(core.context, replace(core.caller, workspace_id=core.ledger.workspace()), [audit])
    assert caught.value.status == 404
    with core.context.database.begin() as c:
        lift(c, TESTER, "account", str(account))
        lifted = list_changes(c, AuditFilter(subject=f"account {account}"), limit=1, newest_first=True)[0]
    assert "is no pause" in refuse(core, lifted.id).message
    late = make(core, "b", account)
    with core.context.database.begin() as c:
        c.exec_driver_sql("ALTER TABLE audit DISABLE TRIGGER audit_is_final")
        aged = UNDO_WITHIN + timedelta(seconds=1)
        rows(c, "UPDATE audit SET at = at - CAST(:aged AS interval) RETURNING id", aged=aged)
        c.exec_driver_sql("ALTER TABLE audit ENABLE TRIGGER audit_is_final")
    assert "10 minutes" in refuse(core, late).message


def test_of_two_undos_at_once_one_is_refused(core: CoreFixture) -> None:
    audit = make(core, "a", core.account("one"))
    refusals = list[Refusal]()

    def work() -> None:
        try:
            undo(core, audit)
        except Refusal as refusal:
            refusals.append(refusal)

    together(work, work)
    assert [one.code for one in refusals] == ["cannot_undo"]
    assert list_all(core) == {}
