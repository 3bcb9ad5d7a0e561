"""Walks: the orders in which the queue reads deliveries, each along an index, from any place in it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from string import ascii_lowercase
from typing import Any
from uuid import UUID

from adapters.contract import Platform
from pipeline.domain.delivery import LOOKED_AT, WAITING, State
from pipeline.store.deliveries.listing import ListFilter

CAP = 5_000
"""Rows that one page of the queue reads at most."""
FEW = 5
"""Workspaces whose deliveries are merged from one branch each; more are looked for among the deliveries of all."""
Within = Collection[UUID] | None
"""The workspaces whose deliveries are listed; None: all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Walk:
    """Deliveries ``d`` of one or more branches, each read along an index, merged in the order of the key."""

    branches: Sequence[str]
    """The SQL after FROM, with a condition at the end."""
    key: Mapping[str, str]
    """Column -> its type: the parts of a place."""
    forward: bool = False
    begin: str = "true"
    """The part of "beyond the place" that an index finds where the key's columns are of two tables."""
    values: Mapping[str, Any] = field(default_factory=dict)

    def build(self, *, from_place: bool) -> str:
        """Return SQL for at most ``cap`` rows with their ``places``; *from_place*: beyond after_a, after_b …."""
        columns = ", ".join(
            f"{name} AS place_{x}" for name, x in zip(self.key, ascii_lowercase, strict=False)
        )
        beyond = f"AND {self._compare()}" if from_place else ""
        order = ", ".join(f"{name} {self.direction}" for name in self.key)
        parts = [
            f"(SELECT d.*, {columns} FROM {branch} {beyond} ORDER BY {order} LIMIT :cap)"
            for branch in self.branches
        ]
        return f"SELECT * FROM ({' UNION ALL '.join(parts)}) u ORDER BY {self.order} LIMIT :cap"

    @property
    def direction(self) -> str:
        """Return ASC or DESC."""
        return "ASC" if self.forward else "DESC"

    @property
    def places(self) -> Sequence[str]:
        """Return the names of the columns of a place."""
        return [f"place_{x}" for x in ascii_lowercase[: len(self.key)]]

    @property
    def order(self) -> str:
        """Return the columns to sort by."""
        return ", ".join(f"{name} {self.direction}" for name in self.places)

    def _compare(self) -> str:
        place = ", ".join(
            f"CAST(:after_{x} AS {kind})" for kind, x in zip(self.key.values(), ascii_lowercase, strict=False)
        )
        return f"({', '.join(self.key)}) {'>' if self.forward else '<'} ({place}) AND {self.begin}"


_ID = {"d.id": "uuid"}
_SOONEST = {"d.next_at": "timestamptz", "d.id": "uuid"}
_DEAD = Walk(branches=["deliveries d WHERE d.state IN ('failed', 'blocked')"], key=_ID)
_LOOKS = Walk(
    branches=["deliveries d WHERE d.state IN ('preparing', 'processing', 'unknown')"],
    key=_SOONEST,
    forward=True,
)
_CLAIMED = Walk(
    branches=["deliveries d WHERE d.state IN ('queued', 'publishing')"],
    key={"d.lease_until": "timestamptz", "d.id": "uuid"},
    forward=True,
)
_ACCEPTED = Walk(
    branches=["deliveries d WHERE d.state = 'accepted'"],
    key={"d.post_id": "uuid", "d.id": "uuid"},
)
_BY_ACCOUNT = Walk(
    branches=["deliveries d WHERE d.account_id = :account"],
    key={"d.created_at": "timestamptz", "d.post_id": "uuid"},
)
_PLANNED = Walk(
    branches=[
        "deliveries d WHERE d.account_id = :account AND d.state IN ('accepted', 'scheduled', 'retrying')"
    ],
    key={"d.due_at": "timestamptz", "d.id": "uuid"},
    forward=True,
)
_BY_IMPORT = Walk(
    branches=["posts p JOIN deliveries d ON d.post_id = p.id WHERE p.import_id = :import_id"],
    key={"p.id": "uuid", "d.id": "uuid"},
    begin="p.id <= CAST(:after_a AS uuid)",
)
_NAMED = Walk(branches=["deliveries d WHERE d.id = ANY (CAST(:deliveries AS uuid[]))"], key=_ID)
_ALL = Walk(branches=["deliveries d WHERE true"], key=_ID)
_OF_STATE: Mapping[str, Walk] = {
    **dict.fromkeys((State.FAILED, State.BLOCKED), _DEAD),
    **dict.fromkeys(LOOKED_AT, _LOOKS),
    **dict.fromkeys((State.QUEUED, State.PUBLISHING), _CLAIMED),
    State.ACCEPTED: _ACCEPTED,
}
"""States with an index of their own; that of waiting ones is by platform."""


def is_place(walk: Walk, parts: Sequence[str]) -> bool:
    """Return True if these texts can be a place of the walk: PostgreSQL takes each for what it is."""
    try:
        for kind, part in zip(walk.key.values(), parts, strict=True):
            _PARSERS[kind](part)
    except ValueError:
        return False
    return True


_PARSERS: Mapping[str, Callable[[str], object]] = {"uuid": UUID, "timestamptz": datetime.fromisoformat}


def choose_walk(chosen: ListFilter, within: Within) -> Walk:
    """Return the walk that comes to what a filter selects the soonest."""
    state = State.BLOCKED if chosen.reason else chosen.state
    spaces = [chosen.workspace] if chosen.workspace else None if within is None else sorted(within)
    few = spaces if spaces and len(spaces) <= FEW else None
    if chosen.deliveries is not None:
        return _NAMED
    if chosen.import_id is not None:
        return _BY_IMPORT
    if state in WAITING:
        return _PLANNED if chosen.account else _walk_waiting(chosen.platform, few)
    if state in _OF_STATE:
        return _OF_STATE[str(state)]
    if chosen.account is not None:
        return _BY_ACCOUNT
    return _ALL if few is None else _walk_newest(few)


def _walk_waiting(platform: str | None, few: Sequence[UUID] | None) -> Walk:
    """Merge the waiting ones of each platform, and workspace if they are few; the next first."""
    own = [f"d.platform = '{one}'" for one in Platform] if platform is None else ["d.platform = :platform"]
    spaces = (
        [""] if few is None else [f" AND d.workspace_id = :space_{x}" for x in ascii_lowercase[: len(few)]]
    )
    return Walk(
        branches=[
            f"deliveries d WHERE {one}{space} AND d.state IN ('scheduled', 'retrying')"
            for one in own
            for space in spaces
        ],
        key=_SOONEST,
        forward=True,
        values=_name_spaces(few),
    )


def _walk_newest(few: Sequence[UUID]) -> Walk:
    """Merge the posts of each workspace, the newest first."""
    return Walk(
        branches=[
            f"""posts p JOIN deliveries d ON d.post_id = p.id
                WHERE p.workspace_id = :space_{x} AND p.deleted_at IS NULL"""
            for x in ascii_lowercase[: len(few)]
        ],
        key={"p.created_at": "timestamptz", "p.id": "uuid", "d.id": "uuid"},
        begin="(p.created_at, p.id) <= (CAST(:after_a AS timestamptz), CAST(:after_b AS uuid))",
        values=_name_spaces(few),
    )


def _name_spaces(few: Sequence[UUID] | None) -> Mapping[str, Any]:
    return {f"space_{x}": one for x, one in zip(ascii_lowercase, few or (), strict=False)}
