"""Retries, looks and daily quotas, by the settings and a platform's capabilities.

A daily quota is of its account or our app, and that of posts or that of inbox drafts.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from adapters.contract import Adapter, Capabilities, Platform
from adapters.errors import CredentialsExpired
from config.settings import Settings
from pipeline.domain.delivery_error import LAST_LOOK
from pipeline.domain.verdict import RetryPolicy, RetryState
from pipeline.runtime.context import Context
from pipeline.store.deliveries.claim import ClaimedDelivery
from pipeline.store.deliveries.daily_quota import DailyQuota
from pipeline.store.deliveries.error_fields import find_answer
from pipeline.store.posts.options import DraftOptions, Options


def is_inbox_draft(adapter: Adapter | type[Adapter], section: Mapping[str, Any] | None) -> bool:
    """Return True if a post with this section leaves a draft for the account's owner to publish."""
    return adapter.post_options is not None and adapter.post_options.is_inbox_draft(section or {})


def list_draft_options(context: Context) -> DraftOptions:
    """Return by platform the options that ``is_inbox_draft`` looks for; a platform without drafts is missing."""
    models = {platform: adapter.post_options for platform, adapter in context.adapters.items()}
    return {
        platform: model.inbox_drafts for platform, model in models.items() if model and model.inbox_drafts
    }


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
    """Return the word for the posts that a quota counts."""
    return "inbox drafts" if drafts else "posts"


def build_retry_policy(s: Settings, can: Capabilities) -> RetryPolicy:
    """Return the policy from the settings and the platform's capabilities, with the jitter of this one verdict."""
    return RetryPolicy(
        tries=s.publish.tries,
        backoff=timedelta(seconds=s.publish.backoff),
        cap=timedelta(seconds=s.publish.backoff_cap),
        chance=random.random(),  # noqa: S311  jitter, not a secret
        settle=settle_window(s, can),
        look_first=look_first(s, can),
        look_longest=can.look_every[1],
        asked_cap=look_first(s, can) * 4 if s.publish.look_first else None,
        look_limit=can.look_limit,
        crashes=s.publish.crashes,
        time_limit=timedelta(seconds=s.publish.patience),
        media_time_limit=timedelta(seconds=s.publish.media_patience),
        outage_cap=timedelta(seconds=s.publish.outage_cap),
    )


def settle_window(s: Settings, can: Capabilities) -> timedelta:
    """Return how long after a visible call a platform may still show the post for the first time."""
    return timedelta(seconds=s.publish.settle_window) if s.publish.settle_window else can.settle_window


def may_appear_until(armed_deadline: datetime | None, s: Settings, can: Capabilities) -> datetime | None:
    """Return until when a call armed with this deadline may still make a post appear; None if none was armed.

    The call's bytes leave before the deadline, the platform may act as long as the call lasts, and show the post a
    settle window later.
    """
    if armed_deadline is None:
        return None
    return armed_deadline + timedelta(seconds=s.publish.call) + settle_window(s, can)


def look_first(s: Settings, can: Capabilities) -> timedelta:
    """Return the first pause before a look at a post that the platform works on."""
    return timedelta(seconds=s.publish.look_first) if s.publish.look_first else can.look_every[0]


def build_retry_state(claimed: ClaimedDelivery, s: Settings, can: Capabilities) -> RetryState:
    """Return the state of a claimed delivery, by the database's clock at the claim."""
    appears_until = may_appear_until(claimed.armed_deadline, s, can)
    late = appears_until is not None and claimed.now > appears_until
    answer = find_answer(claimed.error)
    left = timedelta(0) if appears_until is None else appears_until - claimed.now
    last = (claimed.error or {}).get(LAST_LOOK, claimed.error) or {}
    return RetryState(
        spent=claimed.spent,
        looks=claimed.looks,
        unexpected_errors=claimed.surprises,
        stale_before=last.get("class") == CredentialsExpired.__name__,
        armed=claimed.armed_at is not None,
        waited=timedelta(0) if claimed.working_since is None else claimed.now - claimed.working_since,
        absent_before=claimed.absent_at is not None,
        late_enough=late,
        may_appear_for=max(left, timedelta(0)),
        unavailable_for={party: claimed.now - since for party, since in claimed.streaks.items()},
        platform_code=answer.get("platform_code"),
        platform_message=answer.get("platform_message"),
        refusal=answer.get("refusal"),
        in_doubt=claimed.in_doubt,
    )
