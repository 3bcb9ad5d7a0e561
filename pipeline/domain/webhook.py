"""Webhooks: which events there are, which a move makes, when an event is tried again, and what pauses a webhook."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum

from pipeline.domain.delivery import Mover, State
from pipeline.domain.hold import Hold
from pipeline.domain.post import OPEN, PostStatus


class EventType(StrEnum):
    """The types of events. All but the last two can be chosen; every webhook gets those two."""

    POST_SCHEDULED = (
        "post.scheduled"  #: it was accepted, edited or retried, and will be published at its time
    )
    POST_POSTED = "post.posted"
    POST_FAILED = "post.failed"
    POST_PARTIAL = "post.partial"
    POST_CANCELED = "post.canceled"
    POST_NEEDS_APPROVAL = "post.needs_approval"  #: it is new or was changed, and waits for an approval
    POST_APPROVED = "post.approved"
    POST_SENT_BACK = "post.sent_back"  #: its author has to change it
    DELIVERY_PUBLISHED = "delivery.published"
    DELIVERY_FAILED = "delivery.failed"
    DELIVERY_BLOCKED = "delivery.blocked"  #: it waits for an operator
    DELIVERY_UNKNOWN = "delivery.unknown"  #: it may be live: it is looked at, never sent again
    DELIVERY_HELD = "delivery.held"  #: a worker has put it back: a limit, a quota, slow media
    ACCOUNT_RECONNECT = "account.reconnect"  #: it has to be connected again
    IMPORT_FINISHED = "import.finished"  #: it is applied, canceled, failed or rolled back
    WEBHOOK_PAUSED = "webhook.paused"
    WEBHOOK_TEST = "webhook.test"


ALWAYS = frozenset({EventType.WEBHOOK_PAUSED, EventType.WEBHOOK_TEST})
CHOICES = tuple(kind for kind in EventType if kind not in ALWAYS)
"""The types that a webhook may choose from."""
MAX_URL, MAX_DESCRIPTION = 2048, 200
"""Characters."""

EventState = StrEnum("EventState", [("PENDING", "pending"), ("DELIVERED", "delivered"), ("FAILED", "failed")])


class PauseReason(StrEnum):
    """Why a webhook is paused. Its events are kept, and sent once it is resumed."""

    PERSON = "person"
    GONE = "gone"  #: its server answered 410
    DEAD = "dead"  #: no try succeeded for three days
    KEY_REVOKED = "key_revoked"  #: the restricted key that made it is revoked or has expired
    LOCKED = "locked"  #: a lock of its workspace ended its secret: a rotation gives a new one and resumes it


class AttemptOutcome(StrEnum):
    """The outcome of one try."""

    DELIVERED = "delivered"  #: 2xx
    HTTP_ERROR = "http_error"  #: any other status, redirects included
    GONE = "gone"  #: 410
    UNANSWERED = "unanswered"  #: no connection, no TLS, no answer in time
    REFUSED = "refused"  #: the URL policy: no public https address
    UNKNOWN = "unknown"  #: the sender died; the event is sent again, with the same id


DELAYS = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    *(timedelta(hours=hours) for hours in (2, 5, 10, 14, 20, 24)),
)
"""Pauses between the ten tries of an event: 3 days and 3.6 hours in all.

The schedule that the specification recommends (github.com/standard-webhooks, "Retries", read 2026-11).
"""
TRIES = len(DELAYS) + 1
DEAD = timedelta(days=3)
"""How long every try must have failed before a webhook is paused."""
OVERLAP = timedelta(days=1)
"""How long the secret of before a rotation signs too."""
LONGEST_WAIT = timedelta(days=1)
"""A longer Retry-After counts as this."""
LONGEST_HOLD = timedelta(minutes=5)
MAX_DEFERRED = 100
"""Tries of one event that Retry-After may defer without using up one of the ten: eight hours more in all at most."""
_GONE, _TOO_MANY, _UNAVAILABLE = 410, 429, 503
_JITTER = 0.1
"""Part of a pause that chance adds, so that events which failed together do not come together again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """How one try ended. ``error``, ``answer``: for the webhook's owner."""

    outcome: AttemptOutcome
    status: int | None = None
    retry_after: timedelta | None = None
    error: str | None = None
    answer: str | None = None

    @property
    def holds_webhook(self) -> bool:
        """True if the server asks to wait with every event: 429 or 503 with Retry-After."""
        return self.status in (_TOO_MANY, _UNAVAILABLE) and self.retry_after is not None


def evaluate_status(status: int) -> AttemptOutcome:
    """Return the outcome of an HTTP status: only 2xx is a success."""
    if status // 100 == 2:  # noqa: PLR2004  the class of successes
        return AttemptOutcome.DELIVERED
    return AttemptOutcome.GONE if status == _GONE else AttemptOutcome.HTTP_ERROR


def parse_retry_after(text: str, now: datetime) -> timedelta | None:
    """Return how long a server asks to wait, in seconds or until a date (RFC 9110, 10.2.3); None: it does not say."""
    try:
        wait = timedelta(seconds=int(text)) if text.isdecimal() else parsedate_to_datetime(text) - now
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(wait, timedelta(0)), LONGEST_WAIT)


def is_deferred(tried: Tried, deferred: int) -> bool:
    """Return True if the server's Retry-After takes the place of the schedule: this try does not count.

    A long one does not, nor one after many: an event's tries end before it expires. *deferred*: tries that did so far.
    """
    return (
        tried.retry_after is not None
        and tried.holds_webhook
        and tried.retry_after <= LONGEST_HOLD
        and deferred < MAX_DEFERRED
    )


def compute_wait(tries: int, retry_after: timedelta | None, chance: float) -> timedelta | None:
    """Return the pause after a failed try; None after the last one. *tries*: made so far. *chance*: 0 to 1."""
    if tries >= TRIES:
        return None
    return max(DELAYS[tries - 1] * (1 + _JITTER * chance), retry_after or timedelta(0))


def compute_hold(failures: int, asked: Collection[timedelta] = ()) -> timedelta:
    """Return for how long nothing is sent to a webhook after so many rounds in a row without a success.

    *asked*: the times that its server names by Retry-After; they count instead, but not below the shortest pause.
    """
    if asked:
        return max(DELAYS[0], *asked)
    return min(timedelta(seconds=2 ** min(failures, 10)), LONGEST_HOLD) if failures else timedelta(0)


# --- which events a move makes ---------------------------------------------------------------------------------------

_BY_TARGET: Mapping[State, EventType] = {
    State.PUBLISHED: EventType.DELIVERY_PUBLISHED,
    State.FAILED: EventType.DELIVERY_FAILED,
    State.BLOCKED: EventType.DELIVERY_BLOCKED,
    State.UNKNOWN: EventType.DELIVERY_UNKNOWN,
}
_BY_STATUS: Mapping[PostStatus, EventType] = {
    PostStatus.POSTED: EventType.POST_POSTED,
    PostStatus.FAILED: EventType.POST_FAILED,
    PostStatus.PARTIAL: EventType.POST_PARTIAL,
    PostStatus.CANCELED: EventType.POST_CANCELED,
}
SCHEDULING = frozenset({"ingest", Mover.EDIT, Mover.RETRY})
"""Movers after which a post goes out that would not have, or another way."""
SILENT_HOLDS = frozenset({Hold.PREPARED_EARLY, Hold.SHUTDOWN})
"""Holds that delay nothing: ready before its time, or taken up by another worker at once."""


def find_delivery_event(target: State, held_for: str | None, held_before: str | None) -> EventType | None:
    """Return the event of a delivery's move to *target*; None: none.

    *held_for*: why a worker has put it back, and *held_before* why one had the time before: a hold is reported once.
    """
    if held_for is not None:
        is_news = held_for != held_before and held_for not in SILENT_HOLDS
        return EventType.DELIVERY_HELD if is_news else None
    return _BY_TARGET.get(target)


def find_post_event(
    before: PostStatus | None, after: PostStatus, movers: Collection[str]
) -> EventType | None:
    """Return the event of a post for the moves of one transaction; None: none, as of a draft.

    *before* None: the post is new.
    """
    if after in OPEN:
        return EventType.POST_SCHEDULED if before is None or SCHEDULING & set(movers) else None
    return _BY_STATUS.get(after) if after != before else None
