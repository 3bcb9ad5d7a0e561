"""The errors that the retry policy gives a delivery itself, where no platform's error says it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from adapters.errors import AdapterError, OutcomeUnknown, Permanent, RateLimited, Rejected, Unavailable
from adapters.listing import ListedPost
from pipeline.domain.unavailability import MEDIA, PLATFORM

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
"""The code of the error of a delivery that a restore left in doubt; its message says itself that it may be live."""
RESTORED = "It may have been published before the database was restored."


def make_restored(finding: str, candidates: Sequence[ListedPost] = ()) -> OutcomeUnknown:
    """Return the error of a delivery that a restore left in doubt: what its platform said, and the live candidates."""
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
    """Return the error of a delivery whose platform gives no proof, with what it answered to the visible call."""
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
