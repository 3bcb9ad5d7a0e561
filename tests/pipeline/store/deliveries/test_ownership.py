"""Posts, files and accounts that a restricted key sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from pipeline.store.auth.keys import read_caller
from pipeline.store.database import new_id, rows
from pipeline.store.deliveries.ownership import restrict_accounts, restrict_files, restrict_posts
from tests.pipeline.store.ledger import Ledger


def test_a_post_is_seen_by_who_is_bound_to_all_the_accounts_it_goes_to(shared: Ledger) -> None:
    workspace = shared.workspace()
    mine, other = shared.account(workspace), shared.account(workspace)
    alone, both, elsewhere = (shared.post(accounts) for accounts in ([mine], [mine, other], [other]))

    def seen(accounts: Sequence[UUID] | None) -> set[UUID]:
        own = restrict_posts(workspace, accounts)
        return {r.id for r in shared.do(rows, f"SELECT id FROM posts WHERE {own}", **own.values)}  # noqa: S608

    assert seen(None) == seen([mine, other]) == {alone.id, both.id, elsewhere.id}
    assert seen([mine]) == {alone.id}
    assert seen([]) == set()


def test_a_file_is_seen_by_the_bound_key_that_brought_it_and_by_who_is_bound_to_nothing(
    shared: Ledger,
) -> None:
    workspace, key = shared.workspace(), new_id()
    caller = shared.do(read_caller, workspace, None)
    assert caller is not None
    assert restrict_files(caller).values == {"workspace_id": workspace}
    bound = restrict_files(replace(caller, key_id=key, accounts=[]))
    assert str(bound) == "workspace_id = :workspace_id AND key_id = :holder"
    assert bound.values == {"workspace_id": workspace, "holder": key}


def test_who_is_bound_may_name_his_accounts_only() -> None:
    mine, other = new_id(), new_id()
    assert restrict_accounts(None, None) is None
    assert restrict_accounts([mine, other], None) == [mine, other]
    assert restrict_accounts(None, [mine]) == restrict_accounts([mine, other], [mine]) == [mine]
