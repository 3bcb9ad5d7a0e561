"""An import that does not move says whether a worker takes imports, and asks for one only where none does."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pipeline.broker.queues import IMPORTS
from pipeline.cli import imports
from pipeline.domain.bulk_import import ImportState
from pipeline.store.canaries import record_consumed
from pipeline.store.database import row
from tests.pipeline.core_fixture import CoreFixture


@pytest.mark.parametrize(("silence", "asks"), [(0, False), (3600, True), (None, True)])
def test_a_worker_is_asked_for_only_where_none_takes_imports(
    core: CoreFixture,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    silence: int | None,
    asks: bool,
) -> None:
    with core.context.database.begin() as c:
        row(c, "WITH d AS (DELETE FROM canaries RETURNING 1) SELECT count(*) FROM d")
        if silence is not None:
            record_consumed(c, [IMPORTS])
            late = timedelta(seconds=silence)
            row(c, "UPDATE canaries SET taken_at = taken_at - CAST(:late AS interval) RETURNING 1", late=late)
    stuck = SimpleNamespace(id=None, state=ImportState.APPLYING, rows=0, done=0, plan=None)
    ended = SimpleNamespace(id=None, state=ImportState.PLANNED, rows=0, done=0, plan=None)
    readings = iter([stuck, stuck, ended])
    monkeypatch.setattr("pipeline.store.imports.imports.find_import", lambda *_: next(readings))
    monkeypatch.setattr(imports, "PATIENCE_SECONDS", 0)
    imports.follow_import(core.context, cast("Any", None), cast("Any", stuck), is_quiet=True)
    said = capsys.readouterr().err
    assert ("slipway worker upkeep" in said, "waits for its turn" in said) == (asks, not asks)
