"""Claims of checks: order of due times, shares of workspaces and hosts, one claim each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest

from pipeline.domain.shares import Shares
from pipeline.limits.shared_slots import SharedSlots
from pipeline.store.checks import checks as store
from pipeline.store.checks.checks import Check
from pipeline.store.checks.claim import ClaimedCheck, HostLimit, claim_next_check
from pipeline.store.database import new_id
from tests.pipeline.store.ledger import Ledger, together

LEASE = timedelta(minutes=3)
NOW = datetime.now(UTC)
MINUTE = timedelta(minutes=1)
SLOTS = 16
SHARE, KEPT = 4, 2


class Process:
    """A process with slots of its own that claims from the ledger."""

    def __init__(
        self,
        ledger: Ledger,
        slots: int = SLOTS,
        shared_hosts: frozenset[str] = frozenset(),
        host_slots: int = SLOTS,
    ) -> None:
        self._claim = partial(claim, ledger, host_slots)
        self.slots: SharedSlots[ClaimedCheck] = SharedSlots(slots, shared_hosts)

    def claim(self, *, slow_first: bool = False) -> ClaimedCheck | None:
        return self.slots.claim(self._claim, slow_first=slow_first)

    def claim_all(self) -> list[ClaimedCheck]:
        return list(self._claims())

    def _claims(self) -> Iterator[ClaimedCheck]:
        while claimed := self.claim():
            yield claimed


def claim(ledger: Ledger, host_slots: int, shares: Shares, slow: bool) -> ClaimedCheck | None:
    return ledger.do(claim_next_check, LEASE, shares, HostLimit(slots=host_slots, hold=LEASE), slow=slow)


@pytest.fixture
def process(ledger: Ledger) -> Process:
    return Process(ledger)


def opened(
    ledger: Ledger,
    workspace: UUID,
    *,
    due: datetime | None = None,
    host: str | None = None,
    purpose: store.Purpose = "video",
) -> Check:
    where = f"https://{host or new_id()}/{new_id()}.mp4"
    return ledger.do(store.open_check, workspace, purpose, where, due)


def test_checks_come_in_the_order_of_their_due_times(ledger: Ledger, process: Process) -> None:
    workspace = ledger.workspace()
    late, soon, now = (opened(ledger, workspace, due=NOW + n * MINUTE).id for n in (9, 5, 0))
    assert [one.check.id for one in process.claim_all()] == [now, soon, late]


def test_a_check_is_due_with_the_earliest_post_that_waits_for_it(ledger: Ledger, process: Process) -> None:
    workspace = ledger.workspace()
    first = opened(ledger, workspace, due=NOW + MINUTE).id
    with ledger.database.begin() as c:
        far = store.open_check(c, workspace, "video", "https://far.example/v.mp4", NOW + 9 * MINUTE)
        same = store.open_check(c, workspace, "video", "https://far.example/v.mp4", NOW)
    assert same.id == far.id
    assert [one.check.id for one in process.claim_all()] == [far.id, first]


def test_a_workspace_gets_all_but_the_kept_slots_while_no_other_waits(
    ledger: Ledger, process: Process
) -> None:
    workspace = ledger.workspace()
    for _ in range(SLOTS):
        opened(ledger, workspace)
    assert len(process.claim_all()) == SLOTS - KEPT
    assert process.claim() is None, "the last slots are for workspaces that have none"
    [other] = [opened(ledger, ledger.workspace(), due=NOW + MINUTE)]
    claimed = process.claim()
    assert claimed is not None
    assert claimed.check.id == other.id


def test_a_workspace_gets_a_quarter_of_the_slots_while_others_wait(ledger: Ledger, process: Process) -> None:
    greedy, others = ledger.workspace(), [ledger.workspace() for _ in range(3)]
    for _ in range(SLOTS):
        opened(ledger, greedy, due=NOW - MINUTE)
    for workspace in others:
        for _ in range(SLOTS):
            opened(ledger, workspace, due=NOW)
    order = [claimed.workspace_id for claimed in process.claim_all()]
    assert set(order[:4]) == {greedy, *others}, "one each first"
    assert order[4:7] == [greedy] * (SHARE - 1), "then in the order of due times, up to the share"
    assert order.count(greedy) == SHARE
    assert len(order) == SLOTS - KEPT


def test_a_freed_slot_goes_to_the_workspace_below_its_share(ledger: Ledger, process: Process) -> None:
    greedy, modest = ledger.workspace(), ledger.workspace()
    for _ in range(2 * SLOTS):
        opened(ledger, greedy, due=NOW - MINUTE)
    held = process.claim_all()
    waiting = {opened(ledger, modest).id for _ in range(SHARE)}
    claimed = {one.check.id for one in process.claim_all()}
    for one in held[: SHARE + KEPT]:
        process.slots.release(one)
        claimed |= {one.check.id for one in process.claim_all()}
    assert waiting <= claimed


def test_a_host_gets_a_quarter_of_the_slots_while_other_hosts_wait(ledger: Ledger, process: Process) -> None:
    for _ in range(SLOTS):
        opened(ledger, ledger.workspace(), host="one.example", due=NOW - MINUTE)
    for _ in range(SHARE):
        opened(ledger, ledger.workspace(), host="user@other.example", due=NOW)
    hosts = [claimed.host for claimed in process.claim_all()]
    assert hosts[: 2 * SHARE] == ["one.example"] * SHARE + ["other.example"] * SHARE
    assert len(hosts) == SLOTS - KEPT, "no slot is idle for a share that no one else wants"


def test_a_busy_host_does_not_put_one_workspace_behind_another(ledger: Ledger, process: Process) -> None:
    large, small = ledger.workspace(), ledger.workspace()
    for _ in range(2 * SLOTS):
        opened(ledger, large, host="cdn.example", due=NOW - MINUTE)
    held = process.claim_all()
    one = opened(ledger, small, host="cdn.example")
    for claimed in held[: KEPT + 1]:
        process.slots.release(claimed)
    claimed_next = process.claim()
    assert claimed_next is not None
    assert claimed_next.check.id == one.id


def test_hosts_of_ours_and_of_music_have_no_share(ledger: Ledger) -> None:
    process = Process(ledger, shared_hosts=frozenset({"files.example"}))
    for _ in range(SLOTS):
        opened(ledger, ledger.workspace(), host="files.example")
        opened(ledger, ledger.workspace(), host="www.tiktok.com", purpose="music")
    assert len(process.claim_all()) == SLOTS


def test_slow_checks_take_few_slots_and_only_when_no_other_is_due(ledger: Ledger, process: Process) -> None:
    workspace = ledger.workspace()
    checks = [opened(ledger, workspace) for _ in range(SLOTS)]
    with ledger.database.begin() as c:
        for check in checks:
            store.move_to_slow_lane(c, check.id)
    quick = opened(ledger, workspace, due=NOW + MINUTE)
    order = [one.check for one in process.claim_all()]
    assert order[0].id == quick.id
    assert [one.slow for one in order] == [False] + [True] * KEPT


def test_after_its_first_check_a_slot_takes_a_slow_one_first(ledger: Ledger, process: Process) -> None:
    workspace = ledger.workspace()
    slow = opened(ledger, workspace)
    ledger.do(store.move_to_slow_lane, slow.id)
    opened(ledger, workspace)
    claimed = process.claim(slow_first=True)
    assert claimed is not None
    assert claimed.check.id == slow.id


def test_a_slow_check_is_counted_though_its_first_slot_is_freed_after_its_second_claim(
    ledger: Ledger, process: Process
) -> None:
    workspace = ledger.workspace()
    checks = [opened(ledger, workspace) for _ in range(KEPT + 1)]
    first = process.claim()
    assert first is not None
    with ledger.database.begin() as c:
        for check in checks:
            store.move_to_slow_lane(c, check.id)
    claimed = process.claim_all()
    process.slots.release(first)
    assert len(claimed) == KEPT
    assert process.claim() is None


def test_shares_hold_over_processes_that_claim_at_once(ledger: Ledger) -> None:
    processes = [Process(ledger, slots=8) for _ in range(4)]
    greedy, others = ledger.workspace(), [ledger.workspace() for _ in range(8)]
    for workspace in (greedy, *others):
        for _ in range(20):
            opened(ledger, workspace)
    claimed = [one for found in together(*[p.claim_all for p in processes]) for one in found]
    assert len({one.check.id for one in claimed}) == len(claimed)
    assert len(claimed) >= 4 * 7
    assert sum(one.workspace_id == greedy for one in claimed) <= 4 * 2


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_a_process_with_few_slots_runs_one_check_at_least(ledger: Ledger, slots: int) -> None:
    process, workspace = Process(ledger, slots), ledger.workspace()
    for _ in range(4):
        opened(ledger, workspace)
    assert len(process.claim_all()) >= 1


def test_of_sixteen_workers_one_takes_a_check(ledger: Ledger) -> None:
    for _ in range(5):
        opened(ledger, ledger.workspace())
        claims = together(*[Process(ledger).claim] * 16)
        assert len([one for one in claims if one is not None]) == 1


def test_a_check_under_lease_or_postponed_is_not_claimed(ledger: Ledger, process: Process) -> None:
    workspace = ledger.workspace()
    check = opened(ledger, workspace)
    claimed = process.claim()
    assert claimed is not None
    assert (claimed.check.id, claimed.check.tries) == (check.id, 1)
    assert process.claim() is None
    with ledger.database.begin() as c:
        c.exec_driver_sql("UPDATE checks SET lease_until = now() - interval '1 s'")
    assert process.claim() is not None, "its worker died"
    ledger.do(store.postpone_check, check.id, MINUTE, "no answer")
    assert process.claim() is None
    ledger.do(store.open_check, workspace, "video", check.url)
    assert process.claim() is not None, "a new request has it tried at once"


class Overtaken:
    """A lock that is had only after another claim, which found nothing."""

    def __init__(self, claim_before: Callable[[], object]) -> None:
        self._claims_before = [claim_before]

    def __enter__(self) -> None:
        while self._claims_before:
            self._claims_before.pop()()

    def __exit__(self, *_: object) -> None:
        pass


def test_a_call_that_waits_for_a_claim_which_finds_nothing_finds_nothing_too(
    ledger: Ledger, process: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A burst of messages costs one claim, not one each; a later call, or a freed slot, asks again."""
    calls = []

    def find_nothing(_: Shares, slow: bool) -> None:
        calls.append(slow)

    monkeypatch.setattr(process.slots, "_lock", Overtaken(lambda: process.slots.claim(find_nothing)))
    assert process.slots.claim(find_nothing) is None
    assert calls == [False, True], "one claim, of each lane"
    opened(ledger, ledger.workspace())
    assert process.claim() is not None


def test_a_claim_reads_no_further_than_it_takes(ledger: Ledger, process: Process) -> None:
    """Behind 20,000 checks of one workspace another one's is found by the index, not by reading them."""
    greedy = ledger.workspace()
    with ledger.database.begin() as c:
        c.exec_driver_sql(
            """INSERT INTO checks (id, workspace_id, purpose, url, url_sha256, due_at)
               SELECT gen_random_uuid(), %(w)s, 'video', 'https://h' || n || '.example/v.mp4',
                      sha256(n::text::bytea), now() - interval '1 hour'
               FROM generate_series(1, 20000) n""",
            {"w": greedy},
        )
        before = c.exec_driver_sql(
            "SELECT pg_stat_get_tuples_fetched('checks_by_due'::regclass)"
        ).scalar_one()
    one = opened(ledger, ledger.workspace())
    assert one.id in {claimed.check.id for claimed in (process.claim(), process.claim()) if claimed}
    with ledger.database.engine.connect() as c:
        c.exec_driver_sql("SELECT pg_stat_force_next_flush()")
        after = c.exec_driver_sql("SELECT pg_stat_get_tuples_fetched('checks_by_due'::regclass)").scalar_one()
    assert after - before < 1000
