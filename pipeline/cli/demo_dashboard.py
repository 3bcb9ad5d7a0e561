"""The objects that the demo makes on a running stack, so that each page of the dashboard has something to see."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from pipeline.cli.demo_client import control_sandbox, create_post, open_tables

if TYPE_CHECKING:
    from pipeline.cli.demo_stack import Stack

PAUSED, REFUSING = "pinterest", "facebook"
"""Platforms of the sandbox accounts that the demo itself does not publish to."""
WHY = "by `slipway demo`, which lifts it when it ends"
"""A reason that marks the demo's own pause: an operator's stays."""
DAYS = (1, 2, 5)
"""From today, of the posts that are scheduled for all accounts."""
HOUR = 10
"""Of the day, in UTC: the calendar shows it without scrolling."""
REASON = "The video file is corrupt"


@contextmanager
def pause_account(stack: Stack, marker: str) -> Iterator[Sequence[str]]:
    """Pause an account while the block runs, on a stack that stays; yield the posts that are due and wait for it."""
    from pipeline.actions.pauses import pause_during
    from pipeline.cli.actor import find_actor

    if stack.is_temporary or (account := stack.summary.accounts.get(PAUSED)) is None:
        yield ()
        return
    with pause_during(partial(open_tables, stack), find_actor(), "account", account, WHY):
        yield [_post(stack, f"Slipway {marker}: waits for its account", [account])]


def leave_for_dashboard(stack: Stack, marker: str) -> Mapping[str, Any]:
    """Schedule posts, and let a post fail. Return what was left.

    The failure is ordered for the one account that it is about, so that it meets no other post.
    """
    accounts = stack.summary.accounts
    posts = [_schedule(stack, marker, timedelta(days=days), accounts) for days in DAYS]
    if (refusing := accounts.get(REFUSING)) is not None:
        _order_failure(stack, refusing)
        posts.append(_post(stack, f"Slipway {marker}: refused by the platform", [refusing]))
    return {"posts": posts}


def _schedule(stack: Stack, marker: str, ahead: timedelta, accounts: Mapping[str, str]) -> str:
    due = (datetime.now(UTC) + ahead).replace(hour=HOUR, minute=0, second=0, microsecond=0)
    caption = f"Slipway {marker}: for {due:%A}"
    return _post(stack, caption, list(accounts.values()), scheduled_at=due.isoformat())


def _post(stack: Stack, caption: str, accounts: list[str], **more: str) -> str:
    media = {"type": "video", "url": f"{stack.summary.media}/media/sample.mp4"}
    body = {"caption": caption, "media": media, "accounts": [{"id": account} for account in accounts], **more}
    return create_post(stack, body)


def _order_failure(stack: Stack, account: str) -> None:
    from uuid import UUID

    from pipeline.store.accounts.accounts import list_accounts

    with open_tables(stack) as c:
        [remote] = [one.remote_id for one in list_accounts(c) if one.id == UUID(account)]
    fault = {"platform": REFUSING, "step": "any", "fault": "fail-processing", "times": 1, "account": remote}
    control_sandbox(stack, "POST", "faults", json={**fault, "reason": REASON})
