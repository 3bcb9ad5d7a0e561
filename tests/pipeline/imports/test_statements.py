"""Statements about imports change the one that they name, and only where it is what the caller saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.bulk_import import ImportState, RowVerdict
from pipeline.store import jobs
from pipeline.store.database import new_id, rows
from pipeline.store.imports import imports
from pipeline.store.imports import rows as store
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.imports.row_imports import find_import, upload_rows
from tests.pipeline.store.ledger import LEASE


def begin(core: CoreFixture) -> UUID:
    """Record an upload that is under way."""
    identity, options = new_id(), {"encoding": None, "strict": False, "updates": False, "time_zone": "UTC"}
    with core.context.database.begin() as c:
        imports.begin_upload(c, core.caller, identity, f"imports/{identity}", name="posts.csv", **options)
    return identity


def read(core: CoreFixture, *identities: UUID) -> Sequence[Any]:
    with core.context.database.begin() as c:
        found = {r.id: tuple(r) for r in rows(c, "SELECT * FROM imports")}
    return [found.get(identity) for identity in identities]


def test_an_upload_is_finished_once_and_then_not_forgotten(core: CoreFixture) -> None:
    first, second, third = begin(core), begin(core), begin(core)
    before = read(core, second, third)
    with core.context.database.begin() as c:
        assert imports.find_import(c, core.caller, first) is None, "it is not visible yet"
        assert jobs.claim(c, imports.JOBS, first, LEASE) is None, "and no work"
        assert imports.finish_upload(c, first, size=7, sha256=b"1" * 32, format_="csv")
    finished = read(core, first)
    with core.context.database.begin() as c:
        assert not imports.finish_upload(c, first, size=8, sha256=b"2" * 32, format_="csv")
        imports.forget_upload(c, first)
        imports.mark_removed(c, second)
    assert read(core, first, second, third) == [*finished, *before]
    with core.context.database.begin() as c:
        imports.forget_upload(c, second)
        imports.mark_removed(c, first)
    assert read(core, second, third) == [None, before[1]]
    assert find_import(core, first).removed_at is not None


def test_what_becomes_of_an_import_leaves_the_others(core: CoreFixture) -> None:
    core.account("one")
    mine, other = upload_rows(core, 1), upload_rows(core, 1)
    [before] = read(core, other)
    assert find_import(core, mine).id == mine
    with core.context.database.begin() as c:
        imports.mark_removed(c, mine)
    assert read(core, other) == [before]


def test_a_step_is_locked_where_it_was_claimed(core: CoreFixture) -> None:
    core.account("one")
    claimed = find_import(core, upload_rows(core, 1))
    moved = (
        replace(claimed, id=new_id()),
        replace(claimed, state=ImportState.PLANNED),
        replace(claimed, position=claimed.position + 1),
        replace(claimed, done=claimed.done + 1),
    )
    with core.context.database.begin() as c:
        assert not any(imports.lock_step(c, one) for one in moved)
        assert imports.lock_step(c, claimed)


def test_a_repeat_gets_the_post_of_the_first_row_of_its_file(core: CoreFixture) -> None:
    """Beside it stand a row of its own, one without an identity, and the same identity in a later file."""
    mine, later, posts = begin(core), begin(core), [new_id(), new_id()]
    found = [("a", posts[0]), ("a", None), ("b", None), (None, None)]
    with core.context.database.begin() as c:
        for identity, first in ((mine, found), (later, [("a", posts[1])])):
            made = [row_of(n, name, post) for n, (name, post) in enumerate(first, 1)]
            store.store_rows(c, identity, made)
        store.link_repeats(c, mine, [2, 4])
        assert [r.post_id for r in store.list_rows(c, mine, None, 0, 9)] == [posts[0], posts[0], None, None]
        assert [r.post_id for r in store.list_rows(c, later, None, 0, 9)] == [posts[1]]
        assert store.delete_rows(c, mine, 3) == 3
        assert [r.number for r in store.list_rows(c, mine, None, 0, 9)] == [4]
        assert [r.number for r in store.list_rows(c, later, None, 0, 9)] == [1]


def row_of(number: int, identity: str | None, post: UUID | None) -> store.RowRecord:
    return store.RowRecord(
        number=number, line=number, verdict=RowVerdict.ACCEPTED, identity=identity, post_id=post
    )


def test_tokens_of_rows_are_released_in_their_workspace(core: CoreFixture) -> None:
    core.account("one")
    core.decided()
    other, post = core.ledger.workspace(), core.accept(external_id="3").id
    all_of = (
        "SELECT w, t, :post, now(), '' FROM unnest(CAST(:both AS uuid[])) w, unnest(CAST(:rows AS text[])) t"
    )
    values = {"post": post, "both": [core.workspace, other], "rows": ["row:1", "row:2"]}
    core.run(
        f"INSERT INTO replays (workspace_id, token, post_id, created_at, fingerprint) {all_of}", **values
    )
    with core.context.database.begin() as c:
        store.release_tokens(c, core.workspace, ["row:1", "id:3"], [new_id()])
        assert read_tokens(c, post)[core.workspace, "row:1"] is False, "another post has them"
        store.release_tokens(c, core.workspace, ["row:1", "id:3"], [post])
        left = read_tokens(c, post)
    mine = {(core.workspace, "row:2"): False, (core.workspace, "id:3"): True}
    assert left == {**mine, (other, "row:1"): False, (other, "row:2"): False}


def read_tokens(c: Connection, post: UUID) -> dict[tuple[UUID, str], bool]:
    found = rows(c, "SELECT * FROM replays WHERE post_id = :p", p=post)
    return {(r.workspace_id, r.token): r.released for r in found}
