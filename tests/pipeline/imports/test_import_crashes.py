"""Crashes in every step of an import: the next step, dispatched by maintenance, goes on from the last commit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from config.settings import load
from pipeline.api.posts.schema import build_post_format
from pipeline.broker.queues import IMPORTS
from pipeline.domain.bulk_import import WORKING, ImportState
from pipeline.imports import control
from pipeline.imports.columns import Columns, Format
from pipeline.imports.step import run_step
from pipeline.imports.upload import ImportOptions, store_file
from pipeline.maintenance.expire import expire_imports
from pipeline.maintenance.rescue_expired_leases import redispatch_imports
from pipeline.runtime.context import Context
from pipeline.store.auth.keys import create_key
from pipeline.store.database import rows
from pipeline.store.imports import imports as store
from pipeline.store.imports.imports import Import
from pipeline.store.vault import Vault
from pipeline.wiring import build_context
from tests.crash_table import Crashes, get_points
from tests.pipeline.api.imports.importing import LATER, write_lines
from tests.pipeline.core_fixture import CoreFixture, make_core
from tests.pipeline.store.ledger import Ledger

POSTS = 3
PHASES = {
    ImportState.READING: ("imports.claimed", "imports.read", "imports.rows-stored", "imports.planned"),
    ImportState.APPLYING: ("imports.edited", "imports.posts-stored", "imports.applied"),
    ImportState.ROLLING_BACK: ("imports.rolling-back", "imports.rolled-back"),
}
"""The state in which a step reaches each failpoint."""


@pytest.fixture
def core(environment: dict[str, str], vault_key: str) -> Iterator[CoreFixture]:
    """A workspace on a database of this test's own."""
    context = build_context(load(environment))
    ledger = Ledger(context.settings.store.url.get_secret_value(), Vault(vault_key))
    made = make_core(context, ledger)
    made.account("one")
    yield made
    ledger.database.close()
    context.database.close()


def write_file(core: CoreFixture) -> bytes:
    return write_lines(
        *(
            {
                "caption": f"Row {n}",
                "media": {"type": "video", "url": "https://cdn.example.com/v.mp4"},
                "accounts": [{"id": str(core.accounts["one"])}],
                "scheduled_at": LATER,
            }
            for n in range(POSTS)
        )
    )


def read(core: CoreFixture, identity: UUID) -> Import:
    with core.context.database.begin() as c:
        found = store.find_import(c, core.caller, identity)
    assert found is not None
    return found


def step(context: Context, identity: UUID) -> None:
    run_step(context, identity, build_post_format(context.settings))


def work(core: CoreFixture, identity: UUID) -> Import:
    """Do steps until the import rests."""
    while (found := read(core, identity)).state in WORKING:
        step(core.context, identity)
    return found


def expire_lease(core: CoreFixture) -> None:
    """Let the time pass after which maintenance takes care of an import."""
    core.run("UPDATE imports SET lease_until = NULL, touched_at = now() - interval '1 minute'")


def reach(core: CoreFixture, phase: ImportState) -> UUID:
    """Return an import whose next step is of this phase."""
    job = store_file(
        core.context, core.caller, ImportOptions(), Columns([]), [write_file(core)], Format.NDJSON
    )
    if phase is ImportState.READING:
        return job.id
    planned = work(core, job.id)
    assert planned.plan_hash is not None
    control.apply(core.context, core.caller, job.id, planned.plan_hash.hex())
    if phase is ImportState.ROLLING_BACK:
        work(core, job.id)
        control.rollback(core.context, core.caller, job.id)
    return job.id


@pytest.mark.parametrize(
    "point", get_points("test_an_import_whose_worker_dies_goes_on_and_makes_each_post_once")
)
def test_an_import_whose_worker_dies_goes_on_and_makes_each_post_once(
    core: CoreFixture, environment: dict[str, str], crashes: Crashes, point: str
) -> None:
    [phase] = [phase for phase, points in PHASES.items() if point in points]
    identity = reach(core, phase)
    crashes.crash(environment, point, "step_import", str(identity))
    expire_lease(core)
    expected = 1 if read(core, identity).state in WORKING else 0
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
    core: CoreFixture, environment: dict[str, str], crashes: Crashes, tmp_path: Path, point: str
) -> None:
    core.context.settings.files_folder.mkdir()  # a folder that is missing is a disk that is not mounted
    file = tmp_path / "posts.ndjson"
    file.write_bytes(write_file(core))
    with core.context.database.begin() as c:
        key = create_key(c, core.workspace, "dies")
    crashes.crash(environment, point, "store_import", key, str(file))
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
    core: CoreFixture, environment: dict[str, str], crashes: Crashes
) -> None:
    identity = reach(core, ImportState.APPLYING)
    work(core, identity)
    with core.context.database.begin() as c:
        key = create_key(c, core.workspace, "dies")
    crashes.crash(environment, "imports.moved", "roll_back_import", key, str(identity))
    expire_lease(core)
    assert redispatch_imports(core.context) == 1
    assert work(core, identity).result == {"created": POSTS, "cancelled": POSTS}


@pytest.mark.parametrize("point", get_points("test_an_import_expires_though_the_job_died"))
def test_an_import_expires_though_the_job_died(
    core: CoreFixture, environment: dict[str, str], crashes: Crashes, point: str
) -> None:
    identity = reach(core, ImportState.APPLYING)
    work(core, identity)
    assert expire_imports(core.context) == 0
    core.run("UPDATE imports SET created_at = now() - interval '31 days'")
    crashes.crash(environment, point, "run_job", "import-files")
    assert expire_imports(core.context) == 1
    assert expire_imports(core.context) == 0
    found = read(core, identity)
    assert (found.state, found.accepted, found.removed_at is None) == (ImportState.APPLIED, POSTS, False)
    with core.context.database.begin() as c:
        assert rows(c, "SELECT number FROM import_rows") == []
    assert len(core.posts()) == POSTS
    assert not [path for path in core.context.settings.files_folder.rglob("*") if path.is_file()]
