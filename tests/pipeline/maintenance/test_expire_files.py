"""Uploaded files are removed once nothing needs them; abandoned uploads too."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from pipeline.domain.delivery import State
from pipeline.maintenance.expire import expire_files
from pipeline.media.storage import FolderStorage, ObjectMissing
from pipeline.store.checks import checks
from pipeline.store.database import new_id, row
from pipeline.store.files import files as store
from tests.pipeline.core_fixture import GOOD_VIDEO, CoreFixture


def uploaded(core: CoreFixture, age: str = "31 days") -> store.File:
    """Add a file that was stored this long ago."""
    files, key = core.context.files, new_id().hex
    name = files.addresses.create_name("video/mp4")
    sink = files.storage.begin(key)
    sink.write(b"bytes")
    sink.finish()
    with core.context.database.begin() as c:
        identity = store.open_file(
            c,
            workspace=core.workspace,
            key=None,
            name=name,
            url=files.addresses.public_url(name),
            content_type="video/mp4",
            filename=None,
        )
        store.begin_put(c, identity, key)
        file = store.find_upload(c, identity)
        assert file is not None
        assert store.finish_put(c, file, store.Content(object=key, size=5, sha256=bytes(32)), 0) == "stored"
    back(core, "files", "stored_at", age, "id", str(identity))
    return replace(file, object=key)


def back(core: CoreFixture, table: str, column: str, age: str, by: str, value: str) -> None:
    """Set a time of a row back by an interval."""
    with core.context.database.engine.begin() as c:
        sql = f"UPDATE {table} SET {column} = now() - '{age}'::interval WHERE {by} = %s"  # noqa: S608
        c.exec_driver_sql(sql, (value,))


def used(core: CoreFixture, file: store.File, state: State, age: str = "31 days") -> UUID:
    """Add a post of this file with one delivery in this state, checked that long ago."""
    with core.context.database.begin() as c:
        check = checks.open_check(c, core.workspace, "video", file.url)
        row(
            c,
            """UPDATE checks SET verdict = 'good', facts = CAST(:f AS jsonb),
                      decided_at = now() - CAST(:age AS interval) WHERE id = :id RETURNING id""",
            f=json.dumps(GOOD_VIDEO),
            age=age,
            id=check.id,
        )
    post = core.ledger.post([core.accounts["one"]], state, checks={0: check.id})
    return post.id


def there(core: CoreFixture, file: store.File) -> bool:
    """Return True if the file is usable, after asserting that its row and its bytes exist or are gone together."""
    with core.context.database.begin() as c:
        found = store.find_own(c, core.workspace, file.name)
        known = row(c, "SELECT id FROM files WHERE id = :id", id=file.id)
    assert file.object is not None
    if found is None:
        assert known is None
        with pytest.raises(ObjectMissing):
            core.context.files.storage.open(file.object, 0, 1)
        return False
    part = core.context.files.storage.open(file.object, 0, 5)
    assert part.read(5) == b"bytes"
    part.close()
    return True


def test_an_old_file_goes_unless_its_own_workspace_needs_it(core: CoreFixture) -> None:
    old, deleted, elsewhere, used_lately, being_checked = (uploaded(core) for _ in range(5))
    young = uploaded(core, "29 days")
    by_state = {state: uploaded(core) for state in State}
    for state, file in by_state.items():
        used(core, file, state)
    back(core, "posts", "deleted_at", "1 day", "id", str(used(core, deleted, State.SCHEDULED)))
    used(core, used_lately, State.PUBLISHED, age="29 days")
    with core.context.database.begin() as c:
        checks.open_check(c, core.workspace, "video", being_checked.url)
        checks.open_check(c, core.ledger.workspace(), "video", elsewhere.url)
    settled = {State.PUBLISHED, State.FAILED, State.CANCELLED}
    assert expire_files(core.context) == 3 + len(settled)
    assert [there(core, file) for file in (old, deleted, elsewhere)] == [False] * 3
    assert [there(core, file) for file in (young, used_lately, being_checked)] == [True] * 3
    assert {state for state, file in by_state.items() if not there(core, file)} == settled
    assert expire_files(core.context) == 0


def test_storage_that_is_away_leaves_the_row_for_the_next_time(core: CoreFixture, tmp_path: Path) -> None:
    file = uploaded(core)
    away = replace(
        core.context, files=replace(core.context.files, storage=FolderStorage(tmp_path / "nowhere"))
    )
    assert expire_files(away) == 0
    with core.context.database.begin() as c:
        assert row(c, "SELECT id FROM files WHERE id = :id", id=file.id) is not None
        assert store.find_own(c, core.workspace, file.name) is None, "nobody may use it from now on"
    assert expire_files(core.context) == 1
    assert not there(core, file)


def test_uploads_that_never_came_go_after_a_day_and_an_upload_under_way_does_not(core: CoreFixture) -> None:
    waiting = [_waiting(core) for _ in range(3)]
    old, begun, _young = waiting
    for one in (old, begun):
        back(core, "files", "created_at", "2 days", "id", str(one))
    with core.context.database.begin() as c:
        store.begin_put(c, begun, "x/begun")
    assert expire_files(core.context) == 1
    with core.context.database.begin() as c:
        assert [store.find_upload(c, one) is not None for one in waiting] == [False, True, True]


def test_what_was_given_up_can_no_longer_be_finished(core: CoreFixture) -> None:
    identity = _waiting(core)
    with core.context.database.begin() as c:
        store.begin_put(c, identity, "x/late")
        file = store.find_upload(c, identity)
    assert file is not None
    core.context.settings.files_folder.mkdir()
    back(core, "file_puts", "begun_at", "2 days", "object", "x/late")
    assert expire_files(core.context) == 1
    with core.context.database.begin() as c:
        content = store.Content(object="x/late", size=5, sha256=bytes(32))
        assert store.finish_put(c, file, content, 0) == "gone"


def _waiting(core: CoreFixture) -> UUID:
    name = core.context.files.addresses.create_name("video/mp4")
    with core.context.database.begin() as c:
        return store.open_file(
            c,
            workspace=core.workspace,
            key=None,
            name=name,
            url=core.context.files.addresses.public_url(name),
            content_type="video/mp4",
            filename=None,
        )
