"""The daily limit of a platform: which one counts for a delivery, that of posts or that of inbox drafts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapters.contract import Adapter, Capabilities
from pipeline.context import Context


def is_inbox_draft(adapter: Adapter, section: Mapping[str, Any]) -> bool:
    """Return True if a post with this section leaves a draft for the account's owner to publish."""
    return adapter.post_options is not None and adapter.post_options.is_inbox_draft(section)


def find_daily_limit(context: Context, can: Capabilities, *, drafts: bool = False) -> int | None:
    """Return how many posts, or inbox drafts, a rolling day may have; None: no limit, or it is lifted."""
    if context.settings.sandbox.lifted:
        return None
    return can.daily_drafts if drafts else can.daily_posts
