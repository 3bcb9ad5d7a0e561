"""Audit rows are kept for ever by default, and for as long as a setting says."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from pipeline.maintenance.expire_audit import ROWS, expire_audit
from pipeline.store.audit import AuditFilter, list_changes
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.store.test_audit import grow_old

OLD = AuditFilter(actor="old")


def test_rows_are_kept_for_ever_unless_a_setting_expires_them(core: CoreFixture) -> None:
    grow_old(core.ledger, ROWS + 1, timedelta(days=400))
    grow_old(core.ledger, 1, timedelta(days=300))
    assert expire_audit(core.context) == 0
    kept = core.context.settings.model_copy(
        update={"audit": core.context.settings.audit.model_copy(update={"keep_days": 365.0})}
    )
    context = replace(core.context, settings=kept)
    assert expire_audit(context) == ROWS + 1
    assert expire_audit(context) == 0
    with core.context.database.begin() as c:
        assert len(list_changes(c, OLD, limit=10)) == 1
