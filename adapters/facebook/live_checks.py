"""Read-only checks of a connected Facebook Page."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.contract import Account, PlatformSettings
from adapters.facebook.client import Client
from adapters.graph_live_check import check_usage
from adapters.http import HttpClient
from adapters.live_check import ConnectionChecks, Finding, LiveCheck, fail, ok, quota_not_readable


def _check_page(http: HttpClient, settings: PlatformSettings, account: Account) -> Iterator[Finding]:
    reply = Client(http, settings, account).read_page()
    if reply.data.id == account.remote_id:
        yield ok("account", f"the token reads the Page {reply.data.name}")
    else:
        says = f"the token is for {reply.data.id}, not for {account.remote_id}"
        yield fail("account", says)
        return
    yield from check_usage(reply.usage)
    yield quota_not_readable("30 reels a day per Page")


LIVE_CHECKS = (
    ConnectionChecks(
        connection="page",
        required_scopes=("pages_manage_posts",),
        can_discover=False,  # a Page's token lists no Pages: the check reads the Page instead
        checks=(LiveCheck(name="account", run=_check_page),),
        only_live_post=(
            "whether a feed post made unpublished can be published by `is_published` (undocumented)",
            "whether finishing the same `video_id` twice shows one video only",
            "whether `/videos` lists reels too, and what lists show as `attachments`",
            "whether the app may post for people without a role in it (App Review)",
        ),
    ),
)
