"""A worker's turn at an import: several chunks by one message, and what is not judged a second time."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from pipeline.api.imports.post_format import build_post_format
from pipeline.bulk import control
from pipeline.bulk.formats import Format
from pipeline.bulk.plan import CHUNK
from pipeline.bulk.step import run_step
from pipeline.bulk.upload import ImportOptions, store_file
from pipeline.domain.bulk_import import ImportState
from pipeline.failpoint import failpoint
from pipeline.stages.platform_validation import find_problems
from pipeline.store.database import rows
from pipeline.store.imports import imports as store
from pipeline.store.imports.imports import Import
from tests.pipeline.api.imports.importing import LATER, write_lines
from tests.pipeline.core_fixture import VIDEO, CoreFixture

LONG = 600.0
"""Seconds: more than any of these imports takes."""


@pytest.fixture
def ready(core: CoreFixture) -> CoreFixture:
    """A workspace with an account, whose video has a good check."""
    core.account("one")
    core.decided()
    return core


def upload(core: CoreFixture, count: int) -> UUID:
    body = {
        "media": {"type": "video", "url": VIDEO},
        "accounts": [{"id": str(core.accounts["one"])}],
        "scheduled_at": LATER,
    }
    lines = write_lines(*({"caption": f"Row {n}", **body} for n in range(count)))
    return store_file(core.context, core.caller, ImportOptions(), [lines], Format.NDJSON).job.id


def work(core: CoreFixture, identity: UUID, seconds: float = LONG) -> Import:
    run_step(core.context, identity, build_post_format(core.context.settings), seconds=seconds)
    with core.context.database.begin() as c:
        found = store.find_import(c, core.caller, identity)
    assert found is not None
    return found


def plan_and_begin(core: CoreFixture, count: int) -> UUID:
    """Plan a file of so many rows, and begin to apply it."""
    planned = work(core, upload(core, count))
    assert (planned.state, planned.accepted, planned.plan_hash is None) == (ImportState.PLANNED, count, False)
    control.apply(core.context, core.caller, planned.id, (planned.plan_hash or b"").hex())
    return planned.id


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Captions of the posts that the platforms' rules were asked about, from now on."""
    seen: list[str] = []

    def ask(context: Any, content: Any, *rest: Any) -> Any:
        seen.append(content.caption)
        return find_problems(context, content, *rest)

    monkeypatch.setattr("pipeline.stages.post_rules.find_problems", ask)
    return seen


def test_one_message_does_chunks_while_it_has_time(ready: CoreFixture) -> None:
    identity = plan_and_begin(ready, 2 * CHUNK + 3)
    done = work(ready, identity)
    assert (done.state, done.result) == (ImportState.APPLIED, {"created": 2 * CHUNK + 3})
    assert len(ready.posts()) == 2 * CHUNK + 3


def test_without_time_it_does_one_chunk_and_leaves_the_rest_to_the_next(ready: CoreFixture) -> None:
    found = work(ready, upload(ready, CHUNK + 3), seconds=0)
    assert (found.state, found.rows) == (ImportState.READING, CHUNK)
    assert work(ready, found.id, seconds=0).state is ImportState.PLANNED


def test_a_pause_ends_the_turn_after_the_chunk_in_progress(
    ready: CoreFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = plan_and_begin(ready, 2 * CHUNK)

    def pause_after_a_chunk(name: str, *about: Any) -> None:
        failpoint(name, *about)
        if name == "imports.applied":
            control.pause(ready.context, ready.caller, identity)

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.bulk.apply.failpoint", pause_after_a_chunk)
        paused = work(ready, identity)
    assert (paused.state, paused.done, len(ready.posts())) == (ImportState.PAUSED, CHUNK, CHUNK)
    control.resume(ready.context, ready.caller, identity)
    assert work(ready, identity).result == {"created": 2 * CHUNK}


def test_rows_whose_facts_are_as_they_were_are_not_judged_again(
    ready: CoreFixture, judged: list[str]
) -> None:
    identity = plan_and_begin(ready, 2)
    assert judged == ["Row 0", "Row 1"]
    judged.clear()
    assert work(ready, identity).result == {"created": 2}
    assert judged == []


def test_rows_whose_account_was_changed_since_are_judged_again(ready: CoreFixture, judged: list[str]) -> None:
    identity = plan_and_begin(ready, 2)
    judged.clear()
    with ready.context.database.begin() as c:
        rows(
            c,
            "UPDATE accounts SET connection = 'unheard-of' WHERE workspace_id = :w RETURNING id",
            w=ready.workspace,
        )
    done = work(ready, identity)
    assert judged == ["Row 0", "Row 1"]
    assert (done.rejected, done.result, ready.posts()) == (2, {"refused": 2}, [])


def test_rows_are_judged_again_under_other_settings(ready: CoreFixture, judged: list[str]) -> None:
    identity = plan_and_begin(ready, 2)
    judged.clear()
    strict = ready.with_settings(ingest={"music_required": True})
    assert work(strict, identity).result == {"created": 2}
    assert judged == ["Row 0", "Row 1"]
