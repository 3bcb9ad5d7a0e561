"""Bound the bytes of JSON bodies that a server process holds, in all and per key.

A body counts from its announcement until its request is answered. Uploaded files and imports do not count:
they are streams, and never lie in memory as a whole.
"""

from __future__ import annotations

from uuid import UUID

from starlette.types import Scope

from pipeline.api.http.envelope import HttpRefusal, refuse_too_many

SHARES = 4
"""A key may have one in so many bytes of the budget."""
_RESERVATION = "slipway.body_reservation"
"""A key of the ASGI scope: what the request holds of the budget."""


class BodyBudget:
    """The bytes of one server process. For its event loop only: it takes no lock."""

    def __init__(self, total: int) -> None:
        self._total, self._per_key = total, total // SHARES
        self._reserved = 0
        self._by_key: dict[UUID | None, int] = {}

    def open(self, scope: Scope, key: UUID | None) -> Reservation:
        """Return an empty reservation for a request, which its end releases. *key* None: no share applies."""
        reservation = scope[_RESERVATION] = Reservation(self, key)
        return reservation

    def take(self, key: UUID | None, size: int) -> None:
        """Take *size* bytes more. Raises Refusal 503 when they are not left, 429 when the key's share is used up."""
        if self._reserved + size > self._total:
            raise HttpRefusal(
                503, "unavailable", "Too many large requests are open. Repeat the request in a few seconds."
            )
        taken = self._by_key.get(key, 0) + size
        if key is not None and taken > self._per_key:
            message = f"This key has requests with {self._per_key:,} bytes in progress already."
            raise refuse_too_many(self._per_key, message)
        self._reserved += size
        self._by_key[key] = taken

    def give_back(self, key: UUID | None, size: int) -> None:
        """Give *size* bytes back."""
        self._reserved -= size
        if left := self._by_key[key] - size:
            self._by_key[key] = left
        else:
            del self._by_key[key]


class Reservation:
    """The share of the budget that one request holds."""

    def __init__(self, budget: BodyBudget, key: UUID | None) -> None:
        self._budget, self._key = budget, key
        self._size = 0

    def extend_to(self, size: int) -> None:
        """Hold at least *size* bytes. Raises what ``BodyBudget.take`` raises."""
        if size > self._size:
            self._budget.take(self._key, size - self._size)
            self._size = size

    def release(self) -> None:
        """Give everything back."""
        if self._size:
            self._budget.give_back(self._key, self._size)
            self._size = 0


def release_reservation(scope: Scope) -> None:
    """Give back what the request of this ASGI scope holds, if it has read a body."""
    if reservation := scope.get(_RESERVATION):
        reservation.release()
