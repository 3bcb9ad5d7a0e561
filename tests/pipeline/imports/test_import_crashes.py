"""Crashes in every step of an import: the next step, dispatched by maintenance, goes on from the last commit."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from pipeline.api.posts.schema import build_post_format
from pipeline.broker.queues import IMPORTS
from pipeline.domain.bulk_import import WORKING, ImportState
from pipeline.imports import control
from pipeline.imports.step import run_step
from pipeline.maintenance.expire import expire_imports
from pipeline.maintenance.rescue_expired_leases import redispatch_imports
from pipeline.store.auth.keys import create_key
from pipeline.store.database import rows
from pipeline.store.imports import imports as store
from pipeline.store.imports.imports import Import
from tests.crash_table import Crashes, get_points
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.imports.row_imports import find_import, upload_rows, write_rows

POSTS = 3
PHASES = {
    ImportState.READING: ("imports.claimed", "imports.read", "imports.rows-stored", "imports.planned"),
    ImportState.APPLYING: ("imports.edited", "imports.posts-stored", "imports.applied"),
    ImportState.ROLLING_BACK: ("imports.rolling-back", "imports.rolled-back"),
}
"""The state in which a step reaches each failpoint."""


@pytest.fixture
def core(alone: CoreFixture) -> CoreFixture:
    """A workspace that is alone, and no file in storage."""
    folder = alone.context.settings.files_folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)  # a folder that is missing is a disk that is not mounted
    return alone


def work(core: CoreFixture, identity: UUID) -> Import:
    """Do steps until the import rests."""
    form = build_post_format(core.context.settings)
    while (found := find_import(core, identity)).state in WORKING:
        run_step(core.context, identity, form)
    return found


def expire_lease(core: CoreFixture) -> None:
    """Let the time pass after which maintenance takes care of an import."""
    core.run("UPDATE imports SET lease_until = NULL, touched_at = now() - interval '1 minute'")


def reach(core: CoreFixture, phase: ImportState) -> UUID:
    """Return an import whose next step is of this phase."""
    identity = upload_rows(core, POSTS)
    if phase is ImportState.READING:
        return identity
    planned = work(core, identity)
    assert planned.plan_hash is not None
    control.apply(core.context, core.caller, identity, planned.plan_hash.hex())
    if phase is ImportState.ROLLING_BACK:
        work(core, identity)
        control.rollback(core.context, core.caller, identity)
    return identity


@pytest.mark.parametrize(
    "point", get_points("test_an_import_whose_worker_dies_goes_on_and_makes_each_post_once")
)
def test_an_import_whose_worker_dies_goes_on_and_makes_each_post_once(
    core: CoreFixture, module_environment: dict[str, str], crashes: Crashes, point: str
) -> None:
    [phase] = [phase for phase, points in PHASES.items() if point in points]
    identity = reach(core, phase)
    crashes.crash(module_environment, point, "step_import", str(identity))
    expire_lease(core)
    expected = 1 if find_import(core, identity).state in WORKING else 0
    before = core.messages(IMPORTS)
    assert redispatch_imports(core.context) == expected
    assert core.messages(IMPORTS) == before + expected
    found = work(core, identity)
    assert (found.rows, found.accepted, found.duplicate, found.rejected) == (POSTS, POSTS, 0, 0)
    assert len(core.posts()) == (0 if phase is ImportState.READING else POSTS)
    results: dict[ImportState, dict[str, Any]] = {
        ImportState.READING: {},
        ImportState.APPLYING: {"created": POSTS},
        ImportState.ROLLING_BACK: {"created": POSTS, "cancelled": POSTS},
    }
    assert found.result == results[phase]
    statuses = {core.status(post) for post in core.posts()}
    assert statuses <= ({"canceled"} if phase is ImportState.ROLLING_BACK else {"scheduled"})


@pytest.mark.parametrize("point", get_points("test_an_upload_that_dies_is_removed_or_is_an_import"))
def test_an_upload_that_dies_is_removed_or_is_an_import(
    core: CoreFixture, module_environment: dict[str, str], crashes: Crashes, tmp_path: Path, point: str
) -> None:
    file = tmp_path / "posts.ndjson"
    file.write_bytes(write_rows(core, POSTS))
    with core.context.database.begin() as c:
        key = create_key(c, core.workspace, "dies")
    crashes.crash(module_environment, point, "store_import", key, str(file))
    with core.context.database.begin() as c:
        [left] = rows(c, "SELECT id, object, size FROM imports")
        listed = store.list_imports(c, core.caller, limit=10)
    if point == "imports.visible":
        assert [one.id for one in listed] == [left.id]
        expire_lease(core)
        assert redispatch_imports(core.context) == 1
        assert work(core, left.id).state is ImportState.PLANNED
        return
    assert listed == []
    assert expire_imports(core.context) == 0, "it may still be under way"
    core.run("UPDATE imports SET created_at = now() - interval '2 days'")
    assert expire_imports(core.context) == 1
    with core.context.database.begin() as c:
        assert rows(c, "SELECT id FROM imports") == []
    assert not [path for path in core.context.settings.files_folder.rglob("*") if path.is_file()]


def test_what_a_person_asked_is_done_though_the_process_died(
    core: CoreFixture, module_environment: dict[str, str], crashes: Crashes
) -> None:
    identity = reach(core, ImportState.APPLYING)
    work(core, identity)
    with core.context.database.begin() as c:
        key = create_key(c, core.workspace, "dies")
    crashes.crash(module_environment, "imports.moved", "roll_back_import", key, str(identity))
    expire_lease(core)
    assert redispatch_imports(core.context) == 1
    assert work(core, identity).result == {"created": POSTS, "cancelled": POSTS}


@pytest.mark.parametrize("point", get_points("test_an_import_expires_though_the_job_died"))
def test_an_import_expires_though_the_job_died(
    core: CoreFixture, module_environment: dict[str, str], crashes: Crashes, point: str
) -> None:
    identity = reach(core, ImportState.APPLYING)
    work(core, identity)
    assert expire_imports(core.context) == 0
    core.run("UPDATE imports SET created_at = now() - interval '31 days'")
    crashes.crash(module_environment, point, "run_job", "import-files")
    assert expire_imports(core.context) == 1
    assert expire_imports(core.context) == 0
    found = find_import(core, identity)
    assert (found.state, found.accepted, found.removed_at is None) == (ImportState.APPLIED, POSTS, False)
    with core.context.database.begin() as c:
        assert rows(c, "SELECT number FROM import_rows") == []
    assert len(core.posts()) == POSTS
    assert not [path for path in core.context.settings.files_folder.rglob("*") if path.is_file()]
