"""Errors of a platform, classified by the step that has to follow.

* AdapterError
  + Retryable            nothing became visible; the same call may be tried again
    - Unavailable        the platform could not be reached, or failed for a temporary reason
      . StorageFault     our own storage of files cannot be used: neither the platform nor the customer is at fault
    - RateLimited        the platform asked us to wait; costs no attempt
    - CredentialsExpired the access token has expired; the pipeline refreshes it and tries again
    - AppRefused         the platform refuses our app as a whole; the pipeline pauses the platform for an operator
  + Permanent            another try would fail again
    - Rejected           the platform refused this content, these media or these settings
    - Unsupported        the platform has no such kind of post
  + NeedsPerson          a user or an operator has to act before anything can go out
    - CredentialsRevoked the account has to be connected again
    - PermissionMissing  the account or app lacks a permission
  + OutcomeUnknown       the visible call may or may not have taken effect: look, never send again

After the visible call, a response counts as a refusal only in the platform's own error envelope, with a code that its
table (``<platform>/errors.py``) lists as given before acting; everything else is OutcomeUnknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, TypedDict

from typing_extensions import Unpack

if TYPE_CHECKING:
    from adapters.listing import ListedPost


class Reported(TypedDict):
    """The platform's code, HTTP status and sentence of an error."""

    platform_code: str | None
    http_status: int | None
    platform_message: str | None


class _About(TypedDict, total=False):
    """What ``AdapterError`` takes by name."""

    code: str | None
    platform_code: str | None
    http_status: int | None
    next_action: str | None
    platform_message: str | None


class AdapterError(Exception):
    """A platform's refusal or failure. ``str()`` is a sentence that the author of a post can act on.

    ``code`` is our stable name for it; ``platform_code`` is the platform's, kept verbatim for the log: only the adapter
    branches on it. ``platform_message`` is the platform's own sentence (``adapters.platform_message``).
    ``next_action`` tells the customer what to do. No field may hold a token or a body.
    """

    code = "platform_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        platform_code: str | None = None,
        http_status: int | None = None,
        next_action: str | None = None,
        platform_message: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.code
        self.platform_code = platform_code
        self.http_status = http_status
        self.next_action = next_action
        self.platform_message = platform_message

    @property
    def reported(self) -> Reported:
        """Return what the platform reported, for an error of another class with the same source."""
        return {
            "platform_code": self.platform_code,
            "http_status": self.http_status,
            "platform_message": self.platform_message,
        }

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.code!r}, {self.platform_code!r}, {self.message!r})"


class Retryable(AdapterError):
    """Nothing became visible; the same call may be tried again later."""

    def __init__(
        self, message: str, *, retry_after: timedelta | None = None, **about: Unpack[_About]
    ) -> None:
        super().__init__(message, **about)
        self.retry_after = retry_after


class Unavailable(Retryable):
    """The platform or a media host could not be reached, or failed in a way that changed nothing."""

    code = "platform_unavailable"
    host: str | None = None
    """The host that did not respond, if it is not the platform's own."""


class StorageFault(Unavailable):
    """The storage of this installation cannot be read or written.

    Before arm it uses up neither a try nor the time limit, and raises an alarm. After arm it is an unknown outcome.
    """

    code = "storage_unavailable"


class RateLimited(Retryable):
    """The platform asked us to wait. ``retry_after`` is its own value, or the adapter's table where it gives none."""

    code = "rate_limited"


class CredentialsExpired(Retryable):
    """The access token has expired; the pipeline refreshes it once and tries again. Adapters never refresh."""

    code = "credentials_expired"


class AppRefused(Retryable):
    """The platform refuses our app as a whole, whatever the account and the post.

    The pipeline pauses the platform, with one alarm; an operator follows ``next_action`` and lifts the pause.
    """

    code = "app_refused"


class Permanent(AdapterError):
    """Another try would fail again."""


class Rejected(Permanent):
    """The platform refused this content, these media or these settings."""

    code = "rejected"


class Unsupported(Permanent):
    """The platform has no such kind of post."""

    code = "unsupported"


class NeedsPerson(AdapterError):
    """A user or an operator has to act before anything can go out."""


class CredentialsRevoked(NeedsPerson):
    """The account has to be connected again: its grant was revoked or its refresh token is dead."""

    code = "reconnect_required"


class PermissionMissing(NeedsPerson):
    """The account's grant or our app lacks a permission that this post needs."""

    code = "permission_missing"


class OutcomeUnknown(AdapterError):
    """The visible call may or may not have taken effect: the pipeline looks, and never sends again blindly."""

    code = "outcome_unknown"
    candidates: Sequence[ListedPost] = ()
    """Live posts that could be it, for an operator to compare."""
    refusal: Permanent | None = None
    """The meaning of the answer once absence is proven: the post is not sent again. None: it may be sent again."""
