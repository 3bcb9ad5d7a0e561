"""What settled is counted by workspace, platform, hour and day, once, and old hours go."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from uuid import UUID

from adapters.errors import Rejected
from pipeline.actions import cancel_delete_retry as steer
from pipeline.store.database import new_id, rows
from pipeline.store.moves import MoveFacts
from pipeline.store.rollups import settled_counts
from pipeline.store.rollups.settled_counts import (
    ALL_WORKSPACES,
    DAY,
    HOUR,
    LATENESS,
    Span,
    add_settled,
    find_start,
    list_settled,
    rank_failed,
    read_counting,
)
from pipeline.webhooks.count_moves import fold_settled
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.maintenance.counted import export_all
from tests.pipeline.maintenance.test_export_moves import accept, delay, publish
from tests.pipeline.scripted_adapter import Script, raising
from tests.pipeline.store.plans import count_read

NOON = datetime(2026, 11, 27, 12, 34, 56, tzinfo=UTC)


def count(core: CoreFixture, workspaces: list[UUID] | None, minutes: int) -> Counter[tuple[str, str, str]]:
    with core.context.database.begin() as c:
        now = datetime.now(UTC)
        found = list_settled(c, workspaces, minutes, now - timedelta(days=2), now)
    counted = Counter[tuple[str, str, str]]()
    for one in found:
        counted[one.platform, one.kind, one.label] += one.n
    return counted


def test_what_settles_counts_once_for_its_workspace_and_for_all(core: CoreFixture) -> None:
    export_all(core)
    before = count(core, None, DAY)
    post = accept(core, accounts=3)
    delay(core, post, 4)
    publish(core, Script(), post, 0)
    publish(core, Script(finalize=raising(Rejected("no"))), post, 1)
    steer.cancel(core.context, core.caller, [post.id])
    export_all(core)
    export_all(core)
    for minutes in (HOUR, DAY):
        found = count(core, [core.workspace], minutes)
        late = {label: n for (_, kind, label), n in found.items() if kind == LATENESS}
        assert sum(late.values()) == 2
        assert {key: n for key, n in found.items() if key[1] != LATENESS} == {
            ("tiktok", "published", ""): 1,
            ("tiktok", "failed", "Rejected"): 1,
            ("tiktok", "cancelled", ""): 1,
        }
    after = count(core, None, DAY)
    after.subtract(before)
    assert +after == count(core, [core.workspace], DAY)
    with core.context.database.begin() as c:
        counting = read_counting(c)
    assert counting.since is not None
    assert counting.since <= counting.until


def make_move(core: CoreFixture, at: datetime) -> MoveFacts:
    return MoveFacts(
        id=1,
        at=at,
        mover="publish",
        origin="publishing",
        target="published",
        generation=0,
        fence=1,
        why=None,
        delivery_id=core.workspace,
        post_id=core.workspace,
        workspace_id=core.workspace,
        account_id=core.workspace,
        platform="tiktok",
        source="partner_api",
        request_id=None,
        due_at=at,
        reason=None,
        held_for=None,
        error=None,
        is_post=False,
        lateness=0.2,
        counts_lateness=False,
        read_at=NOON,
    )


def test_hours_that_are_not_kept_are_not_counted_and_days_are_those_of_utc(core: CoreFixture) -> None:
    assert find_start(NOON, HOUR) == datetime(2026, 11, 27, 12, tzinfo=UTC)
    assert find_start(NOON, DAY) == datetime(2026, 11, 27, tzinfo=UTC)
    old = fold_settled([make_move(core, NOON - timedelta(days=10))])
    assert {(span.minutes, span.kind) for span in old} == {(DAY, "published")}
    assert {span.workspace_id for span in old} == {core.workspace, ALL_WORKSPACES}


def test_old_rows_of_a_workspace_go_when_something_is_added(core: CoreFixture) -> None:
    now = datetime.now(UTC)
    ages = [(HOUR, timedelta(days=4)), (DAY, timedelta(days=4)), (DAY, timedelta(days=401))]
    old = {
        Span(core.workspace, minutes, find_start(now - age, minutes), "tiktok", "published", ""): 1
        for minutes, age in ages
    }
    with core.context.database.begin() as c:
        add_settled(c, old)
    with core.context.database.begin() as c:
        add_settled(c, {Span(core.workspace, HOUR, find_start(now, HOUR), "tiktok", "published", ""): 1})
        left = rows(
            c, "SELECT minutes, starts_at FROM settled_counts WHERE workspace_id = :w", w=core.workspace
        )
    assert {(r.minutes, now - r.starts_at > timedelta(days=3)) for r in left} == {(HOUR, False), (DAY, True)}


def test_a_page_reads_the_rows_of_its_workspaces_and_span_only(core: CoreFixture) -> None:
    core.run(
        """INSERT INTO settled_counts
               SELECT w, m, now() - make_interval(hours => h), 'tiktok', 'published', '', 1
               FROM generate_series(1, 60) h, unnest(ARRAY[60, 1440]) m,
                    (SELECT gen_random_uuid() AS w FROM generate_series(1, 100) UNION ALL SELECT :mine) x
              """,
        mine=core.workspace,
    )
    with core.context.database.once() as c:
        c.exec_driver_sql("VACUUM ANALYZE settled_counts")
    now = datetime.now(UTC)
    values = {"ids": [core.workspace], "minutes": HOUR, "since": now - timedelta(days=1), "until": now}
    assert 20 <= count_read(core.ledger, settled_counts._SETTLED, **values) <= 24
    assert 20 <= count_read(core.ledger, settled_counts._BY_WORKSPACE, **values, n=6) <= 24


def test_workspaces_are_ranked_by_what_failed_in_the_span_only(core: CoreFixture) -> None:
    now = datetime.now(UTC)
    first, second, quiet, other = (new_id() for _ in range(4))
    counts = {
        (first, 1, "failed", "Rejected"): 2,
        (first, 1, "published", ""): 1,
        (second, 1, "failed", "Rejected"): 2,
        (second, 2, "failed", "TooLate"): 1,
        (second, 1, LATENESS, "1.0"): 50,
        (second, 1, "cancelled", ""): 50,
        (first, 30, "failed", "Rejected"): 50,
        (quiet, 1, "published", ""): 9,
        (other, 1, "failed", "Rejected"): 99,
    }
    with core.context.database.begin() as c:
        add_settled(
            c,
            {
                Span(who, HOUR, find_start(now - timedelta(hours=h), HOUR), "tiktok", kind, label): n
                for (who, h, kind, label), n in counts.items()
            },
        )
        found = rank_failed(c, [first, second, quiet], HOUR, now - timedelta(hours=12), now, limit=3)
        assert [(one.workspace_id, one.failed, one.settled) for one in found] == [
            (second, 3, 3),
            (first, 2, 3),
            (quiet, 0, 9),
        ]
        assert len(rank_failed(c, [first, second], HOUR, now - timedelta(hours=12), now, limit=1)) == 1
        assert rank_failed(c, [], HOUR, now - timedelta(hours=12), now, limit=3) == []
