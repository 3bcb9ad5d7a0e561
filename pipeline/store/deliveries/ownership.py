"""What belongs to whom: which posts a key may see, and which post of a platform is which delivery's.

A key may be bound to some of its workspace's accounts. It then sees the posts that go to none but these: a post that
also goes elsewhere shows, in its words and its outcome, what the key was not given, and steering it would steer the
others. Accounts an edit took off a post still count: their part of it is still shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy.exc import IntegrityError

from pipeline.store.database import Database, row

Accounts = Sequence[UUID] | None
"""The accounts somebody is bound to; None: to no certain ones, all of the workspace's."""
WITHIN = "CAST(:within AS uuid[])"
"""These accounts in a statement; ``posts_within`` gives its value."""


def posts_within(accounts: Accounts) -> tuple[str, Mapping[str, Any]]:
    """A condition on the table ``posts``, true of those that go to none but these accounts, and its values."""
    if accounts is None:
        return "true", {}
    beyond = f"d.account_id <> ALL({WITHIN})"
    return f"NOT EXISTS (SELECT FROM deliveries d WHERE d.post_id = posts.id AND {beyond})", {
        "within": list(accounts)
    }


def files_within(accounts: Accounts, key: UUID) -> tuple[str, Mapping[str, Any]]:
    """A condition on the table ``files``, and its values: a file goes to no account, so a bound key sees its own."""
    return ("true", {}) if accounts is None else ("key_id = :holder", {"holder": key})


def accounts_within(ids: Sequence[UUID] | None, accounts: Accounts) -> Sequence[UUID] | None:
    """Of these account ids (None: all) those somebody may name; the others are to be as if they did not exist."""
    if ids is None or accounts is None:
        return accounts if ids is None else ids
    return [i for i in ids if i in accounts]


class RemoteIdTaken(Exception):
    """Another delivery of the account already is the post that the platform names."""


def is_remote_id_taken(error: IntegrityError) -> bool:
    """Whether that is why the database refused a row."""
    cause = error.orig
    return isinstance(cause, psycopg.Error) and cause.diag.constraint_name == "deliveries_remote"


class Taken:
    """Remote ids of an account that other deliveries own: a look must not adopt one. Asks only when it is asked."""

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
