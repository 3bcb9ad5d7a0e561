"""Changes of a post: the request and answer of an edit, the audit rows of a change, and what its undo needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.domain.audit import Actor, hide_queries
from pipeline.domain.delivery import SETTLED, State
from pipeline.domain.own_content import OwnContent
from pipeline.domain.post import IMMEDIATE
from pipeline.domain.posting_times import AutoTime
from pipeline.stages import post_rules as rules
from pipeline.stages.post_request import AcceptanceWarning, Refusal
from pipeline.stages.post_state import is_current, is_in_flight
from pipeline.store.audit import record_change
from pipeline.store.auth.keys import Caller
from pipeline.store.posts import actions as store
from pipeline.store.posts.actions import LockedDelivery, LockedPost
from pipeline.store.posts.undo_log import Befores, keep_tokens, list_befores, log_change
from pipeline.store.posts.views import find_workspace_of_post, read_post
from pipeline.store.steering.receipts import pause_again

CANNOT_UNDO = "cannot_undo"
CHANGED = "It was changed since: nothing was undone."
PASSED = "Its earlier time has passed: give it a new one."
TAKEN = "Another post has taken its external_id, its row of an import or its body since: it stays canceled."
LIVE = "The platform shows it live: look at the account. It stays canceled."


@dataclass(frozen=True, kw_only=True, slots=True)
class Undoing:
    """The undo that an edit is. It makes nothing due, and sends nothing that had failed."""

    befores: Befores
    """The deliveries that the change moved, or could have moved."""
    generations: Mapping[UUID, int] = field(default_factory=dict)
    """After the change, as far as they have to be the same now."""
    restores: frozenset[UUID] = frozenset()
    """Canceled deliveries that it brings back."""
    audit: int | None = None
    """The audit row of the change; None: a steering job made it."""

    @property
    def goes_out(self) -> bool:
        """True if a delivery was to be sent before the change."""
        return not SETTLED.issuperset(before.state for before in self.befores.values())

    @property
    def failed(self) -> frozenset[UUID]:
        """The deliveries that had failed."""
        return frozenset(one for one, before in self.befores.items() if before.state is State.FAILED)

    def refuse_changed(self, post: LockedPost) -> None:
        """Raise Refusal 409 if the post was changed, published or found live since the change, or retried by it."""
        for part in post.deliveries:
            state = None if part.id not in self.befores else self.befores[part.id].state
            if self._is_changed(part, was_published=state is State.PUBLISHED):
                raise Refusal(409, CANNOT_UNDO, CHANGED)
            if state is State.FAILED and part.state not in {State.FAILED, State.CANCELLED}:
                raise Refusal(409, CANNOT_UNDO, "The change sent what had failed again: a retry has no undo.")
            if part.is_proven_live and part.state is State.CANCELLED and state not in {None, State.CANCELLED}:
                raise Refusal(409, "post_in_flight", LIVE)

    def _is_changed(self, part: LockedDelivery, *, was_published: bool) -> bool:
        is_canceled, is_published = part.state is State.CANCELLED, part.state is State.PUBLISHED
        if part.id in self.restores and (not is_canceled or part.edits != self.befores[part.id].edits):
            return True
        generation = self.generations.get(part.id)
        return generation is not None and (generation != part.generation or is_published > was_published)

    def refuse_due(self, due_at: datetime, now: datetime) -> None:
        """Raise Refusal 400 for a time at which the undo would make a delivery due."""
        if due_at <= now + IMMEDIATE and self.goes_out:
            raise rules.build_refusal("scheduled_at", PASSED)

    def finish(self, c: Connection, post: LockedPost) -> None:
        """Pause what is brought back as it was, and keep the post's tokens. Raises Refusal 409 if one is taken.

        *post*: as it was before the undo, under its lock.
        """
        canceled = {part.id for part in post.deliveries if part.state is State.CANCELLED}
        pause_again(c, self.befores, canceled)
        tokens = {token for one in self.restores for token in self.befores[one].tokens}
        if not keep_tokens(c, post.id, tokens):
            raise Refusal(409, CANNOT_UNDO, TAKEN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """The changes a client asks for: the values of the fields named in ``given``, with valid shape and types."""

    given: frozenset[str]
    caption: str = ""
    media: Mapping[str, Any] | None = None
    account_ids: Sequence[UUID] = ()
    scheduled_at: datetime | None = None
    auto: AutoTime | None = None
    """The times of accounts without one of their own are their next free posting times."""
    music_url: str | None = None
    options: Mapping[Platform, Mapping[str, Any] | None] = field(default_factory=dict)
    """The platforms' sections that were sent; None removes a section."""
    ai_generated: bool = False
    first_comment: str | None = None
    own: Mapping[UUID, OwnContent] = field(default_factory=dict)
    """What entries of the accounts that were sent carry; the others have the post's content from now on."""
    shifts: bool = False
    """Every account moves by as much as the post does to ``scheduled_at``, those with a time of their own too."""
    external_id: str | None = None
    """The post's own, if it was sent along: another one is refused."""
    draft: bool = False
    """It describes a draft: refused for a post that is on its way."""
    schedules: bool = False
    """It sends a draft on its way: refused for any other post."""
    only_free: bool = False
    """The times that it gives have to be free at their accounts: refused if another post has taken one."""
    undoes: Undoing | None = None
    by_approver: bool = False
    """It gives the time that an approval needs, and makes its caller no editor of the post."""

    @property
    def restores(self) -> frozenset[UUID]:
        """The canceled deliveries that it brings back, if it is an undo."""
        return frozenset() if self.undoes is None else self.undoes.restores


@dataclass(frozen=True, kw_only=True, slots=True)
class EditResult:
    """A committed edit."""

    id: UUID
    status: str
    scheduled_at: datetime
    version: str
    warnings: Sequence[AcceptanceWarning] = ()


def require_post(c: Connection, caller: Caller, post_id: UUID, *, lock: bool = True) -> LockedPost:
    """Return a post to act on. Raises Refusal 404."""
    post = store.read(c, caller.workspace_id, post_id, lock=lock, accounts=caller.accounts)
    if post is None:
        raise Refusal(404, "not_found", "There is no such post.")
    return post


def refuse_in_flight(parts: Iterable[LockedDelivery]) -> None:
    """Raise Refusal 409 when one of these deliveries is or may be live."""
    for part in parts:
        if is_in_flight(part):
            reason = "may still be finished" if part.may_be_live else "is being sent, or may be live already"
            raise Refusal(
                409,
                "post_in_flight",
                f"The part for {part.platform} account {part.account_id} {reason}; nothing was changed.",
            )


def refuse_stale(c: Connection, caller: Caller, post_id: UUID, if_match: str | None) -> None:
    """Raise Refusal 412 unless one of the tags of If-Match is that of the post; None: whichever it is."""
    if if_match is None:
        return
    view = read_post(c, caller.workspace_id, post_id, caller.accounts)
    if view is None or not is_current(if_match, view):
        raise Refusal(412, "precondition_failed", "The post has changed since you read it: read it again.")


_CHANGES = TypeAdapter(Change)


def record_edit(
    c: Connection, actor: Actor | None, before: LockedPost, after: LockedPost, undoes: Undoing | None
) -> None:
    """Record an edit, in its transaction: the fields and the states of deliveries that it changed."""
    sides = _describe(before), _describe(after)
    if undoes is not None:
        named = {**sides[1], "undoes": undoes.audit}
        record_change(c, actor, "undo", "post", before.id, before.workspace_id, sides[0], named)
        return
    audit = record_change(c, actor, "edit", "post", before.id, before.workspace_id, *sides)
    generations = {part.id: part.generation for part in after.deliveries}
    undoing = Undoing(befores=list_befores(before.deliveries), generations=generations)
    _log(c, audit, before.id, _invert(before, after, undoing))


def record_cancel(
    c: Connection, actor: Actor | None, post: LockedPost, parts: Sequence[LockedDelivery]
) -> None:
    """Record that deliveries of a post are canceled, in the transaction."""
    audit = record_states(c, actor, "cancel", post, parts, State.CANCELLED)
    generations = {part.id: part.generation + 1 for part in parts}
    undoing = Undoing(befores=list_befores(parts), generations=generations, restores=frozenset(generations))
    _log(c, audit, post.id, Change(given=frozenset(), undoes=undoing))


def _log(c: Connection, audit: int | None, post: UUID, undo: Change) -> None:
    if audit is not None:
        log_change(c, audit, post, _CHANGES.dump_python(undo, mode="json", exclude_defaults=True))


def load_undo(stored: Mapping[str, Any], audit: int, scheduled_at: datetime | None) -> Change:
    """Return the edit that undoes a logged change. *scheduled_at*: the post's new time, instead of its earlier one."""
    undo = _CHANGES.validate_python(stored)
    undoes = None if undo.undoes is None else replace(undo.undoes, audit=audit)
    if scheduled_at is None:
        return replace(undo, undoes=undoes)
    return replace(undo, undoes=undoes, given=undo.given | {"scheduled_at"}, scheduled_at=scheduled_at)


def _invert(before: LockedPost, after: LockedPost, undoing: Undoing) -> Change:
    """Return the edit that gives back the fields that differ."""
    old, new = _list_fields(before), _list_fields(after)
    given = frozenset(name for name in old if old[name] != new[name])
    sections = before.options.keys() | after.options.keys()
    return Change(
        given=given - {"options"},
        caption=before.caption,
        media=before.media if "media" in given else None,
        account_ids=[*old["accounts"]],
        own={account: own for account, own in old["accounts"].items() if own is not None},
        scheduled_at=before.base_due_at,
        music_url=before.music_url,
        options={p: before.options.get(p) for p in sections if before.options.get(p) != after.options.get(p)},
        ai_generated=before.ai_generated,
        first_comment=before.first_comment,
        undoes=undoing,
    )


def _list_fields(post: LockedPost) -> Mapping[str, Any]:
    """Return the fields of an edit, by the names that ``Change.given`` has for them."""
    names = ("caption", "media", "music_url", "options", "ai_generated", "first_comment")
    accounts = {part.account_id: part.own for part in post.deliveries if part.state is not State.CANCELLED}
    return {**{n: getattr(post, n) for n in names}, "scheduled_at": post.base_due_at, "accounts": accounts}


def record_states(
    c: Connection,
    actor: Actor | None,
    verb: str,
    post: LockedPost,
    parts: Iterable[LockedDelivery],
    target: State,
    **after: Any,
) -> int | None:
    """Record that these deliveries of a post are moved to *target*; *after*: what else is so from now on."""
    states = {str(part.id): part.state for part in parts}
    sides = {"deliveries": states}, {"deliveries": dict.fromkeys(states, target), **after}
    return record_change(c, actor, verb, "post", post.id, post.workspace_id, *sides)


def record_move(
    c: Connection,
    actor: Actor | None,
    verb: str,
    delivery: UUID,
    post: UUID,
    *,
    origin: State | str,
    target: State,
    **after: Any,
) -> None:
    """Record that one delivery of a post is moved from *origin* to *target*; *after*: what else is so from now on."""
    workspace, identity = find_workspace_of_post(c, post), str(delivery)
    sides = {"deliveries": {identity: origin}}, {"deliveries": {identity: target}, **after}
    record_change(c, actor, verb, "post", post, workspace, *sides)


def _describe(post: LockedPost) -> Mapping[str, Any]:
    return {
        "caption": post.caption,
        "media": hide_queries(post.media),
        "music_url": hide_queries(post.music_url),
        "options": hide_queries(post.options),
        "ai_generated": post.ai_generated,
        "first_comment": post.first_comment,
        "scheduled_at": post.due_at,
        "deliveries": {str(part.id): part.state for part in post.deliveries},
        **({"own": {str(i): hide_queries(one.to_body()) for i, one in post.own.items()}} if post.own else {}),
    }
