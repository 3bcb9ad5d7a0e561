"""The daily quota that a delivery counts towards: of its account or our app, that of posts or that of inbox drafts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.contract import Adapter, Platform
from pipeline.runtime.context import Context
from pipeline.store.deliveries.daily_quota import DailyQuota
from pipeline.store.posts.options import Options


def is_inbox_draft(adapter: Adapter | type[Adapter], section: Mapping[str, Any] | None) -> bool:
    """Return True if a post with this section leaves a draft for the account's owner to publish."""
    return adapter.post_options is not None and adapter.post_options.is_inbox_draft(section or {})


def list_draft_options(context: Context) -> Options:
    """Return by platform the options that ``is_inbox_draft`` looks for; a platform without drafts is missing."""
    models = {platform: adapter.post_options for platform, adapter in context.adapters.items()}
    return {platform: model.inbox_draft for platform, model in models.items() if model and model.inbox_draft}


def find_daily_quota(context: Context, platform: Platform, *, drafts: bool) -> DailyQuota | None:
    """Return the quota of a platform's posts, or of its inbox drafts; None: there is none, or it is lifted."""
    can = context.adapters[platform].capabilities
    allowed = can.daily_drafts if drafts else can.daily_posts
    if allowed is None or context.settings.sandbox.lifted:
        return None
    return DailyQuota(allowed, can.daily_per, drafts)


def find_post_quota(context: Context, platform: Platform, options: Options) -> DailyQuota | None:
    """Return the quota of a platform that a post with these options counts towards, as ``find_daily_quota``."""
    drafts = is_inbox_draft(context.adapters[platform], options.get(platform))
    return find_daily_quota(context, platform, drafts=drafts)


def name_counted(*, drafts: bool) -> str:
    """Return the word for what a quota counts."""
    return "inbox drafts" if drafts else "posts"
