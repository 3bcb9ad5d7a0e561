"""Which post of an account belongs to which delivery: one live post never settles two of them."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.exc import IntegrityError

from pipeline.store.database import Database, row


class RemoteIdTaken(Exception):
    """Another delivery of the account already is the post that the platform names."""


def is_remote_id_taken(error: IntegrityError) -> bool:
    """Whether that is why the database refused a row."""
    return getattr(getattr(error.orig, "diag", None), "constraint_name", None) == "deliveries_remote"


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
                    a=self._account, r=remote_id, id=self._delivery,
                )
                is not None
            )  # fmt: skip
