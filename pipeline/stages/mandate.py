"""The mandate of a key: how soon, how far ahead, which kinds of posts and which options it may write.

Whatever a key writes by is decided here: a new post, a batch, the row of an import, an edit, a schedule, an undo, a
retry, a replay, a resume. What takes back or holds (cancel, delete, pause) has no limit. A post that the key writes has
to be due within its times also if only the words change, or a post could be made harmless and changed in its last
minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from pipeline.domain.account import KeyLimits
from pipeline.domain.post import NO_TIME, find_form
from pipeline.stages.drafts import list_urls
from pipeline.stages.post_request import PostContent, Refusal
from pipeline.stages.post_rules import build_refusal
from pipeline.store.auth.keys import Caller

CODE = "mandate_exceeded"
POST_WIDE = ("music_url", "ai_generated", "first_comment")
"""The options of a post that belong to no platform's section."""


def refuse_beyond_mandate(
    caller: Caller, content: PostContent, dues: Mapping[UUID, datetime], now: datetime
) -> None:
    """Raise Refusal 403 mandate_exceeded for the first limit that a post breaks. *dues*: by account."""
    for refusal in find_excess(caller.limits, content, dues, now):
        raise refusal


def find_excess(
    limits: KeyLimits, content: PostContent, dues: Mapping[UUID, datetime], now: datetime
) -> Iterable[Refusal]:
    """Find all limits of the mandate that a post breaks; one without a time (``NO_TIME``) breaks none of times."""
    if not limits.has_mandate:
        return ()
    found = (
        refusal
        for account, due_at in dues.items()
        for refusal in _find_at(limits, content, account, due_at, now)
    )
    return {refusal.message: refusal for refusal in found}.values()


def find_earliest(caller: Caller, now: datetime) -> datetime:
    """Return the earliest time at which a post that the key writes now may be due."""
    return now + timedelta(minutes=caller.limits.lead_minutes or 0)


def _find_at(
    limits: KeyLimits, content: PostContent, account: UUID, due_at: datetime, now: datetime
) -> Iterator[Refusal]:
    """Find what one account's part breaks; each sentence has the limit, the value, and when it is free."""
    says, name_field = content.for_account(account), partial(content.name_field, account)
    if due_at < NO_TIME:
        yield from _find_times(limits, name_field("scheduled_at"), due_at, now)
    kind = find_form(says.media["type"], len(list_urls(says.media)))
    if limits.kinds is not None and kind not in limits.kinds:
        message = f"This key may send {_name(limits.kinds)}; this is of kind {kind}."
        yield build_refusal(name_field("media"), message, CODE, 403)
    if limits.options is not None:
        for option in _list_options(says):
            if option not in limits.options:
                message = f"This key may set {_name(limits.options)}; {option} is set."
                yield build_refusal(name_field(option), message, CODE, 403)


def _find_times(limits: KeyLimits, field: str, due_at: datetime, now: datetime) -> Iterator[Refusal]:
    lead, ahead = limits.lead_minutes, limits.ahead_days
    if lead is not None and due_at < now + timedelta(minutes=lead):
        message = (
            f"This key writes posts that are due in {lead} minutes at the earliest; this one is due at "
            f"{_write(due_at)}, and now {_write(now + timedelta(minutes=lead))} is the earliest."
        )
        yield build_refusal(field, message, CODE, 403)
    if ahead is not None and due_at > now + timedelta(days=ahead):
        message = (
            f"This key writes posts that are due within {ahead} days; this one is due at {_write(due_at)}, "
            f"and may be sent from {_write(due_at - timedelta(days=ahead))} on."
        )
        yield build_refusal(field, message, CODE, 403)


def _list_options(content: PostContent) -> Iterator[str]:
    yield from (name for name in POST_WIDE if getattr(content, name))
    for platform, section in content.options.items():
        yield from (f"{platform}.{name}" for name, value in section.items() if value is not None)


def _name(allowed: Iterable[str]) -> str:
    return ", ".join(allowed) or "no options"


def _write(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
