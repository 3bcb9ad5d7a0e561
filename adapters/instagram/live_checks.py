"""Read-only checks of a connected Instagram account."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.contract import Account, PlatformSettings
from adapters.graph_live_check import check_usage
from adapters.http import HttpClient
from adapters.instagram.client import Client
from adapters.live_check import ConnectionChecks, Finding, LiveCheck, fail, ok, warn


def _check_quota(http: HttpClient, settings: PlatformSettings, account: Account) -> Iterator[Finding]:
    reply = Client(http, settings, account).read_quota()
    quota = next(iter(reply.data.data), None)
    total = quota.config.quota_total if quota else None
    if quota is None or total is None:
        yield warn("quota", "content_publishing_limit gave no numbers")
    else:
        says = f"{quota.quota_usage} of {total} posts in 24 hours used"
        yield fail("quota", says) if quota.is_exhausted else ok("quota", says)
    yield from check_usage(reply.usage)


_QUOTA = LiveCheck(name="quota", run=_check_quota)
_ONLY_LIVE_POST = (
    "what a second `media_publish` of a published container answers",
    "whether `since`/`until` bound the media list, and whether it shows `children{media_type}`",
    "when a place in a spent quota is freed",
    "whether the app may post for people without a role in it (App Review)",
)

LIVE_CHECKS = (
    ConnectionChecks(
        connection="instagram_login",
        required_scopes=("instagram_business_basic", "instagram_business_content_publish"),
        checks=(_QUOTA,),
        only_live_post=_ONLY_LIVE_POST,
    ),
    ConnectionChecks(
        connection="facebook_login",
        required_scopes=("instagram_basic", "instagram_content_publish"),
        checks=(_QUOTA,),
        only_live_post=_ONLY_LIVE_POST,
    ),
)
