"""Limit the posts each key may send per minute and per day, over all server processes.

The limits count posts, not requests. A new post, an edit and a validation cost one each, because each may check media;
a retry costs one per post it names, and a replay or discard one per dead letter. Reads, cancellations and deletions are
free, so that a post can always be stopped. A request counts whatever its answer.

**Minute**: GCRA (generic cell rate algorithm, ITU-T I.371) in one bucket per key in Redis, on the broker's clock; a
minute's worth may come at once. It fails open: without Redis, requests pass, and after a call that failed none is
made for ``REQUEST_PAUSE`` seconds, so that one request waits for a Redis that hangs, and not the next ones.

**Day**: a count per calendar day in UTC, in the key's row of the database.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import redis

from pipeline.api.http.envelope import HttpRefusal
from pipeline.domain.account import KeyLimits
from pipeline.limits.rate_buckets import REQUEST_PAUSE, Bucket, Buckets
from pipeline.store.auth.keys import count_posts
from pipeline.store.database import Database

MINUTE, DAY = 60, 86_400
"""Seconds."""
RATE_HEADERS = "slipway.rate_headers"
"""The key of the rate limit's headers in a request's scope: its response carries them, whatever its status."""
_NAMES = {MINUTE: "a minute", DAY: "a day (UTC)"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Window:
    """One limit after one request."""

    limit: int
    seconds: int
    """Its length."""
    left: int
    """Posts that may still be sent."""
    reset: int
    """Seconds until the full limit is available, or after a refusal until the request may be repeated."""
    is_allowed: bool


class RateLimit:
    """Counts the posts of each key. Its calls block, so they belong on a thread."""

    def __init__(self, client: redis.Redis, database: Database) -> None:
        self._buckets = Buckets(client, REQUEST_PAUSE)
        self._database = database

    def take(self, key: UUID, limits: KeyLimits, posts: int = 1) -> Mapping[str, str]:
        """Count *posts* against the key's limits, all or none, and return the headers for the response.

        Raises Refusal 429 when a limit does not allow them, and Unreachable. A request for more than a whole limit
        costs the whole limit, because it could never be served otherwise.
        """
        windows: list[Window] = []
        for limit, count in self._list_counts(limits):
            if (window := count(key, min(posts, limit), limit)) is not None:
                windows.append(window)
                if not window.is_allowed:
                    raise _refuse(window, limits)
        return _build_headers(min(windows, key=lambda w: w.left), limits) if windows else {}

    def read(self, key: UUID, limits: KeyLimits) -> Sequence[Window]:
        """Return the limits of a key that it has, without counting anything. Raises Unreachable."""
        found = [count(key, 0, limit) for limit, count in self._list_counts(limits)]
        return [window for window in found if window is not None]

    def _list_counts(
        self, limits: KeyLimits
    ) -> Iterator[tuple[int, Callable[[UUID, int, int], Window | None]]]:
        """Yield the limits that the key has, and what counts posts against each."""
        if limits.posts_per_minute:
            yield limits.posts_per_minute, self._take_from_minute
        if limits.posts_per_day:
            yield limits.posts_per_day, self._take_from_day

    def _take_from_minute(self, key: UUID, posts: int, limit: int) -> Window | None:
        """Return the minute after this request; None without Redis."""
        taken = self._buckets.take({f"posts:{key}": Bucket(1000 * MINUTE / limit * posts, 1000 * MINUTE)})
        if taken is None:
            return None
        return Window(
            limit=limit,
            seconds=MINUTE,
            left=max(0, limit * (1000 * MINUTE - taken.full) // (1000 * MINUTE)),
            reset=math.ceil((taken.wait or taken.full) / 1000),
            is_allowed=not taken.wait,
        )

    def _take_from_day(self, key: UUID, posts: int, limit: int) -> Window:
        with self._database.begin() as c:
            count = count_posts(c, key, posts, limit)
        left = max(0, limit - count.posts)
        return Window(limit=limit, seconds=DAY, left=left, reset=count.reset, is_allowed=count.is_allowed)


def _build_headers(window: Window, limits: KeyLimits) -> dict[str, str]:
    """Return the headers of draft-ietf-httpapi-ratelimit-headers-06 (2022-12-22), the version clients know.

    Limit, Remaining and Reset are of the window that ends first, Policy names each.
    """
    policy: Sequence[tuple[int | None, int]] = (
        (limits.posts_per_minute, MINUTE),
        (limits.posts_per_day, DAY),
    )
    return {
        "RateLimit-Limit": str(window.limit),
        "RateLimit-Remaining": str(window.left),
        "RateLimit-Reset": str(window.reset),
        "RateLimit-Policy": ", ".join(f"{limit};w={seconds}" for limit, seconds in policy if limit),
    }


def _refuse(window: Window, limits: KeyLimits) -> HttpRefusal:
    return HttpRefusal(
        429,
        "rate_limited",
        f"This key may send {window.limit} posts {_NAMES[window.seconds]}, and {window.left} are left.",
        headers={**_build_headers(window, limits), "Retry-After": str(max(1, window.reset))},
    )
