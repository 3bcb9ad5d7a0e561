"""A workspace is deleted: nothing of it goes out twice or is forgotten, and nothing but hashes and dates is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest

from adapters.errors import CredentialsRevoked, Unavailable
from pipeline.actions.delete_workspace import close
from pipeline.domain.account import Role
from pipeline.domain.delivery import State
from pipeline.maintenance import JOBS
from pipeline.maintenance.erasure import SHARED, erase_restored, erase_workspaces
from pipeline.media.storage import ObjectMissing, StorageUnavailable
from pipeline.recovery import restore
from pipeline.recovery.restore import Acceptance
from pipeline.stages import delay
from pipeline.stages.publish import publish
from pipeline.store.auth import users
from pipeline.store.auth.keys import create_key, find_caller, read_caller
from pipeline.store.database import new_id, row, rows
from pipeline.store.deletions import Deletion, DeletionState, list_deletions
from pipeline.store.deliveries.pauses import lift
from pipeline.store.imports import imports
from tests.actors import TESTER
from tests.backups import back_up_rows, restore_rows
from tests.crash_table import Crashes
from tests.pipeline.core_fixture import CoreFixture, make_core, open_core
from tests.pipeline.maintenance.test_expire_files import uploaded
from tests.pipeline.scripted_adapter import Script, raising, with_script
from tests.pipeline.store.ledger import together

SECRET = "zanzibar"
"""A word of every caption and name: it is looked for in every row."""
STAYS = {"deletions", "tombstones", "receipts", "receipt_heads", "audit"}
"""Tables that keep the id of a deleted workspace."""


@pytest.fixture
def script() -> Script:
    return Script()


@pytest.fixture
def core(environment: dict[str, str], vault_key: str, script: Script) -> Iterator[CoreFixture]:
    """A workspace on a database of this test's own."""
    with open_core(environment, vault_key, lambda context: with_script(context, script)) as made:
        made.decided()
        yield made


def deletion(core: CoreFixture, workspace: UUID | None = None) -> Deletion:
    with core.context.database.begin() as c:
        [found] = list_deletions(c, str(workspace or core.workspace))
    return found


def work(core: CoreFixture) -> Deletion:
    """Let the readers of the moves and the deletions run, until the deletion has to wait for something else."""
    for _ in range(3):
        erase_workspaces(core.context)
        for reader in ("receipts", "export", "texts"):
            JOBS[reader](core.context)
    erase_workspaces(core.context)
    return deletion(core)


PARTS = (
    "INSERT INTO account_groups (id, workspace_id, name, account_ids) VALUES (:id, :w, :said, '{}') RETURNING id",
    "INSERT INTO file_puts (object, file_id, begun_at) VALUES (:said, :file, now() - interval '1d') RETURNING 1 AS n",
    "INSERT INTO part_uploads (file_id, user_id, size, modified) VALUES (:file, :user, 9, 1) RETURNING size",
    "INSERT INTO upload_parts (file_id, first, size, object) VALUES (:file, 0, 4, :said) RETURNING size",
)
"""A group of accounts, and a file of which a part is there."""


def furnish(core: CoreFixture) -> list[str]:
    """Give the workspace something in every table that a user can fill; return words that may not be left."""
    file = uploaded(core)
    posts = [
        core.accept(caption=f"{SECRET} {n}", external_id=f"{SECRET}-{n}", first_comment=SECRET).id
        for n in range(3)
    ]
    live = core.ledger.post([core.accounts["one"]], State.PUBLISHED)
    core.run("UPDATE posts SET external_id = :e WHERE id = :id", e=f"{SECRET}-live", id=live.id)
    core.run("UPDATE attempts SET armed_at = now() WHERE delivery_id = :id", id=live.deliveries[0])
    with core.context.database.begin() as c:
        create_key(c, core.workspace, SECRET)
        user = users.create_user(c, "ann", "x")
        users.set_role(c, user, core.workspace, Role.ADMIN)
        kept = new_id()
        options = {"name": SECRET, "strict": False, "updates": False, "time_zone": "UTC"}
        imports.begin_upload(c, core.caller, kept, "of-it", **options)
        assert imports.finish_upload(c, kept, size=1, sha256=bytes(32), format_="csv")
        rows(
            c,
            """INSERT INTO unsent_forms (id, user_id, workspace_id, version, tab, fields)
               VALUES (:id, :user, :w, 1, :id, jsonb_build_object('a', CAST(:said AS text))) RETURNING id""",
            id=new_id(),
            user=user,
            w=core.workspace,
            said=SECRET,
        )
        for sql in PARTS:
            row(c, sql, file=file.id, user=user, w=core.workspace, said=SECRET, id=new_id())
    JOBS["texts"](core.context)
    return [SECRET, file.object or "", *map(str, [core.workspace, core.accounts["one"], live.id, *posts])]


def list_traces(core: CoreFixture, words: list[str]) -> dict[str, list[str]]:
    """Return the tables with a row that has one of these words, and the words."""
    found: dict[str, list[str]] = {}
    with core.context.database.begin() as c:
        tables = rows(c, "SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'")
        for table in tables:
            for word in words:
                sql = f"SELECT 1 AS one FROM {table.name} t WHERE strpos(t::text, :word) > 0 LIMIT 1"  # noqa: S608
                if row(c, sql, word=word):
                    found.setdefault(table.name, []).append(word)
    return found


def test_nothing_is_left_but_hashes_and_dates_and_other_workspaces_keep_theirs(
    core: CoreFixture, script: Script
) -> None:
    words, other = furnish(core), core.ledger.fresh()
    assert len(list_traces(core, [str(core.workspace)])) > 10, "the scan finds what there is"
    assert close(core.context, TESTER, core.workspace)
    assert not close(core.context, TESTER, core.workspace), "it is deleted once"
    with core.context.database.begin() as c:
        assert not lift(c, "workspace", str(core.workspace)), "its pause stays until the end"
    ended = work(core)
    assert (ended.state, ended.counted["posts"]["scheduled"]) == (DeletionState.DONE, 3)
    assert (ended.erased["posts"], ended.erased["objects"]) == (4, 3)
    assert [g["outcome"] for g in ended.grants.values()] == ["revoked"]
    assert script.made("revoke") == 1
    left = list_traces(core, words)
    assert left.keys() <= STAYS, left
    assert not [t for t, found in left.items() if SECRET in found]
    with core.context.database.begin() as c:
        [live] = rows(c, "SELECT * FROM tombstones WHERE state = 'published'")
        assert len(rows(c, "SELECT 1 AS one FROM tombstones")) == 4
        assert len(rows(c, "SELECT 1 AS one FROM receipts")) == 3, "what was canceled for it has its receipt"
    assert (len(live.repeat_sha256), len(live.remote_sha256)) == (32, 32)
    assert core.ledger.states(other) == [State.SCHEDULED]


def test_who_acts_for_it_is_refused_at_once(core: CoreFixture) -> None:
    with core.context.database.begin() as c:
        key = create_key(c, core.workspace, "k")
    close(core.context, TESTER, core.workspace)
    with core.context.database.begin() as c:
        caller = find_caller(c, key)
        assert caller is not None
        assert caller.is_closed
        assert read_caller(c, core.workspace, None) is None, "its jobs fail"


def test_what_is_or_may_be_live_settles_first_and_what_comes_late_never_goes_out(core: CoreFixture) -> None:
    armed, waiting = (core.ledger.post([core.accounts["one"]]) for _ in range(2))
    held = core.ledger.armed(armed)
    close(core.context, TESTER, core.workspace)
    late = core.ledger.post([core.accounts["one"]])  # of a request that had begun before
    delay.release_due(core.context)
    assert publish(core.context, late.deliveries[0], 0) is None
    found = work(core)
    assert found.state == DeletionState.CLOSING
    assert core.ledger.states(waiting) == core.ledger.states(late) == [State.CANCELLED]
    assert core.ledger.states(armed) == [State.PUBLISHING]
    core.ledger.change(
        held.id, "state = 'published', published_at = now(), remote_id = 'r', lease_until = NULL"
    )
    assert work(core).state == DeletionState.DONE


def test_a_grant_that_another_workspace_has_is_kept_and_a_silent_platform_is_asked_again(
    core: CoreFixture, script: Script
) -> None:
    shared, ended = core.account("shared"), core.account("ended")
    other = core.ledger.account(core.ledger.workspace())
    core.run(
        "UPDATE accounts SET remote_id = (SELECT remote_id FROM accounts WHERE id = :a) WHERE id = :b",
        a=shared,
        b=other,
    )
    answers: list[Callable[..., Any]] = [
        raising(Unavailable("no")),
        raising(CredentialsRevoked("dead")),
        lambda: True,
    ]
    script.revoke = lambda: bool(answers.pop(0)())
    close(core.context, TESTER, core.workspace)
    grants = work(core).grants
    assert {a: g["outcome"] for a, g in grants.items()} == {
        str(core.accounts["one"]): "ended before",
        str(shared): SHARED,
        str(ended): "revoked",
    }
    assert grants[str(core.accounts["one"])]["tries"] == 2


def test_a_new_workspace_of_the_name_repeats_nothing_that_went_out_and_has_other_ids_of_its_own(
    core: CoreFixture,
) -> None:
    furnish(core)
    remote = "(SELECT remote_id FROM accounts WHERE workspace_id = :w)"
    with core.context.database.begin() as c:
        remote_id = row(c, f"SELECT {remote} AS id", w=core.workspace).id  # type: ignore[union-attr]
    close(core.context, TESTER, core.workspace)
    assert work(core).state == DeletionState.DONE
    again = make_core(core.context, core.ledger)
    again.account("one")
    again.decided()
    core.run("UPDATE accounts SET remote_id = :r WHERE id = :id", r=remote_id, id=again.accounts["one"])
    refusal = again.refused(caption="other", external_id=f"{SECRET}-live")
    assert (refusal.status, refusal.code) == (409, "create_failed")
    assert "a workspace that was deleted" in refusal.message
    assert again.accept(external_id=f"{SECRET}-0").status == "pending", (
        "it was canceled, so it never went out"
    )


def test_a_restored_backup_is_erased_again_before_it_is_accepted(core: CoreFixture, script: Script) -> None:
    words = furnish(core)
    guard = core.context.send_guard
    assert guard.epoch_file is not None
    assert guard.may_send()
    back_up_rows(core.context.database)
    close(core.context, TESTER, core.workspace)
    assert work(core).state == DeletionState.DONE
    assert guard.epoch_file.list_deleted() == {core.workspace: True}
    restore_rows(core.context.database)
    assert len(list_traces(core, words)) > 10
    guard._valid_until = float("-inf")
    assert not guard.may_send()
    erase_workspaces(core.context)
    assert erase_restored(core.context, TESTER, guard.epoch_file) == []
    assert deletion(core).state == DeletionState.DONE
    assert list_traces(core, words).keys() <= STAYS
    assert restore.accept(core.context, TESTER, guard.epoch_file, Acceptance()) == []
    assert script.made("revoke") == 1, "the grant may be another client's by now"


def test_two_deletions_at_once_and_two_workers_of_one_end_both(core: CoreFixture, script: Script) -> None:
    other = make_core(core.context, core.ledger)
    other.account("one")
    for one in (core, other):
        one.ledger.posts(30, [one.accounts["one"]])
    together(*(lambda w=one.workspace: close(core.context, TESTER, w) for one in (core, other, other)))
    together(*[lambda: work(core)] * 3)
    work(core)
    assert [deletion(core, one.workspace).state for one in (core, other)] == [DeletionState.DONE] * 2
    assert deletion(core).erased["posts"] == deletion(core, other.workspace).erased["posts"] == 30
    assert script.made("revoke") == 2


def test_files_wait_for_a_storage_that_is_away_and_for_an_upload_that_may_still_write(
    core: CoreFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = uploaded(core)
    core.run("INSERT INTO file_puts (object, file_id) SELECT 'late', id FROM files")
    close(core.context, TESTER, core.workspace)
    monkeypatch.setattr(core.context.files.storage, "remove", raising(StorageUnavailable("away")))
    assert work(core).state == DeletionState.ERASING
    monkeypatch.undo()
    assert work(core).state == DeletionState.ERASING
    core.run("UPDATE file_puts SET begun_at = now() - interval '2 days'")
    assert work(core).state == DeletionState.DONE
    with pytest.raises(ObjectMissing):
        core.context.files.storage.open(file.object or "", 0, 1)


def test_a_deletion_whose_worker_dies_anywhere_goes_on_and_ends(
    core: CoreFixture, environment: dict[str, str], crashes: Crashes
) -> None:
    core.context.liveness.set_marker()
    words = furnish(core)
    environment = environment | {"SLIPWAY_SANDBOX__URL": "http://127.0.0.1:9"}
    [closed, *points] = crashes.points
    crashes.crash(environment, closed, "close_scripted", str(core.workspace))
    for point in points:
        for reader in ("receipts", "export", "texts"):
            JOBS[reader](core.context)
        core.run("UPDATE deletions SET lease_until = NULL")
        crashes.crash(environment, point, "delete_scripted")
        if point == "deletion.cancelled":  # the next steps find all settled
            core.run("UPDATE deletions SET lease_until = NULL")
            erase_workspaces(core.context)
    assert deletion(core).state == DeletionState.DONE
    assert deletion(core).erased["posts"] == 4
    assert list_traces(core, words).keys() <= STAYS
