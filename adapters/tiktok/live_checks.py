"""Read-only checks of a connected TikTok account."""

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
from adapters.tiktok.client import BusinessClient, CreatorClient


def _check_creator_info(http: HttpClient, settings: PlatformSettings, account: Account) -> Iterator[Finding]:
    token = account.credentials.access_token.get_secret_value()
    info = CreatorClient(http=http, api=settings.hosts["api"], token=token).query_creator_info()
    levels = ", ".join(info.privacy_level_options)
    yield ok("quota", "creator_info lets this account post now")
    yield ok("limits", f"privacy: {levels}; videos of at most {info.max_video_post_duration_sec} s")


def _check_video_settings(
    http: HttpClient, settings: PlatformSettings, account: Account
) -> Iterator[Finding]:
    token = account.credentials.access_token.get_secret_value()
    client = BusinessClient(http=http, api=settings.hosts["business"], token=token)
    limits = client.get_settings(account.remote_id)
    yield ok("limits", f"videos of at most {limits.max_video_post_duration_sec} s")
    yield quota_not_readable("15 posts a day through the Accounts API")


LIVE_CHECKS = (
    ConnectionChecks(
        connection="creator",
        required_scopes=("user.info.basic", "video.publish"),
        optional_scopes={"video.list": POST_NOT_FOUND_AGAIN, "video.upload": "no drafts"},
        read_posts=("/v2/post/publish/creator_info/query/",),
        checks=(LiveCheck(name="quota", run=_check_creator_info),),
        only_live_post=(
            "what `video/list` shows of photo posts (title, description, where it cuts) and as `duration`",
            "how a complete upload responds to its last chunk sent again",
            'whether "too many posts" counts by calendar day or by 24 hours',
            "whether the app is audited: one that is not posts as SELF_ONLY, to private accounts",
        ),
    ),
    ConnectionChecks(
        connection="business",
        required_scopes=("video.publish",),
        optional_scopes={"video.list": POST_NOT_FOUND_AGAIN},
        read_posts=("/tt_user/token_info/get/",),
        checks=(LiveCheck(name="limits", run=_check_video_settings),),
        only_live_post=(
            "whether a sound id from a link is the `song_clip_id` a post takes",
            "where `is_draft` stands in `photo/publish`",
            "the code for an unverified URL property and for the daily limit in the Business product",
        ),
    ),
)
