"""Streaks of unavailability: who did not respond, and since when.

An outage costs time and no tries. Each delivery keeps, for each party that it waits for, the first failure of the
current streak; a streak that outlasts its time limit fails the delivery. Time in which the delivery was held (rate
limit, quota, pause, open circuit breaker) moves the first failure forward, so that it does not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from adapters.errors import StorageFault, Unavailable

PLATFORM = "platform"
"""The party of a failure of the platform's own hosts; the others are media hosts, by name."""
RATE_LIMIT = "rate_limit"
"""The party of a platform that asks to wait: it answers, so no streak of another party goes on."""
MEDIA = "media"
"""The party of a failure of a media host whose name is not known."""
STORAGE = "storage"
"""The party of a fault of our own storage: it has no time limit, and its time counts to no other party's."""
Streaks = Mapping[str, datetime]
"""Party -> first failure of the current streak."""

UNREACHABLE = "platform_unreachable"
"""Code of Unavailable if no connection was made."""
MEDIA_UNAVAILABLE = "media_unavailable"
"""Code of Unavailable if a media host did not respond."""
OWN_STATES = frozenset(
    {
        "claim_lost",
        "conflict",
        "conversion_timed_out",
        "container_expired",
        "container_failed",
        "deadline_passed",
        "handle_gone",
        "media_not_fetched",
        "media_not_ready",
        "media_pull_failed",
        "music_unresolved",
        "not_found",
        "not_prepared",
        "processing_failed",
        "refused_for_now",
        "resource_forbidden",
        "upload_expired",
        "upload_failed",
        "upload_stuck",
    }
)
"""Codes of Unavailable that describe one upload or this process, not an outage: each costs a try."""


def find_party(error: Exception, *, armed: bool) -> str | None:
    """Return the party whose outage an error shows; None if it shows none, and costs a try.

    After arm only a connection that was never made shows one.
    """
    if not isinstance(error, Unavailable) or error.code in OWN_STATES:
        return None
    if isinstance(error, StorageFault):
        return None if armed else STORAGE
    if armed:
        return PLATFORM if error.code == UNREACHABLE else None
    return error.host or MEDIA if error.code == MEDIA_UNAVAILABLE else PLATFORM


def extend_streaks(streaks: Streaks, party: str, now: datetime) -> Streaks:
    """Return the streaks after a failure of *party*; the others' streaks go on, unless the platform answered."""
    if party == RATE_LIMIT:
        return {party: streaks.get(party, now)}
    return {party: now, **streaks}


def shift_streaks(streaks: Streaks, held: timedelta) -> Streaks:
    """Return the streaks without a span in which the delivery was held; a negative span changes nothing."""
    return {party: since + max(held, timedelta(0)) for party, since in streaks.items()}
