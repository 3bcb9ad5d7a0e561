"""Roles: what a user of the dashboard may do in a workspace."""

from __future__ import annotations

from enum import Enum
from functools import total_ordering


@total_ordering
class Role(Enum):
    """A role includes every smaller one: ``Role.VIEWER < Role.ADMIN``."""

    VIEWER = "viewer"  #: sees everything of the workspace
    AUTHOR = "author"  #: also edits, reschedules, cancels, and retries posts
    OPERATOR = "operator"  #: also pauses, decides, steers, connects accounts
    ADMIN = "admin"  #: also ends the sessions of other users

    def __lt__(self, other: Role) -> bool:
        return _RANK[self] < _RANK[other]


_RANK = {role: rank for rank, role in enumerate(Role)}
