"""Audit rows are kept for ever by default, and for as long as a setting says; idempotency keys for a day."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from pipeline.maintenance.expire import ROWS, expire_audit
from pipeline.store.audit import AuditFilter, list_changes
from pipeline.store.database import new_id, rows
from pipeline.store.idempotency_keys import Claimed, IdempotencyKey, claim
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


def test_idempotency_keys_are_known_for_a_day(core: CoreFixture) -> None:
    key = IdempotencyKey(key_id=new_id(), operation="createWebhook", value="k", request_sha256=b"one")
    other = replace(key, request_sha256=b"other")
    first, second = new_id(), new_id()
    with core.context.database.begin() as c:
        assert claim(c, key, first) is None
        assert claim(c, other, second) == Claimed(request_sha256=b"one", resource=first)
        assert claim(c, replace(key, operation="createFile"), second) is None
        assert claim(c, replace(key, key_id=new_id()), second) is None
    assert expire_audit(core.context) == 0
    grow_keys_old(core)
    with core.context.database.begin() as c:
        assert claim(c, other, second) is None, "after a day it is a new key"
        assert claim(c, other, first) == Claimed(request_sha256=b"other", resource=second)
    assert expire_audit(core.context) == 2
    with core.context.database.begin() as c:
        assert claim(c, other, first) == Claimed(request_sha256=b"other", resource=second)


def grow_keys_old(core: CoreFixture) -> None:
    with core.context.database.begin() as c:
        rows(
            c, "UPDATE idempotency_keys SET created_at = created_at - interval '25 hours' RETURNING resource"
        )
