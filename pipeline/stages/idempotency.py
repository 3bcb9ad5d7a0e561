"""Idempotency keys of requests that make something other than one post; those of posts are in `replay.py`."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Connection

from pipeline.stages.post_request import Refusal
from pipeline.store.idempotency_keys import IdempotencyKey, claim

REUSED = "idempotency_key_reused"


@dataclass
class Replayed(Exception):
    """An equal request with this key made the resource before; this one makes nothing."""

    resource: UUID


def claim_key(c: Connection, key: IdempotencyKey | None, resource: UUID) -> None:
    """Claim the key, if there is one, for a resource of this transaction.

    Raises Replayed for an equal request, and Refusal 409 if the key was used for another one.
    """
    earlier = None if key is None else claim(c, key, resource)
    if key is None or earlier is None:
        return
    if earlier.request_sha256 != key.request_sha256:
        message = (
            f"Idempotency-Key {key.value!r} was used for another request within the last day; nothing was done. "
            "Use a new key for a new request, or repeat the earlier one exactly."
        )
        raise Refusal(409, REUSED, message)
    raise Replayed(earlier.resource)
