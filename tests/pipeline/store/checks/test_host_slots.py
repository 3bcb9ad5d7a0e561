"""At most so many checks of a host at once over all workers, whatever the order of claims, verdicts and deaths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from pipeline.store.checks import checks as store
from pipeline.store.checks.checks import free_expired_slots
from pipeline.store.checks.claim import DEPTH, ClaimedCheck
from tests.pipeline.store.checks.test_claim import MINUTE, NOW, SLOTS, Process, opened
from tests.pipeline.store.ledger import Ledger, together

PER_HOST = 4


def workers(ledger: Ledger, count: int) -> list[Process]:
    return [
        Process(ledger, host_slots=PER_HOST, shared_hosts=frozenset({"files.example"})) for _ in range(count)
    ]


def test_workers_that_claim_at_once_ask_a_host_for_four_files_together(ledger: Ledger) -> None:
    hosts = ("one.example", "two.example")
    workspaces = [(host, ledger.workspace()) for host in hosts for _ in range(SLOTS)]
    for n in range(3):
        for host, workspace in workspaces:
            opened(ledger, workspace, host=f"{n}.{host}")
        claimed = [one for found in together(*[w.claim_all for w in workers(ledger, 6)]) for one in found]
        assert Counter(one.host for one in claimed) == {f"{n}.one.example": 4, f"{n}.two.example": 4}
        assert len({one.check.id for one in claimed}) == 8
        with ledger.database.begin() as c:
            c.exec_driver_sql("DELETE FROM host_slots")
            c.exec_driver_sql("UPDATE checks SET next_at = 'infinity' WHERE verdict IS NULL")


def fill(ledger: Ledger, worker: Process, host: str) -> list[ClaimedCheck]:
    for _ in range(SLOTS):
        opened(ledger, ledger.workspace(), host=host)
    claimed = worker.claim_all()
    assert len(claimed) == PER_HOST
    return claimed


ENDS: dict[str, Callable[[Connection, ClaimedCheck], object]] = {
    "good": lambda c, one: store.decide_check(c, one.check.id, "good", facts=None, seen="ok"),
    "refused": lambda c, one: store.decide_check(c, one.check.id, "refused", facts=None, seen="404"),
    "postponed": lambda c, one: store.postpone_check(c, one.check.id, MINUTE, "no answer"),
    "needs more time": lambda c, one: store.move_to_slow_lane(c, one.check.id),
    "its process ends": lambda c, one: store.requeue_check(c, one.check.id),
}


@pytest.mark.parametrize("end", ENDS)
def test_the_end_of_a_try_frees_its_slot_for_any_worker(ledger: Ledger, end: str) -> None:
    one, other = workers(ledger, 2)
    claimed = fill(ledger, one, "cdn.example")
    assert other.claim() is None
    ledger.do(ENDS[end], claimed[0])
    assert other.claim() is not None
    assert other.claim() is None


def test_the_slots_of_a_dead_worker_are_freed_when_its_tries_would_be_over(ledger: Ledger) -> None:
    dead, other = workers(ledger, 2)
    fill(ledger, dead, "cdn.example")
    with ledger.database.begin() as c:
        assert free_expired_slots(c) == 0
        c.exec_driver_sql("UPDATE host_slots SET held_until = now() - interval '1 s' WHERE slot = 1")
        assert free_expired_slots(c) == 1
    assert other.claim() is not None
    assert other.claim() is None


def test_a_full_host_holds_up_no_other_host_of_the_workspace(ledger: Ledger) -> None:
    workspace, (one, other) = ledger.workspace(), workers(ledger, 2)
    fill(ledger, one, "slow.example")
    with ledger.database.begin() as c:
        c.exec_driver_sql(
            """INSERT INTO checks (id, workspace_id, purpose, url, url_sha256, due_at)
               SELECT gen_random_uuid(), %(w)s, 'video', 'https://slow.example/' || n, sha256(n::text::bytea),
                      now() - interval '1 hour' FROM generate_series(1, %(n)s) n""",
            {"w": workspace, "n": 2 * DEPTH},
        )
    behind = opened(ledger, workspace, host="quick.example", due=NOW + MINUTE)
    claimed = other.claim()
    assert claimed is not None
    assert claimed.check.id == behind.id


def test_the_next_free_slot_of_a_host_goes_to_the_workspace_that_has_none(ledger: Ledger) -> None:
    """Whichever worker asks: the one that asks here has nothing under way of either."""
    large, small, (one, other) = ledger.workspace(), ledger.workspace(), workers(ledger, 2)
    for _ in range(2 * SLOTS):
        opened(ledger, large, host="cdn.example", due=NOW - MINUTE)
    held = one.claim_all()
    waiting = opened(ledger, small, host="cdn.example")
    ledger.do(store.decide_check, held[0].check.id, "good", facts=None, seen="ok")
    claimed = other.claim()
    assert claimed is not None
    assert claimed.check.id == waiting.id


def test_workers_that_claim_at_once_leave_half_of_a_host_to_other_workspaces(ledger: Ledger) -> None:
    for n in range(3):
        workspace = ledger.workspace()
        for _ in range(SLOTS):
            opened(ledger, workspace, host=f"{n}.example")
        claimed = [one for found in together(*[w.claim_all for w in workers(ledger, 6)]) for one in found]
        assert len(claimed) == PER_HOST // 2
        with ledger.database.begin() as c:
            c.exec_driver_sql("UPDATE checks SET next_at = 'infinity' WHERE verdict IS NULL")


def test_the_share_of_a_host_shrinks_as_workspaces_come(ledger: Ledger) -> None:
    [worker] = workers(ledger, 1)
    for taken in (2, 1, 1, 0):
        workspace = ledger.workspace()
        for _ in range(SLOTS):
            opened(ledger, workspace, host="cdn.example", due=NOW - MINUTE)
        claimed = worker.claim_all()
        assert [one.workspace_id for one in claimed] == [workspace] * taken


def test_the_last_slot_of_a_process_goes_to_a_host_that_one_workspace_holds(ledger: Ledger) -> None:
    """The workspace fills its share of the host and every slot of the process but the one that is kept."""
    worker, large, small = Process(ledger, slots=8, host_slots=8), ledger.workspace(), ledger.workspace()
    for _ in range(8):
        opened(ledger, large, host="cdn.example")
    assert len(worker.claim_all()) == 4
    for _ in range(8):
        opened(ledger, large)
    assert len(worker.claim_all()) == 3
    one = opened(ledger, small, host="cdn.example")
    claimed = worker.claim()
    assert claimed is not None
    assert claimed.check.id == one.id


def test_uploads_and_music_need_no_slot(ledger: Ledger) -> None:
    [worker] = workers(ledger, 1)
    for _ in range(SLOTS):
        opened(ledger, ledger.workspace(), host="files.example")
        opened(ledger, ledger.workspace(), host="www.tiktok.com", purpose="music")
    assert len(worker.claim_all()) == SLOTS
    with ledger.database.begin() as c:
        assert not c.exec_driver_sql("SELECT * FROM host_slots").all()


def test_a_host_is_one_however_it_is_written(ledger: Ledger) -> None:
    [worker] = workers(ledger, 1)
    for host in ("CDN.example", "user@cdn.example", "cdn.example:443", "cdn.example.", "cdn.example.:443"):
        for _ in range(3):
            opened(ledger, ledger.workspace(), host=host)
    assert len(worker.claim_all()) == PER_HOST
