"""Idempotency keys: which resource an earlier request of a caller with the same ``Idempotency-Key`` has made.

A key is claimed in the transaction that makes the resource, so that a crash leaves both or neither. An equal request
that comes concurrently waits for that transaction's end.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.store.database import has_row, hash_text
from pipeline.store.selection import delete_oldest, equal, find, where

KEEP = timedelta(days=1)
"""How long a key is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IdempotencyKey:
    """The key of a request, within its caller and operation."""

    key_id: UUID
    """The id of the caller's API key."""
    operation: str
    value: str
    request_sha256: bytes
    """The hash of the content that the request asks for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimed:
    """The claim of a key by an earlier request."""

    request_sha256: bytes
    resource: UUID


def claim(c: Connection, key: IdempotencyKey, resource: UUID) -> Claimed | None:
    """Claim the key for a resource of this transaction; return the earlier claim if there is one of the last day."""
    is_taken = has_row(
        c,
        """INSERT INTO idempotency_keys AS k (key_id, operation, value_sha256, request_sha256, resource)
           VALUES (:key_id, :operation, :value_sha256, :request, :resource)
           ON CONFLICT (key_id, operation, value_sha256) DO UPDATE
               SET request_sha256 = excluded.request_sha256, resource = excluded.resource, created_at = now()
               WHERE k.created_at < now() - CAST(:keep AS interval)
           RETURNING resource""",
        **_name(key),
        request=key.request_sha256,
        resource=resource,
        keep=KEEP,
    )
    return None if is_taken else find_claim(c, key)


def find_claim(c: Connection, key: IdempotencyKey) -> Claimed | None:
    """Return the claim of the key, if there is one of the last day."""
    known = where("created_at >= now() - CAST(:keep AS interval)", keep=KEEP)
    return find(c, Claimed, "idempotency_keys", equal(**_name(key)) & known)


def _name(key: IdempotencyKey) -> dict[str, object]:
    return {"key_id": key.key_id, "operation": key.operation, "value_sha256": hash_text(key.value)}


def delete_expired(c: Connection, limit: int) -> int:
    """Delete up to *limit* of the keys that are not known any more, the oldest first; return how many."""
    old = "created_at < now() - CAST(:keep AS interval)"
    return delete_oldest(c, "idempotency_keys", old, by="created_at", limit=limit, keep=KEEP)
