"""Read-only checks of a connected LinkedIn member or organization."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.contract import Account, PlatformSettings
from adapters.http import HttpClient
from adapters.linkedin import limits
from adapters.live_check import POST_NOT_FOUND_AGAIN, ConnectionChecks, Finding, LiveCheck, quota_not_readable


def _check_quota(_http: HttpClient, _settings: PlatformSettings, _account: Account) -> Iterator[Finding]:
    yield quota_not_readable(f"{limits.CAPABILITIES.daily_posts} posts a day per member")


_QUOTA = LiveCheck(name="quota", run=_check_quota)
_ONLY_LIVE_POST = (
    "the duplicate rule of `/rest/posts`: what counts as equal, for how long",
    "whether 3,000 counts escaped or plain text",
    "whether the app may post for members and organizations that do not administer it (access tier)",
)

LIVE_CHECKS = (
    ConnectionChecks(
        connection="person",
        required_scopes=("w_member_social",),
        checks=(_QUOTA,),
        only_live_post=_ONLY_LIVE_POST,
    ),
    ConnectionChecks(
        connection="organization",
        required_scopes=("w_organization_social",),
        optional_scopes={"r_organization_social": POST_NOT_FOUND_AGAIN},
        checks=(_QUOTA,),
        only_live_post=(
            *_ONLY_LIVE_POST,
            "whether a listing shows `content.media.id` as it was sent, and how late",
        ),
    ),
)
