"""The history: who changed what, and what became of posts, on the page of a post and as one page of all.

The sentences are in ``history_parts.html``. Here what they are about is read, named and put in order.
Also what has changed in a post since it was approved last.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from difflib import SequenceMatcher
from itertools import groupby
from typing import Any
from urllib.parse import urlencode
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from pipeline.dashboard.clock import find_page_zone, split_days
from pipeline.dashboard.filter import get_within, parse_id_or_none
from pipeline.dashboard.ledger import read
from pipeline.dashboard.page import find_client, page, parse_place, write_place
from pipeline.dashboard.render import render
from pipeline.dashboard.visitor import Visitor
from pipeline.domain.account import Role
from pipeline.domain.delivery import SETTLED, Mover, State
from pipeline.store.audit import (
    AuditFilter,
    AuditRow,
    Places,
    Position,
    find_actor,
    list_changes,
    list_history,
)
from pipeline.store.auth.users import list_users
from pipeline.store.deliveries.history import History, Move
from pipeline.store.posts.history import find_origin, list_shared_changes, read_names
from pipeline.store.posts.undo_log import find_last_changes
from pipeline.store.posts.views import DeliveryView, PostView

PATH = "/dashboard/history"
PAGE, SHOWN = 50, 100
"""Changes on a page of all, and of each kind on the page of a post."""
_MOST_ID = 2**63 - 1
_BY_USERS = frozenset({Mover.EDIT, Mover.CANCEL, Mover.RETRY, Mover.DECIDE, Mover.RESUME})
"""Movers whose moves have audit rows."""
_ENDS = frozenset({State.PUBLISHED, State.FAILED, State.BLOCKED, State.UNKNOWN})
_STEPS = frozenset(State) - _ENDS - {State.CANCELLED}
"""States on the way, which are told of while an account is on it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class HistoryEntry:
    """A line of the history. ``kind``: of its sentence; ``facts``: what that is about, ``row`` of a change."""

    at: datetime
    kind: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    row: AuditRow | None = None
    undo: str | None = None
    """The address that undoes the change, while it can be undone."""


# --- one post --------------------------------------------------------------------------------------------------------


def read_post_history(
    c: Connection, post: PostView, histories: Mapping[UUID, History]
) -> tuple[list[HistoryEntry], Mapping[str, str]]:
    """Return the lines of a post, newest first, and the names of what they are about."""
    changes = list_changes(c, AuditFilter(subject=str(post.id)), limit=SHOWN, newest_first=True)
    changes += list_shared_changes(c, post.id, SHOWN)
    origin = find_origin(c, post.id)
    by = None if origin.import_id is None else find_actor(c, ("apply",), "import", origin.import_id)
    entries = [
        HistoryEntry(at=post.created_at, kind="origin", facts={"origin": origin, "by": by}),
        *list_undoable(c, changes),
        *list_ends(post.deliveries, histories),
        *list_steps(post.deliveries, histories),
    ]
    return sorted(entries, key=lambda one: one.at, reverse=True), find_names(c, changes)


def list_undoable(c: Connection, found: Sequence[AuditRow]) -> list[HistoryEntry]:
    """Return the lines of audit rows, the last change of a post with the address that undoes it while it can be."""
    posts = {one for row in found if row.kind == "post" and (one := parse_id_or_none(row.subject or ""))}
    last = {audit: post for post, audit in find_last_changes(c, posts).items()}
    return [
        HistoryEntry(
            at=row.at,
            kind="change",
            row=row,
            undo=f"/dashboard/posts/{last[row.id]}/undo/{row.id}" if row.id in last else None,
        )
        for row in found
    ]


def list_ends(views: Sequence[DeliveryView], histories: Mapping[UUID, History]) -> list[HistoryEntry]:
    """Return how accounts of a post ended or got stuck by themselves; what went live in one go is one line."""
    found = sorted(_find_ends(views, histories), key=lambda one: one.at)
    return [
        _join([*group]) for _, group in groupby(found, lambda one: one.kind == State.PUBLISHED or id(one))
    ]


def list_steps(views: Sequence[DeliveryView], histories: Mapping[UUID, History]) -> list[HistoryEntry]:
    """Return the steps that accounts on their way have made since the last change: a line for the last of each kind."""
    found: dict[str, dict[UUID, HistoryEntry]] = {}
    for view in views:
        history = histories.get(view.id)
        for move in history.moves if history and State(view.state) not in SETTLED else ():
            is_own = move.generation == view.generation and move.origin and move.mover not in _BY_USERS
            if is_own and move.target in _STEPS:
                kind = "checked" if move.mover == Mover.REACHABILITY else str(move.target)
                line = HistoryEntry(at=move.at, kind=kind, facts={"account": view})
                found.setdefault(kind, {})[view.id] = line
    return [_join(sorted(lines.values(), key=lambda one: one.at)) for lines in found.values()]


def _join(group: Sequence[HistoryEntry]) -> HistoryEntry:
    """Return one line for what happened to several accounts; the last of them says when."""
    accounts = [one.facts["account"] for one in group]
    return replace(group[-1], facts={**group[-1].facts, "accounts": accounts, "first": group[0].at})


def _find_ends(views: Sequence[DeliveryView], histories: Mapping[UUID, History]) -> Iterator[HistoryEntry]:
    for view in views:
        history = histories.get(view.id)
        for move in history.moves if history else ():
            if history and move.target in _ENDS and move.mover not in _BY_USERS:
                facts = {"account": view, "mover": move.mover, **_count_tries(history, move)}
                yield HistoryEntry(at=move.at, kind=move.target, facts=facts)


def _count_tries(history: History, move: Move) -> Mapping[str, Any]:
    """Return how many attempts a move ends, and the error of the last."""
    tried = [
        one for one in history.attempts if one.generation == move.generation and one.opened_at <= move.at
    ]
    return {"tries": len(tried), "error": (tried[-1].error if tried else None) or {}}


# --- all -------------------------------------------------------------------------------------------------------------


@page("/history", Role.VIEWER)
async def show_history(request: Request, visitor: Visitor) -> Response:
    """List the changes in the visitor's workspaces, newest first, by person, client and day."""
    asked = {name: request.query_params.get(name, "") for name in ("person", "client", "day")}
    client = find_client(visitor, asked["client"], "client")
    within = get_within(visitor, Role.VIEWER)
    if client is not None or asked["person"]:  # of a person, the index finds the changes in each workspace
        within = [client] if client else visitor.workspaces(Role.VIEWER)
    is_admin = client is None and visitor.has_everywhere(Role.ADMIN)
    entries, names, persons = await read(
        request,
        _read,
        _read_filter(asked, find_page_zone(request)),
        within,
        None if is_admin else visitor.workspaces(Role.ADMIN),
        parse_place(request.query_params.get("after", ""), _read_id),
        visitor,
    )
    last = entries[PAGE - 1].row if len(entries) > PAGE else None
    after = last and write_place(last.at, last.id)
    return render(
        request,
        "history.html",
        accounts=0,
        entries=entries[:PAGE],
        names=names,
        persons=persons,
        clients={str(identity): name for identity, name in visitor.names.items()},
        asked=asked,
        following=after and f"{PATH}?{urlencode({**asked, 'after': after})}",
        path_of_page=PATH,
    )


def _read(
    c: Connection,
    chosen: AuditFilter,
    within: Places,
    administers: Places,
    after: Position | None,
    visitor: Visitor,
) -> tuple[list[HistoryEntry], Mapping[str, str], Mapping[str, str]]:
    found = list_history(c, chosen, within, administers, PAGE + 1, after)
    persons = {one.login: one.login for one in list_users(c) if {None, *visitor.roles} & one.roles.keys()}
    return list_undoable(c, found), find_names(c, found), persons


def _read_filter(asked: Mapping[str, str], zone: ZoneInfo) -> AuditFilter:
    """Return the filter of an address. Raises HTTPException 400."""
    since = until = None
    if text := asked["day"]:
        try:
            [(since, until)] = split_days(date.fromisoformat(text), 1, zone)
        except (ValueError, OverflowError):
            raise HTTPException(
                400, f"day has to be a date such as 2026-12-24: {text[:50]!r} is none."
            ) from None
    return AuditFilter(since=since, until=until, actor=asked["person"] or None)


def _read_id(text: str) -> int:
    return min(max(int(text), 0), _MOST_ID)


def find_names(c: Connection, found: Sequence[AuditRow]) -> Mapping[str, str]:
    """Return the names of what audit rows are about, by id."""
    words = {word for row in found for word in _list_words(row)}
    ids = {one for word in words if (one := parse_id_or_none(word)) is not None}
    return read_names(c, ids, words)


def _list_words(row: AuditRow) -> Iterator[str]:
    yield from (row.subject or "").split(" ")
    yield from map(str, (row.actor_id, row.after.get("discarded")))
    for side in (row.before, row.after):
        yield from side["deliveries"] if isinstance(side.get("deliveries"), Mapping) else ()


# --- since an approval -----------------------------------------------------------------------------------------------


KEPT, GONE, NEW = "kept", "gone", "new"
_EDITS = frozenset({"edit", "undo"})
_PIECES = re.compile(r"\s+|\S+")
_LONGEST = 4000
"""Characters of texts that are compared word by word."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChangesSince:
    """What changed since an approval. ``row``: all fields but the caption, as if they were one change."""

    approved: AuditRow
    row: AuditRow
    caption: Sequence[tuple[str, str]]
    """Pieces of the caption: kept, gone or new; empty: it is the same, or was too long to be kept."""


def find_changes(entries: Sequence[HistoryEntry], caption: str) -> ChangesSince | None:
    """Return what changed since the last approval, from the lines of a history, newest first; None: nothing did."""
    changes = [one.row for one in entries if one.row is not None]
    last = next((n for n, row in enumerate(changes) if row.verb == "approve"), None)
    if last is None:
        return None
    edits = [row for row in reversed(changes[:last]) if row.verb in _EDITS]
    if not edits:
        return None
    joined = _join_edits(edits)
    earlier = joined.before.get("caption")
    return ChangesSince(
        approved=changes[last],
        row=replace(joined, before=_drop_caption(joined.before), after=_drop_caption(joined.after)),
        caption=list(compare_words(earlier, caption)) if isinstance(earlier, str) else (),
    )


def _drop_caption(side: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in side.items() if name != "caption"}


def _join_edits(edits: Sequence[AuditRow]) -> AuditRow:
    """Return changes, the oldest first, as one: of each field the first value before, and the last after."""
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    for row in edits:
        _fill_before(before, row.before)
        for name, value in row.after.items():
            is_nested = isinstance(value, Mapping) and isinstance(after.get(name), Mapping)
            after[name] = {**after[name], **value} if is_nested else value
    return replace(edits[-1], before=before, after=after)


def _fill_before(before: dict[str, Any], side: Mapping[str, Any]) -> None:
    for name, value in side.items():
        if isinstance(value, Mapping) and isinstance(before.get(name), Mapping):
            before[name] = {**value, **before[name]}
        else:
            before.setdefault(name, value)


def compare_words(old: str, new: str) -> Iterator[tuple[str, str]]:
    """Yield the pieces of both texts in order, each as kept, gone or new."""
    if max(len(old), len(new)) > _LONGEST:
        yield from ((GONE, old), (NEW, new))
        return
    a, b = _PIECES.findall(old), _PIECES.findall(new)
    for tag, a1, a2, b1, b2 in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        if tag == "equal":
            yield KEPT, "".join(b[b1:b2])
            continue
        yield from (
            (kind, text) for kind, text in ((GONE, "".join(a[a1:a2])), (NEW, "".join(b[b1:b2]))) if text
        )
