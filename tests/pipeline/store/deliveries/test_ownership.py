"""Posts, files and accounts that a restricted key sees."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from pipeline.store.database import new_id, rows
from pipeline.store.deliveries.ownership import restrict_accounts, restrict_files, restrict_posts
from tests.pipeline.store.ledger import Ledger


def test_a_post_is_seen_by_who_is_bound_to_all_the_accounts_it_goes_to(shared: Ledger) -> None:
    workspace = shared.workspace()
    mine, other = shared.account(workspace), shared.account(workspace)
    alone, both, elsewhere = (shared.post(accounts) for accounts in ([mine], [mine, other], [other]))

    def seen(accounts: Sequence[UUID] | None) -> set[UUID]:
        condition, values = restrict_posts(accounts)
        with shared.database.begin() as c:
            found = rows(c, f"SELECT id, workspace_id AS w FROM posts WHERE {condition}", **values)  # noqa: S608
        return {r.id for r in found if r.w == workspace}

    assert seen(None) == seen([mine, other]) == {alone.id, both.id, elsewhere.id}
    assert seen([mine]) == {alone.id}
    assert seen([]) == set()


def test_a_file_is_seen_by_the_bound_key_that_brought_it_and_by_who_is_bound_to_nothing() -> None:
    key = new_id()
    assert restrict_files([], key) == ("key_id = :holder", {"holder": key})
    assert restrict_files(None, key)[1] == {}


def test_who_is_bound_may_name_his_accounts_only() -> None:
    mine, other = new_id(), new_id()
    assert restrict_accounts(None, None) is None
    assert restrict_accounts([mine, other], None) == [mine, other]
    assert restrict_accounts(None, [mine]) == restrict_accounts([mine, other], [mine]) == [mine]
