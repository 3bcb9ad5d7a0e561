from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from pydantic import SecretStr

from adapters.contract import Credentials
from pipeline.domain.delivery import State
from pipeline.store.accounts.accounts import require_reconnect, store_credentials
from pipeline.store.accounts.grants import EndangeredAccount, list_endangered
from pipeline.store.database import row
from tests.pipeline.store.ledger import HOUR, Ledger

NOW = datetime.now(UTC).replace(microsecond=0)


def grant(
    ledger: Ledger, account: UUID, *, ends: datetime | None, refresh_ends: datetime | None, renewable: bool
) -> None:
    fresh = Credentials(
        access_token=SecretStr("a"),
        refresh_token=SecretStr("r") if renewable else None,
        expires_at=ends,
        refresh_expires_at=refresh_ends,
    )
    assert ledger.do(store_credentials, ledger.vault, account, fresh)


def read(ledger: Ledger, workspace: UUID) -> dict[UUID, EndangeredAccount]:
    with ledger.database.begin() as c:
        found = [one for one in list_endangered(c) if one.account.workspace_id == workspace]
        return {one.account.id: one for one in found}


def test_who_ends_when_and_how_many_posts_that_endangers(shared: Ledger) -> None:
    workspace = shared.workspace()
    linkedin, tiktok, google, page, dead, out = (shared.account(workspace) for _ in range(6))
    soon, later = NOW + 2 * HOUR, NOW + timedelta(days=300)
    grant(shared, linkedin, ends=soon, refresh_ends=None, renewable=False)
    grant(shared, tiktok, ends=soon, refresh_ends=later, renewable=True)
    grant(shared, google, ends=soon, refresh_ends=None, renewable=True)
    grant(shared, page, ends=None, refresh_ends=None, renewable=False)
    everyone = [linkedin, tiktok, google, page, dead, out]
    shared.posts(2, everyone, due=HOUR)
    shared.posts(3, everyone, due=3 * HOUR)
    shared.posts(1, everyone, State.PUBLISHED, due=3 * HOUR)
    with shared.database.begin() as c:
        require_reconnect(c, dead, {"code": "reconnect_required"}, 1)
        row(c, "UPDATE accounts SET status = 'inactive' WHERE id = :id RETURNING id", id=out)
    found = read(shared, workspace)
    assert {a: (one.ends_at, one.posts) for a, one in found.items()} == {
        dead: (None, 5),
        linkedin: (soon, 3),
        tiktok: (later, 0),
    }
    assert list(found) == [dead, linkedin, tiktok]
    assert read(shared, shared.workspace()) == {}
    assert {one.account.id for one in shared.do(list_endangered)} >= {dead, linkedin, tiktok}
