"""Ownership: which posts, files and accounts a restricted key may see, and which delivery owns a remote post.

A key may be restricted to some of its workspace's accounts. It then sees the posts that go to no other accounts: a post
that also goes elsewhere would show content and outcomes of accounts the key was not given, and an action on it would
affect them. Accounts that an edit removed from a post still count, since their deliveries are still shown.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from pipeline.store.database import Database, is_violation, row

Accounts = Sequence[UUID] | None
"""The accounts a key is restricted to; None: all of the workspace's."""
WITHIN = "CAST(:within AS uuid[])"
"""These accounts in a statement; ``restrict_posts`` returns the value."""


def restrict_posts(accounts: Accounts) -> tuple[str, Mapping[str, Any]]:
    """Return a condition on the table ``posts``, true of posts that go to no other accounts, and its values."""
    if accounts is None:
        return "true", {}
    beyond = f"d.account_id <> ALL({WITHIN})"
    return f"NOT EXISTS (SELECT FROM deliveries d WHERE d.post_id = posts.id AND {beyond})", {
        "within": list(accounts)
    }


def restrict_files(accounts: Accounts, key: UUID) -> tuple[str, Mapping[str, Any]]:
    """Return a condition on the table ``files`` and its values: files have no account, so a key sees its own."""
    return ("true", {}) if accounts is None else ("key_id = :holder", {"holder": key})


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


class RemoteIdsOfOthers:
    """The remote ids of an account that other deliveries own, which a look must not adopt; queried when tested."""

    def __init__(self, database: Database, *, account: UUID, delivery: UUID) -> None:
        self._database = database
        self._account = account
        self._delivery = delivery

    def __contains__(self, remote_id: object) -> bool:
        with self._database.once() as c:
            return (
                row(
                    c,
                    "SELECT id FROM deliveries WHERE account_id = :a AND remote_id = :r AND id <> :id",
                    a=self._account,
                    r=remote_id,
                    id=self._delivery,
                )
                is not None
            )
