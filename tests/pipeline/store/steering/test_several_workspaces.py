"""What a filter selects in several workspaces, and the jobs of them."""

from __future__ import annotations

from uuid import UUID

from pipeline.domain.delivery import State
from pipeline.domain.steering import Arguments, Verb
from pipeline.store.auth.keys import read_caller
from pipeline.store.deliveries.selection import ListFilter
from pipeline.store.steering.jobs import create_job, list_jobs
from pipeline.store.steering.receipts import Count, count, count_by_workspace
from tests.pipeline.store.ledger import Ledger

SCHEDULED = ListFilter(state=State.SCHEDULED)


def create(ledger: Ledger, workspace: UUID, token: str) -> UUID:
    with ledger.database.begin() as c:
        caller = read_caller(c, workspace, None)
        assert caller is not None
        count(c, caller, Verb.CANCEL, SCHEDULED, token=token)
        made = create_job(c, caller, verb=Verb.CANCEL, arguments=Arguments(), chosen=SCHEDULED, token=token)
    assert made is not None
    return made


def test_what_a_filter_selects_is_counted_by_workspace(ledger: Ledger) -> None:
    one, other, hidden = ledger.fresh(accounts=2), ledger.fresh(), ledger.fresh()
    with ledger.database.begin() as c:
        within = [one.workspace, other.workspace, ledger.workspace()]
        counted = count_by_workspace(c, Verb.CANCEL, SCHEDULED, within)
        assert counted == {
            one.workspace: Count(deliveries=2, posts=1, states={"scheduled": 2}),
            other.workspace: Count(deliveries=1, posts=1, states={"scheduled": 1}),
        }
        for space, found in counted.items():
            caller = read_caller(c, space, None)
            assert caller is not None
            assert count(c, caller, Verb.CANCEL, SCHEDULED) == found
        assert hidden.workspace not in counted
        assert count_by_workspace(c, Verb.RETRY, SCHEDULED, within) == {}


def test_jobs_of_some_workspaces_newest_first(ledger: Ledger) -> None:
    one, other = ledger.workspace(), ledger.workspace()
    first, second = create(ledger, one, "a"), create(ledger, one, "b")
    with ledger.database.begin() as c:
        assert [job.id for job in list_jobs(c, [one, other], limit=9)] == [second, first]
        assert [job.id for job in list_jobs(c, [one], limit=1)] == [second]
        assert [job.id for job in list_jobs(c, [one], after=second, limit=9)] == [first]
        assert [job.id for job in list_jobs(c, [one], ids=[first], limit=9)] == [first]
        assert list_jobs(c, [other], ids=[first], limit=9) == []
