"""How many transfers may be under way: in all, and of one owner. Who comes too many is told to come again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from pipeline.api.http.envelope import RETRY_AFTER, HttpRefusal


class Turnstile:
    """Counts within one event loop; needs no lock."""

    def __init__(self, most: int, *, each: int) -> None:
        """``each``: how many of one owner."""
        self._most, self._each = most, each
        self._inside: Counter[UUID] = Counter()

    @contextmanager
    def inside(self, owner: UUID) -> Iterator[None]:
        """One transfer. Raises Refusal 503 and 429."""
        self.enter(owner)
        try:
            yield
        finally:
            self.leave(owner)

    def enter(self, owner: UUID) -> None:
        """One more. Raises Refusal 503 and 429."""
        if self._inside.total() >= self._most:
            raise HttpRefusal(503, "unavailable", "Too many files are on their way. Repeat it in a moment.")
        if self._inside[owner] >= self._each:
            raise HttpRefusal(
                429,
                "rate_limited",
                f"{self._each} files of this workspace are on their way already.",
                headers={"Retry-After": str(RETRY_AFTER)},
            )
        self._inside[owner] += 1

    def leave(self, owner: UUID) -> None:
        """One less."""
        self._inside[owner] -= 1
        if not self._inside[owner]:
            del self._inside[owner]
