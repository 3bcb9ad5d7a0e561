"""The errors of a delivery: outages by party, the errors the retry policy gives, and the error as all readers show it.

An outage costs time and no tries. Each delivery keeps, for each party that it waits for, the first failure of the
current streak; a streak that outlasts its time limit fails the delivery. Time in which the delivery was held (rate
limit, quota, pause, open circuit breaker) moves the first failure forward, so that it does not count. An error of a
delivery that may be live never reads as unsent, nor as worth a retry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from adapters.errors import (
    AdapterError,
    OutcomeUnknown,
    Permanent,
    RateLimited,
    Rejected,
    StorageFault,
    Unavailable,
)
from adapters.listing import ListedPost
from pipeline.domain.delivery import SETTLED, State

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


PLATFORM_OUTAGE, MEDIA_OUTAGE = "platform_outage", "media_outage"
"""Codes of deliveries that failed because an outage outlasted the time limit: dead letters of their own cause."""
MEDIA_FAULTS = frozenset({"media_changed", "media_unreachable", MEDIA_OUTAGE})
"""Codes after which the checks of a post's media no longer hold."""
EXPIRED = "expired"
NOT_TRIED = frozenset({EXPIRED, "not_sent_yet"})
"""Codes of deliveries that failed without a try."""


def to_outcome_unknown(error: Exception) -> AdapterError:
    """Return the error of an outcome that is not known."""
    if isinstance(error, OutcomeUnknown):
        return error
    kind = type(error).__name__
    return OutcomeUnknown(f"The answer of the platform was lost or could not be read ({kind}).")


def to_adapter_error(error: Exception) -> AdapterError:
    """Return an unexpected error as a classified one."""
    if isinstance(error, AdapterError):
        return error
    kind = type(error).__name__
    return AdapterError(f"An unexpected error happened in Slipway ({kind}).", code="internal_error")


def make_proven_absent(
    platform_code: str | None = None,
    platform_message: str | None = None,
    refusal: Mapping[str, Any] | None = None,
) -> AdapterError:
    """Return the error of a try whose absence is proven, with what the platform answered to it.

    *refusal* has the error fields of an answer that refused for good: then the error is Rejected, which is final.
    """
    if refusal is not None:
        names = ("code", "platform_code", "next_action", "platform_message")
        return Rejected(refusal["message"], **{name: refusal.get(name) for name in names})
    return AdapterError(
        "The platform proves that the earlier try was not published.",
        code="proven_absent",
        platform_code=platform_code,
        platform_message=platform_message,
    )


def make_preparing_timed_out() -> AdapterError:
    """Return the error of media that the platform prepared for too long."""
    return AdapterError(
        "The platform did not finish preparing the media in time.", code="preparing_timed_out"
    )


def make_outlasted(error: Unavailable, party: str) -> Unavailable:
    """Return the error of an outage of *party* that outlasted the time limit."""
    if party == PLATFORM:
        return Unavailable(
            f"The platform stayed unavailable for too long. Its last error: {error.message}",
            code=PLATFORM_OUTAGE,
            platform_code=error.platform_code,
            http_status=error.http_status,
            platform_message=error.platform_message,
            next_action="Retry the post once the platform works again; nothing of it was published.",
        )
    host = "" if party == MEDIA else f" {party}"
    return Unavailable(
        f"The media's host{host} stayed unavailable for too long. Its last error: {error.message}",
        code=MEDIA_OUTAGE,
        next_action="Make the media reachable again at their URLs, then retry the post.",
    )


def make_asked_too_long(error: RateLimited, days: int) -> RateLimited:
    """Return the error of a delivery that the platform has asked to wait for *days*."""
    return RateLimited(
        f"The platform has asked us to wait for {days} days. Its last error: {error.message}",
        code=error.code,
        platform_code=error.platform_code,
        http_status=error.http_status,
        platform_message=error.platform_message,
        next_action="Find out what limits the account or the app there, then replay the post; nothing of it was "
        "published.",
    )


RESTORED_CODE = "restored"
"""The code of the error of a delivery that a restore left unresolved; its message says itself that it may be live."""
RESTORED = "It may have been published before the database was restored."


COMMENT_IN_DOUBT = "comment_in_doubt"
SENT_BEFORE_RESTORE = "It may have been sent before the database was restored: look at the post."


def make_restored(finding: str, candidates: Sequence[ListedPost] = ()) -> OutcomeUnknown:
    """Return the error of a delivery that a restore left unresolved, with the finding and the live candidates."""
    compare = "Compare the candidates with the post" if candidates else "Look at the account"
    error = OutcomeUnknown(
        f"{RESTORED} {finding}",
        code=RESTORED_CODE,
        next_action=f"{compare}: say it is live with its URL, or publish it again.",
    )
    error.candidates = tuple(candidates)
    return error


CANNOT_BE_ASKED = "cannot_be_asked"
"""Code of the look at a post that its platform has no call to show."""
NO_PROOF = "The platform gives no proof whether the post is live."


def make_cannot_be_asked(reason: str) -> OutcomeUnknown:
    """Return the error of a look that cannot be made, now or later."""
    return OutcomeUnknown(
        f"The platform cannot be asked whether the post is live: {reason}.", code=CANNOT_BE_ASKED
    )


def make_cannot_tell(
    platform_code: str | None = None, platform_message: str | None = None, *, finding: str = NO_PROOF
) -> OutcomeUnknown:
    """Return the error of a delivery whose platform gives no proof, with its answer to the visible call."""
    return OutcomeUnknown(
        finding,
        platform_code=platform_code,
        platform_message=platform_message,
        next_action="Look at the account: say it is live with its URL, or publish it again.",
    )


class NotSentYet(Permanent):
    """The error of an account that was added to a failed post: it fails like the others."""

    code = "not_sent_yet"

    def __init__(self) -> None:
        super().__init__("The post had failed when this account was added. Retry it, or give it a time.")


LAST_LOOK = "last_look"
"""The key of an armed delivery's error that has the error of its last look, until one is answered."""
SENT: Mapping[str, Any] = {
    "code": "outcome_unknown",
    "class": "OutcomeUnknown",
    "fault": "platform",
    "retryable": False,
    "message": "It was sent, and the platform has not said yet what became of it.",
}
"""The error of a sent delivery whose own is not known."""


def get_own_error(stored: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return the error of the visible call of an armed delivery, without that of a look."""
    own = stored if stored and stored.get("class") == SENT["class"] else SENT
    return {name: value for name, value in own.items() if name != LAST_LOOK}


def present_error(
    stored: Mapping[str, Any] | None, state: State, armed_at: datetime | None, next_at: datetime | None
) -> Mapping[str, Any] | None:
    """Return the error of a delivery for its readers; *stored* itself where nothing may be live.

    An armed one may be live, whatever its looks met: the error says so, and when it is looked at next. Before the
    first answer there is none.
    """
    if armed_at is None or state in SETTLED:
        return stored
    if state is State.PUBLISHING or (state is State.PROCESSING and stored is None):
        return None
    own = get_own_error(stored)
    says_so = own["code"] == RESTORED_CODE
    sentences = [
        *([] if says_so else ["It may be live."]),
        own["message"],
        *describe_last_look(stored),
        *_describe_next(stored, state, next_at),
    ]
    return {**own, "message": " ".join(sentences), LAST_LOOK: (stored or {}).get(LAST_LOOK)}


def is_beyond_looks(stored: Mapping[str, Any] | None) -> bool:
    """Return True if the last look has shown that no look can find the outcome."""
    look = (stored or {}).get(LAST_LOOK)
    return look is not None and look["code"] == CANNOT_BE_ASKED


def describe_last_look(stored: Mapping[str, Any] | None) -> list[str]:
    """Return a sentence about the last look, if it failed."""
    look = (stored or {}).get(LAST_LOOK)
    if look is None:
        return []
    return [look["message"] if is_beyond_looks(stored) else f"The last look failed: {look['message']}"]


def _describe_next(stored: Mapping[str, Any] | None, state: State, next_at: datetime | None) -> list[str]:
    if state is State.BLOCKED:
        return []
    what = "An operator is asked to decide" if is_beyond_looks(stored) else "It is looked at again"
    return [f"{what} {'now' if next_at is None else f'at {next_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC'}."]
