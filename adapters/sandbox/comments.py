"""Comments on live posts: records by platform and post, of which those of our accounts have a line in the ledger.

The control API adds the comments of others, or of an account by hand. Listings show the newest first.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from adapters.sandbox.accounts import random_digits
from adapters.sandbox.store import COMMENT, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from adapters.sandbox.context import SandboxContext
    from adapters.sandbox.dialect import Refused
    from adapters.sandbox.endpoint import Call
    from adapters.sandbox.store import LivePost

NEW_IDS: Final[Mapping[str, Callable[[], str]]] = {
    "instagram": lambda: random_digits(17, "180"),
    "facebook": lambda: f"{random_digits(15, '12')}_{random_digits(15, '34')}",
    "youtube": lambda: f"Ug{secrets.token_urlsafe(18)}",
    "linkedin": lambda: random_digits(19, "7"),
}
"""New ids of comments, by the platforms that have them."""


def add(
    context: SandboxContext, live: LivePost, author: Record, text: str, *, status: str = "published"
) -> Record:
    """Store a comment of `author` (remote_id, username) on a live post, and return it."""
    platform, now = live.entry["platform"], context.clock.now()
    record: Record = {"key": NEW_IDS[platform](), "platform": platform, "on": live.entry["remote_id"]}
    record |= {"author": author["remote_id"], "name": author["username"], "text": text, "status": status}
    record |= {"created": now, "visible_at": now}
    context.store.put(COMMENT, record["key"], record)
    return record


def publish(call: Call, account: Record, live: LivePost, text: str, *, status: str = "published") -> Record:
    """Store the comment that the request sends, with its line in the ledger, and return it."""
    late = call.take_visibility_delay()
    record = add(call.context, live, account, text, status=status)
    call.save(COMMENT, record, visible_at=record["created"] + late)
    on = live.entry["remote_id"]
    call.context.publish(
        account,
        kind=COMMENT,
        remote_id=record["key"],
        caption=text,
        media=[],
        url=live.entry["url"],
        late=late,
        on=on,
        status=status,
    )
    return record


def get_post(call: Call, remote_id: str, account: Record, unknown: Refused) -> LivePost:
    """Return the account's live post of that id. Raises `unknown` without one, also while reads do not show it yet."""
    live = call.context.ledger.find(call.endpoint.platform, remote_id)
    if live is None or live.entry["account"] != account["remote_id"] or not call.is_visible(live):
        raise unknown
    return live


def list_on(call: Call, live: LivePost) -> list[Record]:
    """Return the comments on a post, newest first; none under the fault `late-visibility`."""
    if call.take_fault("late-visibility") is not None:
        return []
    now = call.context.clock.now()
    return [one for one in _list_all(call.context, live)[::-1] if one["visible_at"] <= now]


def count(context: SandboxContext, live: LivePost) -> int:
    """Return the number of comments on a post, whether or not a listing shows them."""
    return len(_list_all(context, live))


def _list_all(context: SandboxContext, live: LivePost) -> list[Record]:
    key = (live.entry["platform"], live.entry["remote_id"])
    comments = context.store.get_all(COMMENT).values()
    return [one for one in comments if (one["platform"], one["on"]) == key]
