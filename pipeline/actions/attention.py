"""Attention: the one list of everything that needs a person, each with the command that deals with it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.domain.attention import Matter, build_command
from pipeline.queues import ALL_QUEUES, WORKER_GROUPS
from pipeline.store.attention import list_matters

_GROUPS = {queue: group for group, queues in WORKER_GROUPS.items() for queue in queues}


@dataclass(frozen=True, kw_only=True, slots=True)
class AttentionItem:
    """One line of the list."""

    matter: Matter
    command: str


def list_attention(
    c: Connection, silent: timedelta, within: Collection[UUID] | None = None
) -> Sequence[AttentionItem]:
    """Return the list. *silent*: how long a queue may be without a consumer. *within*: of these workspaces only."""
    matters = list_matters(c, queues=ALL_QUEUES, silent=silent, within=within)
    return [AttentionItem(matter=one, command=build_command(one, _GROUPS)) for one in matters]
