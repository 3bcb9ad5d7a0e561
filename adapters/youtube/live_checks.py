"""Read-only checks of a connected YouTube channel."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.contract import Account, PlatformSettings
from adapters.http import HttpClient
from adapters.live_check import (
    POST_NOT_FOUND_AGAIN,
    ConnectionChecks,
    Finding,
    LiveCheck,
    ok,
    quota_not_readable,
)
from adapters.youtube.client import Client
from adapters.youtube.oauth import CONNECTION, READ_SCOPE, UPLOAD_SCOPE


def _check_channel(http: HttpClient, settings: PlatformSettings, account: Account) -> Iterator[Finding]:
    token = account.credentials.access_token.get_secret_value()
    channels = Client(http=http, api=settings.hosts["api"], token=token).list_own_channels("status")
    long_uploads = channels[0].status.long_uploads_status if channels else None
    longest = "12 hours" if long_uploads == "allowed" else f"15 minutes (long uploads: {long_uploads})"
    yield ok("quota", "the project's quota of reads is not spent")
    yield ok("limits", f"videos of {longest}")
    yield quota_not_readable("100 uploads a day per project")


LIVE_CHECKS = (
    ConnectionChecks(
        connection=CONNECTION,
        required_scopes=(UPLOAD_SCOPE,),
        optional_scopes={READ_SCOPE: POST_NOT_FOUND_AGAIN},
        checks=(LiveCheck(name="quota", run=_check_channel),),
        only_live_post=(
            "whether `fileDetails.fileName` is the `Slug` that was sent",
            "how long a session lives, and what it returns after a spent quota",
            "the limit of uploads a channel has per day (`uploadLimitExceeded`)",
            "whether the project may publish: videos of a project that is not audited stay private",
        ),
    ),
)
