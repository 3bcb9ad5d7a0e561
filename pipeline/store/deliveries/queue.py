"""The queue: pages of the deliveries that a filter selects, with a few facts of their posts.

A walk is an order in which deliveries are read along an index, from any place in it. A page reads at most ``CAP`` rows
of its walk, however rare what the filter selects is. Where they are used up before it is full, it says so, and the next
page goes on from there. With a text the page itself goes on, in the same order, through the posts that an index finds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from string import ascii_lowercase
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.domain.delivery import LOOKED_AT, SETTLED, WAITING, State
from pipeline.domain.hold import DerivedHold, list_scopes
from pipeline.domain.post import NO_TIME, PostStatus
from pipeline.store.arrays import write_ids
from pipeline.store.database import build, read_column, row
from pipeline.store.deliveries.holds import list_derived_holds, quote, read_holds
from pipeline.store.deliveries.selection import JUST_DUE, DeliveryFacts, ListFilter
from pipeline.store.selection import Keyset, among

CAP = 5_000
"""Rows that one page of the queue reads at most."""
ALL = 2**31 - 1
"""Instead of ``CAP`` where few rows are found, by an index."""
FEW, SOME = 5, 64
"""Workspaces whose deliveries, or those of a span of time, are merged from branches of each; more are looked for among
the deliveries of all."""
Within = Collection[UUID] | None
"""The workspaces whose deliveries are listed; None: all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Walk:
    """Deliveries ``d`` of one or more branches, each read along an index, merged in the order of the key."""

    branches: Sequence[str]
    """The SQL after FROM, with a condition at the end."""
    key: Keyset
    """The order, by columns of a branch; a place in it is one row's values of them, as text."""
    begin: str = "true"
    """The part of "beyond the place" that an index finds where the key's columns are of two tables."""
    values: Mapping[str, Any] = field(default_factory=dict)
    cap: int | None = None
    """Rows that one page reads at most; None: ``CAP``."""

    def build(self, *, from_place: bool) -> str:
        """Return SQL for at most ``cap`` rows with their ``places``; *from_place*: beyond the place that is bound."""
        columns = ", ".join(
            f"{name} AS {place}" for name, place in zip(self.key.columns, self.places, strict=True)
        )
        beyond = f"AND {self.key.beyond} AND {self.begin}" if from_place else ""
        parts = [
            f"(SELECT d.*, {columns} FROM {branch} {beyond} ORDER BY {self.key.order} LIMIT :cap)"
            for branch in self.branches
        ]
        return f"SELECT * FROM ({' UNION ALL '.join(parts)}) u ORDER BY {self.order} LIMIT :cap"

    @property
    def by(self) -> str:
        """Return the first column of its order, such as ``due_at``."""
        return next(iter(self.key.columns)).partition(".")[2]

    @property
    def places(self) -> Sequence[str]:
        """Return the names of the columns of a place."""
        return [f"place_{x}" for x in ascii_lowercase[: len(self.key.columns)]]

    @property
    def order(self) -> str:
        """Return the SQL that sorts the rows of all branches."""
        return self.key.sort_by(self.places)


_ID = Keyset({"d.id": "uuid"}, descending=True)
_SOONEST = Keyset({"d.next_at": "timestamptz", "d.id": "uuid"})
_DEAD = Walk(branches=["post_deliveries d WHERE d.state IN ('failed', 'blocked')"], key=_ID)
_LOOKS = Walk(
    branches=["post_deliveries d WHERE d.state IN ('preparing', 'processing', 'unknown')"], key=_SOONEST
)
_CLAIMED = Walk(
    branches=["post_deliveries d WHERE d.state IN ('queued', 'publishing')"],
    key=Keyset({"d.lease_until": "timestamptz", "d.id": "uuid"}),
)
_ACCEPTED = Walk(
    branches=["post_deliveries d WHERE d.state = 'accepted'"],
    key=Keyset({"d.post_id": "uuid", "d.id": "uuid"}, descending=True),
)
_BY_ACCOUNT = Walk(
    branches=["post_deliveries d WHERE d.account_id = :account"],
    key=Keyset({"d.created_at": "timestamptz", "d.post_id": "uuid"}, descending=True),
)
_OF_POST = "posts p JOIN post_deliveries d ON d.post_id = p.id WHERE p.deleted_at IS NULL"
_IS_DRAFT = f"p.status <> 'scheduled' AND p.due_at >= '{NO_TIME}'"
"""On a post ``p``: it has no time. An index finds the few."""
BY_CREATION = Walk(
    branches=[f"{_OF_POST} AND {_IS_DRAFT}"],
    key=Keyset({"p.created_at": "timestamptz", "p.id": "uuid", "d.id": "uuid"}, descending=True),
    begin="(p.created_at, p.id) <= (CAST(:after_a AS timestamptz), CAST(:after_b AS uuid))",
)
_FIRST_DUE = Keyset({"d.due_at": "timestamptz", "d.id": "uuid"})
_PLANNED = Walk(
    branches=[
        "post_deliveries d WHERE d.account_id = :account AND d.state IN ('accepted', 'scheduled', 'retrying')"
    ],
    key=_FIRST_DUE,
)
_BY_ACCOUNT_AND_DUE = [
    f"""post_deliveries d WHERE d.account_id = :account AND d.state {which} ('accepted', 'scheduled', 'retrying')
        AND d.due_at >= CAST(:walk_from AS timestamptz) AND d.due_at < CAST(:walk_until AS timestamptz)"""
    for which in ("IN", "NOT IN")
]
BY_IMPORT = Walk(
    branches=["posts p JOIN post_deliveries d ON d.post_id = p.id WHERE p.import_id = :import_id"],
    key=Keyset({"p.id": "uuid", "d.id": "uuid"}, descending=True),
    begin="p.id <= CAST(:after_a AS uuid)",
)
# LATERAL with LIMIT: one index lookup each, in whatever order the planner joins them
_OF_POSTS = """
unnest((SELECT CAST(:posts AS uuid[]))) s (post_id)
CROSS JOIN LATERAL (SELECT * FROM posts WHERE id = s.post_id AND deleted_at IS NULL LIMIT 1) p
CROSS JOIN LATERAL (SELECT * FROM post_deliveries WHERE post_id = s.post_id LIMIT 1000) d WHERE true"""
_NAMED = Walk(branches=["post_deliveries d WHERE d.id = ANY (CAST(:deliveries AS uuid[]))"], key=_ID)
_ALL = Walk(branches=["post_deliveries d WHERE true"], key=_ID)
BY_DUE = ("= 'scheduled'", "<> 'scheduled'")
"""Conditions on the status of a post, each with an index by due time; every post meets one."""
_OF_STATE: Mapping[str, Walk] = {
    **dict.fromkeys((State.FAILED, State.BLOCKED), _DEAD),
    **dict.fromkeys(LOOKED_AT, _LOOKS),
    **dict.fromkeys((State.QUEUED, State.PUBLISHING), _CLAIMED),
    State.ACCEPTED: _ACCEPTED,
}
"""States with an index of their own; that of waiting ones is by platform."""


def is_place(walk: Walk, parts: Sequence[str]) -> bool:
    """Return True if these texts can be a place of the walk: PostgreSQL can read each as its column's type."""
    try:
        for kind, part in zip(walk.key.columns.values(), parts, strict=True):
            _PARSERS[kind](part)
    except ValueError:
        return False
    return True


_PARSERS: Mapping[str, Callable[[str], object]] = {"uuid": UUID, "timestamptz": datetime.fromisoformat}


def choose_walk(chosen: ListFilter, within: Within, *, newest: bool = False) -> Walk:
    """Return the walk that finds the deliveries of a filter the soonest.

    With a span of time it runs by due time, or with *newest* by creation.
    """
    state = State.BLOCKED if chosen.reason else chosen.state
    spaces = [chosen.workspace] if chosen.workspace else None if within is None else sorted(within)
    few = spaces if spaces and len(spaces) <= FEW else None
    if chosen.deliveries is not None:
        return _NAMED
    if chosen.posts is not None:
        return narrow(_ALL, chosen.posts)
    if chosen.import_id is not None:
        return BY_IMPORT
    if chosen.goes_out:
        return _walk_going(spaces)
    if state in WAITING:
        return _PLANNED if chosen.account else _walk_waiting(chosen.platform, few)
    if state in _OF_STATE:
        return _OF_STATE[str(state)]
    if chosen.status == PostStatus.DRAFT:
        return BY_CREATION if few is None else _walk_newest(few, _IS_DRAFT)
    if not newest and (chosen.due_from is not None or chosen.due_until is not None):
        return _walk_span(spaces, chosen)
    if chosen.account is not None:
        return _BY_ACCOUNT
    return _ALL if few is None else _walk_newest(few)


def _walk_waiting(platform: str | None, few: Sequence[UUID] | None) -> Walk:
    """Merge the waiting ones of each platform, and workspace if they are few; the next first."""
    own = [f"d.platform = '{one}'" for one in Platform] if platform is None else ["d.platform = :platform"]
    spaces = [""] if few is None else [f" AND d.workspace_id = :space_{n}" for n in range(len(few))]
    return Walk(
        branches=[
            f"post_deliveries d WHERE {one}{space} AND d.state IN ('scheduled', 'retrying')"
            for one in own
            for space in spaces
        ],
        key=_SOONEST,
        values=_name_spaces(few),
    )


def narrow(walk: Walk, posts: Collection[UUID]) -> Walk:
    """Return a walk of the deliveries of these posts, in the same order."""
    return Walk(branches=[_OF_POSTS], key=walk.key, values={"posts": write_ids(posts)}, cap=ALL)


def _walk_newest(few: Sequence[UUID], also: str = "true") -> Walk:
    """Merge the posts of each workspace, the newest first. *also*: a condition on them."""
    return replace(
        BY_CREATION,
        branches=[f"{_OF_POST} AND p.workspace_id = :space_{n} AND {also}" for n in range(len(few))],
        values=_name_spaces(few),
    )


def _walk_span(spaces: Sequence[UUID] | None, chosen: ListFilter) -> Walk:
    """Merge what is due in a span of time, the first due first."""
    span = bind_span(chosen)
    if chosen.account is not None:
        return Walk(branches=_BY_ACCOUNT_AND_DUE, key=_FIRST_DUE, values=span)
    if chosen.unsent and chosen.due_from is None:
        return _walk_late(spaces, "d.due_at < CAST(:walk_until AS timestamptz)", span["walk_until"])
    return walk_due(spaces if spaces and len(spaces) <= SOME else [], span)


def bind_span(chosen: ListFilter) -> Mapping[str, str]:
    """Return the values of the bounds of a walk in a span of time."""
    return {
        "walk_from": str(chosen.due_from or "-infinity"),
        "walk_until": str(chosen.due_until or "infinity"),
    }


def walk_due(spaces: Sequence[UUID], span: Mapping[str, str], statuses: Sequence[str] = BY_DUE) -> Walk:
    """Merge the posts of each workspace that are due in a span of time; empty: of all workspaces.

    *statuses*: conditions on the status of a post, each with an index.
    """
    bounds = ["p.due_at >= CAST(:walk_from AS timestamptz) AND p.due_at < CAST(:walk_until AS timestamptz)"]
    if spaces:  # pairs as bounds too, or the planner takes an index of the due times of all workspaces
        bounds = [
            f"""p.workspace_id = :space_{n}
                AND (p.workspace_id, p.due_at) >= (:space_{n}, CAST(:walk_from AS timestamptz))
                AND (p.workspace_id, p.due_at) < (:space_{n}, CAST(:walk_until AS timestamptz))"""
            for n in range(len(spaces))
        ]
    return Walk(
        branches=[
            f"""posts p JOIN post_deliveries d ON d.post_id = p.id
                WHERE p.deleted_at IS NULL AND p.status {which} AND {bound}"""
            for bound in bounds
            for which in statuses
        ],
        key=Keyset({"p.due_at": "timestamptz", "p.id": "uuid", "d.id": "uuid"}),
        begin="(p.due_at, p.id) >= (CAST(:after_a AS timestamptz), CAST(:after_b AS uuid))",
        values={**_name_spaces(spaces), **span},
    )


def _walk_late(spaces: Sequence[UUID] | None, bound: str, until: str = "") -> Walk:
    """Merge what each account still has to send of the time that *bound* names, and what workers have taken of it."""
    own = "true" if spaces is None else "a.workspace_id = ANY (CAST(:spaces AS uuid[]))"
    return Walk(
        branches=[
            f"""(SELECT late.* FROM accounts a CROSS JOIN LATERAL (
                    SELECT * FROM post_deliveries d
                    WHERE d.account_id = a.id AND d.state IN ('accepted', 'scheduled', 'retrying')
                      AND {bound} ORDER BY d.due_at LIMIT :cap) late WHERE {own}) d WHERE true""",
            f"post_deliveries d WHERE d.state IN ('queued', 'publishing') AND d.armed_at IS NULL AND {bound}",
        ],
        key=_FIRST_DUE,
        values=({} if spaces is None else {"spaces": list(spaces)})
        | ({"walk_until": until} if until else {}),
    )


def _walk_going(spaces: Sequence[UUID] | None) -> Walk:
    """Merge what is just due, and what workers and platforms have."""
    just_due = _walk_late(spaces, JUST_DUE)
    taken = (State.QUEUED, State.PUBLISHING), tuple(LOOKED_AT)
    branches = [f"post_deliveries d WHERE d.state IN ({quote(states)})" for states in taken]
    return replace(just_due, branches=[just_due.branches[0], *branches])


def _name_spaces(few: Sequence[UUID] | None) -> Mapping[str, Any]:
    return {f"space_{n}": one for n, one in enumerate(few or ())}


Place = tuple[str, ...]
"""Where a page ends, in the order of its walk."""

NAMED = """
SELECT d.id FROM post_deliveries d WHERE d.id = CAST(:named AS uuid)
UNION SELECT d.id FROM post_deliveries d WHERE d.post_id = CAST(:named AS uuid)
UNION SELECT d.id FROM workspaces w JOIN replays r ON r.workspace_id = w.id AND r.token = 'id:' || :text
JOIN post_deliveries d ON d.post_id = r.post_id WHERE {within} LIMIT 1000
"""
"""Deliveries that a text names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class QueuedDelivery:
    """A delivery, and what the list shows of its post."""

    facts: DeliveryFacts
    workspace_id: UUID
    caption: str
    """Its first 300 characters."""
    source: str
    updated_at: datetime
    derived: Sequence[DerivedHold]
    """The holds on deliveries of its scopes now."""


def find_end(c: Connection, walk: Walk, chosen: ListFilter, after: Place | None) -> Place | None:
    """Return the place of the last row that a page reads; None: the walk ends before."""
    sql = f"{walk.build(from_place=after is not None)} OFFSET :last"
    end = row(c, sql, **bind(walk, chosen, after), last=(walk.cap or CAP) - 1)
    return None if end is None else read_place(walk, end)


def limit_to(chosen: ListFilter, within: Within) -> ListFilter:
    """Return the filter within these workspaces."""
    return replace(chosen, scope=replace(chosen.scope, within=None if within is None else list(within)))


def find_named(c: Connection, chosen: ListFilter, within: Within) -> ListFilter:
    """Return the filter with the deliveries that its text names, by their id, their post's, or its external id.

    Where it names none, the filter stays: its text is then looked for in captions.
    """
    if chosen.text is None:
        return chosen
    sql, values = build_named(chosen.text, within)
    found = tuple(read_column(c, sql, **values))
    return replace(chosen, text=None, deliveries=found) if found else chosen


def build_named(text: str, within: Within) -> tuple[str, dict[str, Any]]:
    """Return the statement that finds the deliveries that a text names, and its values."""
    own = among("w.id", within)
    return NAMED.format(within=own), {"text": text, "named": _parse_id(text), **own.values}


def find_accounts_named(c: Connection, name: str, within: Within) -> list[UUID]:
    """Return the accounts with this username, or ``platform:username``; at most two."""
    platform, colon, username = name.partition(":")
    own = among("workspace_id", within)
    return read_column(
        c,
        f"""SELECT id FROM accounts
            WHERE (username = :name OR (platform = :platform AND username = :username)) AND {own} LIMIT 2""",
        name=name,
        platform=platform if colon else "",
        username=username,
        **own.values,
    )


def _parse_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def bind(walk: Walk, chosen: ListFilter, after: Place | None) -> dict[str, Any]:
    """Return the values that a walk needs."""
    sql = walk.build(from_place=after is not None)
    named = {one: getattr(chosen, one) for one in ("account", "import_id", "platform") if f":{one}" in sql}
    if ":deliveries" in sql:
        named["deliveries"] = list(chosen.deliveries or ())
    return {**named, **walk.values, **walk.key.start_after(after).values, "cap": walk.cap or CAP}


def read_place(walk: Walk, found: Any) -> Place:
    """Return the place of a row of the walk."""
    return tuple(str(getattr(found, name)) for name in walk.places)


def to_deliveries(c: Connection, found: Sequence[Any]) -> list[QueuedDelivery]:
    """Return rows of ``FACTS_COLUMNS`` and of their posts, with the holds on them now."""
    open_ones = [r for r in found if r.state not in SETTLED]
    derived = list_derived_holds(c, open_ones) if open_ones else []
    return [
        build(
            QueuedDelivery,
            r,
            facts=facts,
            derived=[one for one in derived if one.covers(_list_scopes(r))],
        )
        for facts, r in zip(read_holds(DeliveryFacts, found), found, strict=True)
    ]


def _list_scopes(r: Any) -> Mapping[str, str]:
    return list_scopes(r.platform, r.workspace_id, r.account_id, r.id)
