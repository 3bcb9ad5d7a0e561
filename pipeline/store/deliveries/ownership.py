"""Ownership: which posts, files and accounts a restricted key may see, and which delivery owns a remote post.

A key may be restricted to some of its workspace's accounts. It then sees the posts that go to no other accounts: a post
that also goes elsewhere would show content and outcomes of accounts the key was not given, and an action on it would
affect them. Accounts that an edit removed from a post still count, since their deliveries are still shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from pipeline.store.database import Database, has_row, is_violation
from pipeline.store.selection import Where, equal, where, where_given

if TYPE_CHECKING:
    from pipeline.store.auth.keys import Caller

Accounts = Sequence[UUID] | None
"""The accounts a key is restricted to; None: all of the workspace's."""
ACCOUNTS = "CAST(:accounts AS uuid[])"
"""These accounts in a statement; ``restrict_posts`` and ``restrict_deliveries`` return the value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """The deliveries that a caller may see and act on; the defaults are an operator's: all."""

    workspace: UUID | None = None
    within: Sequence[UUID] | None = None
    """Only deliveries of these workspaces."""
    accounts: Accounts = None
    """Only deliveries of posts that go to no other accounts than these."""
    generation: int | None = None
    """Only one of this generation."""


OPERATOR = Scope()
_GOES_ELSEWHERE = f"""EXISTS (SELECT FROM post_deliveries o WHERE o.post_id = {{post}}
                       AND o.account_id <> ALL ({ACCOUNTS}))"""
_OF_DELIVERIES = {
    "w": "d.workspace_id = :w",
    "within": "d.workspace_id = ANY (CAST(:within AS uuid[]))",
    "accounts": f"NOT {_GOES_ELSEWHERE.format(post='d.post_id')}",
    "generation": "d.generation = :generation",
}


def restrict_deliveries(scope: Scope) -> Where:
    """Return the condition on a delivery ``d`` that a caller with this scope may see it."""
    within, accounts = (None if ids is None else list(ids) for ids in (scope.within, scope.accounts))
    given = {"w": scope.workspace, "within": within, "accounts": accounts, "generation": scope.generation}
    return where_given(_OF_DELIVERIES, **given)


def restrict_posts(workspace: UUID, accounts: Accounts) -> Where:
    """Return the condition on the table ``posts`` that a key of the workspace, restricted to accounts, sees a post."""
    return where("workspace_id = :w", "deleted_at IS NULL", w=workspace) & where_given(
        {"accounts": f"NOT {_GOES_ELSEWHERE.format(post='posts.id')}"},
        accounts=None if accounts is None else list(accounts),
    )


def restrict_files(caller: Caller) -> Where:
    """Return the condition on a table of what keys create, such as ``files``, that a caller sees a row.

    Such rows have no account, so a key that is restricted to accounts sees its own.
    """
    own = equal(workspace_id=caller.workspace_id)
    return own if caller.accounts is None else own & where("key_id = :holder", holder=caller.key_id)


def restrict_accounts(ids: Sequence[UUID] | None, accounts: Accounts) -> Sequence[UUID] | None:
    """Return the ones of these account ids (None: all) that a key may name; it must not learn that others exist."""
    if ids is None or accounts is None:
        return accounts if ids is None else ids
    return [i for i in ids if i in accounts]


class RemoteIdTaken(Exception):
    """Another delivery of the account owns the remote id."""


def is_remote_id_taken(error: IntegrityError) -> bool:
    """Return whether the unique remote id of an account is the constraint that was violated."""
    return is_violation(error, "deliveries_remote")


@contextmanager
def translate_taken_remote_id() -> Iterator[None]:
    """Raise RemoteIdTaken for the violation of an account's unique remote id."""
    try:
        yield
    except IntegrityError as error:
        if is_remote_id_taken(error):
            raise RemoteIdTaken from error
        raise


@dataclass(frozen=True, slots=True)
class RemoteIdsOfOthers:
    """The remote ids of an account that other deliveries own, which a look must not adopt; queried when tested."""

    database: Database
    account: UUID
    delivery: UUID

    def __contains__(self, remote_id: object) -> bool:
        sql = "SELECT id FROM deliveries WHERE account_id = :a AND remote_id = :r AND id <> :id"
        with self.database.once() as c:
            return has_row(c, sql, a=self.account, r=remote_id, id=self.delivery)
