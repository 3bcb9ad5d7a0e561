"""The plan of an edit: the version that it makes of a post, by every rule that needs no check of its media.

An edit that sends ``accounts`` alone changes only the deliveries whose account has other content or another time by
then: the others keep their generation, and what a worker has prepared of them.

Times of single accounts that it sets: the next free posting times, or those of before a change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from pipeline.actions.post_changes import Change, Undoing
from pipeline.domain.delivery import SETTLED, State
from pipeline.domain.own_content import OwnContent, place_media
from pipeline.domain.post import PostStatus, is_immediate
from pipeline.domain.posting_times import AutoTime
from pipeline.runtime.context import Context
from pipeline.stages import media_checks
from pipeline.stages import post_rules as rules
from pipeline.stages.drafts import MUSIC
from pipeline.stages.mandate import find_earliest, refuse_beyond_mandate
from pipeline.stages.post_request import PostContent
from pipeline.stages.post_state import compute_status
from pipeline.stages.posting_times import find_times, give_times, lock_taken, refuse_taken
from pipeline.store.accounts.accounts import AccountRow, find_accounts
from pipeline.store.auth.keys import Caller
from pipeline.store.checks.checks import Check
from pipeline.store.posts.actions import LockedDelivery, LockedPost

_ENTRIES_ALONE = frozenset({"accounts", "external_id"})


@dataclass(frozen=True, kw_only=True, slots=True)
class EditPlan:
    """The version that an edit makes of the present post."""

    post: LockedPost
    change: Change
    content: PostContent
    base_due_at: datetime
    """When accounts without a time of their own are due."""
    dues: Mapping[UUID, datetime]
    """By account that the post is still to be published to."""
    timed: frozenset[UUID]
    """Accounts that the edit gives a time: what failed there is sent again."""
    accounts: Mapping[UUID, AccountRow]
    """The accounts that the post is still to be published to."""
    links: Sequence[media_checks.Link]
    renewed: frozenset[int]
    """Positions whose URL this edit sends."""

    @property
    def undoes(self) -> Undoing | None:
        """The undo that the edit is."""
        return self.change.undoes

    @property
    def due_at(self) -> datetime:
        """When the first of these accounts is due."""
        return min(self.dues.values(), default=self.base_due_at)

    @property
    def kept(self) -> Mapping[int, Check]:
        """The pinned checks that still hold: of links this edit does not send, and not found bad."""
        return {
            n: check
            for n, check in self.post.checks.items()
            if n not in self.renewed
            and check.verdict in (None, "good")
            and n in {link[0] for link in self.links}
        }

    @property
    def restored(self) -> frozenset[UUID]:
        """The deliveries that alone are changed: canceled ones that an undo brings back at their time; empty: all."""
        is_moved = self.base_due_at != self.post.base_due_at
        return frozenset() if is_moved else self.change.restores

    @property
    def can_publish(self) -> bool:
        """Return True if a delivery of the post can be published after this edit."""
        if self.undoes is not None:
            return self.undoes.goes_out
        return bool(self.timed) or compute_status(self.post) is not PostStatus.FAILED

    def pick_fresh(self, checks: Mapping[int, Check]) -> Mapping[int, Check]:
        """Return the checks that the edit has opened."""
        return {n: check for n, check in checks.items() if n not in self.kept}

    def pick_checks(self, account: UUID, checks: Mapping[int, Check]) -> Mapping[int, Check]:
        """Return the checks of what an account publishes."""
        return media_checks.pick(checks, self.content.get_base(account))

    def rests(self, account: UUID) -> bool:
        """Return True if nothing is sent to an account: the post has failed, and gets no time there."""
        if self.undoes is not None:
            return not self.undoes.goes_out
        return account not in self.timed and compute_status(self.post) is PostStatus.FAILED

    def leaves(self, part: LockedDelivery, checks: Mapping[int, Check]) -> bool:
        """Return True if the edit changes nothing about a delivery, neither its content, time nor checks."""
        account = part.account_id
        if (
            not self.change.given <= _ENTRIES_ALONE
            or part.state is State.CANCELLED
            or account not in self.dues
        ):
            return False
        old = media_checks.pick(self.post.checks, 0 if part.own is None else part.own.base)
        return (
            self.content.own.get(account) == part.own
            and self.dues[account] == part.due_at
            and media_checks.map_check_ids(self.pick_checks(account, checks))
            == media_checks.map_check_ids(old)
        )


def plan_edit(context: Context, c: Connection, caller: Caller, post: LockedPost, change: Change) -> EditPlan:
    """Build the new version and apply every rule that does not need its media. Raises Refusal."""
    change = _fix_times(c, caller, post, change)
    out = {part.account_id for part in post.deliveries if part.state is State.PUBLISHED}
    ids = [i for i in _list_accounts(post, change) if i not in out]
    content = _build_content(post, change, ids)
    rules.refuse_newer(context, max(post.level, content.level))
    base_due_at, dues, timed = _plan_times(post, change, content, ids)
    late = [due for i, due in dues.items() if i in timed and post.expires_at and post.expires_at <= due]
    if late and post.expires_at is not None:
        message = f"scheduled_at must be earlier than the post's expires_at, {post.expires_at.isoformat()}."
        raise rules.build_refusal("scheduled_at", message)
    accounts = _select_accounts(c, caller, post, change)
    rules.refuse_account_conflicts(context, content, accounts)
    for refusal in rules.find_media_conflicts(context, content):
        raise refusal
    going = {a.id: a for a in accounts if a.id not in out}
    changed = {i: dues[i] for i in going if not _is_left(post, change, content, i, dues[i])}
    if change.only_free:
        refuse_taken(c, [*going.values()], changed, caller.time_zone, post.now)
    refuse_beyond_mandate(caller, content, changed, post.now)
    rules.refuse_problems(context, caller, content, list(going.values()), {})
    music = rules.parse_music_link(context, content.music_url)
    requested = media_checks.list_links(content.media, music, content.own.values())
    renewed = {n for n, *_ in requested if _is_sent(n, post, change)}
    sent = [link for link in requested if link[0] in renewed]
    media_checks.refuse_files_of_others(context, c, caller, sent)
    return EditPlan(
        post=post,
        change=change,
        content=content,
        base_due_at=base_due_at,
        dues={i: due for i, due in dues.items() if i in going},
        timed=timed if change.undoes is None else frozenset(),  # what failed before an undo stays failed
        accounts=going,
        links=requested,
        renewed=frozenset(renewed),
    )


def _list_accounts(post: LockedPost, change: Change) -> Sequence[UUID]:
    """Return the accounts sent, else the present ones."""
    if "accounts" in change.given:
        return change.account_ids
    there = [p for p in post.deliveries if p.state is not State.CANCELLED or p.id in change.restores]
    return [p.account_id for p in there]


def _select_accounts(c: Connection, caller: Caller, post: LockedPost, change: Change) -> Sequence[AccountRow]:
    """Return the accounts sent, else the present ones, inactive ones too: this edit does not choose them."""
    ids = _list_accounts(post, change)
    if "accounts" in change.given:
        return rules.select_accounts(c, caller, ids)
    return find_accounts(c, caller.workspace_id, ids)


def _is_sent(position: int, post: LockedPost, change: Change) -> bool:
    """Return True if the edit sends the link at this position; media of an account that are as before keep theirs."""
    if position == MUSIC:
        return "music_url" in change.given
    base = media_checks.get_base(position)
    if base:
        return all(part.own is None or part.own.base != base for part in post.deliveries)
    return "media" in change.given


def _build_content(post: LockedPost, change: Change, ids: Iterable[UUID]) -> PostContent:
    """Return the content of the new version. What an account has published stays its own."""
    given, stored = change.given, {part.account_id: part.own for part in post.deliveries}
    own = {i: change.own.get(i) if "accounts" in given else stored.get(i) for i in ids}
    if change.shifts:
        own = {i: _shift(one, post, change) for i, one in own.items()}
    published = {p.account_id: p.own for p in post.deliveries if p.state is State.PUBLISHED}
    kept = {i: one for i, one in (own | published).items() if one is not None}
    sections = {**post.options, **change.options}
    return PostContent(
        caption=change.caption if "caption" in given else post.caption,
        media=change.media if change.media is not None else post.media,
        music_url=change.music_url if "music_url" in given else post.music_url,
        options={p: options for p, options in sections.items() if options is not None},
        ai_generated=change.ai_generated if "ai_generated" in given else post.ai_generated,
        first_comment=change.first_comment if "first_comment" in given else post.first_comment,
        own=place_media(kept, stored),
    )


def _shift(own: OwnContent | None, post: LockedPost, change: Change) -> OwnContent | None:
    if own is None or own.scheduled_at is None:
        return own
    return replace(own, scheduled_at=own.scheduled_at + ((change.scheduled_at or post.now) - post.due_at))


def _plan_times(
    post: LockedPost, change: Change, content: PostContent, ids: Sequence[UUID]
) -> tuple[datetime, dict[UUID, datetime], frozenset[UUID]]:
    """Return the base due time, the due times by account, and the accounts that get one by the edit. Raises Refusal."""
    moved, now = "scheduled_at" in change.given, post.now
    asked = (change.scheduled_at or now) if moved else post.base_due_at
    if moved and change.shifts:
        asked += post.base_due_at - post.due_at
    own = {i: content.own[i].scheduled_at for i in ids if i in content.own}
    parts = {part.account_id: part for part in post.deliveries}
    before = {i: part.own.scheduled_at for i, part in parts.items() if part.own is not None}
    for i in ids if change.undoes is not None else ():
        due_at = own.get(i) or asked
        if change.undoes is not None and not _is_left(post, change, content, i, due_at):
            change.undoes.refuse_due(due_at, now)
    if moved:
        _refuse_no_move(change, [own.get(i) for i in ids])
        rules.resolve_due_at(change.scheduled_at, now)
        asked = now if is_immediate(asked, now) else max(asked, now)
    kept = {i: parts[i].due_at for i in ids if own.get(i) is not None and own[i] == before.get(i)}
    others = [i for i in ids if i not in kept]
    if change.shifts:
        dues = {i: asked if (time := own.get(i)) is None else max(time, now) for i in others}
    else:
        dues = rules.resolve_own_times(content, others, asked, now)
    timed = frozenset(i for i in others if moved or own.get(i) != before.get(i))
    return asked, {**kept, **dues}, timed


def _is_left(post: LockedPost, change: Change, content: PostContent, account: UUID, due_at: datetime) -> bool:
    """Return True if the edit changes neither the content nor the time of an account, and restores nothing there."""
    part = next((one for one in post.deliveries if one.account_id == account), None)
    if part is None or part.id in change.restores:
        return False
    is_same = (content.own.get(account), due_at) == (part.own, part.due_at)
    return bool(change.restores and not change.given) or (is_same and change.given <= _ENTRIES_ALONE)


def _refuse_no_move(change: Change, times: Sequence[datetime | None]) -> None:
    """Raise Refusal if a new time of the post is nobody's."""
    is_plain = change.undoes is None and not change.shifts and "accounts" not in change.given
    if is_plain and times and None not in times:
        message = (
            "scheduled_at moves no account: each has a time of its own. Send accounts with their new times."
        )
        raise rules.build_refusal("scheduled_at", message)


# --- times of single accounts ----------------------------------------------------------------------------------------


def _fix_times(c: Connection, caller: Caller, post: LockedPost, change: Change) -> Change:
    """Return the change with the times that are free now. Raises Refusal if an account has none within a year.

    Times that the post itself has taken are free for it, and for no other post until the commit.
    """
    own = {p.account_id: p.own for p in post.deliveries if p.own is not None}
    own = dict(change.own) if "accounts" in change.given else own
    asked = _list_asked(post, change, own)
    if not asked:
        return change
    accounts = {account.id: account for account in find_accounts(c, caller.workspace_id, list(asked))}
    taken = lock_taken(c, asked, post.now)
    for part in post.deliveries:
        if part.state not in SETTLED and part.due_at in taken.get(part.account_id, ()):
            taken[part.account_id].remove(part.due_at)
    known = {i: auto for i, auto in asked.items() if i in accounts}
    found = find_times(known, accounts, caller.time_zone, taken, find_earliest(caller, post.now))
    if len(found) == 1 and not own and "accounts" not in change.given:
        return replace(change, auto=None, scheduled_at=next(iter(found.values())))
    return replace(
        change,
        auto=None,
        given=(change.given - {"scheduled_at"}) | {"accounts"},
        account_ids=change.account_ids or [part.account_id for part in _list_present(post)],
        own=give_times(own, found),
        shifts=False,
    )


def _list_present(post: LockedPost) -> list[LockedDelivery]:
    return [part for part in post.deliveries if part.state is not State.CANCELLED]


def _list_asked(post: LockedPost, change: Change, own: Mapping[UUID, OwnContent]) -> dict[UUID, AutoTime]:
    """Return the accounts whose times are to be found: not of what they have published."""
    published = {part.account_id for part in post.deliveries if part.state is State.PUBLISHED}
    is_sent = "accounts" in change.given
    asked: dict[UUID, AutoTime] = {}
    for account in change.account_ids if is_sent else [part.account_id for part in _list_present(post)]:
        entry = own.get(account)
        has_time = entry is not None and entry.scheduled_at is not None and is_sent
        auto = entry.auto if entry is not None and entry.auto is not None else change.auto
        if auto is not None and not has_time and account not in published:
            asked[account] = auto
    return asked


def move_singly(post: LockedPost, undoes: Undoing) -> Change:
    """Return the edit that gives each account its earlier time, as its own."""
    there = _list_present(post)
    own = {part.account_id: part.own for part in there if part.own is not None}
    earlier = {p.account_id: undoes.befores[p.id].due_at for p in there if p.id in undoes.befores}
    accounts = [part.account_id for part in there]
    timed = give_times(own, earlier)
    return Change(given=frozenset({"accounts"}), account_ids=accounts, own=timed, undoes=undoes)
