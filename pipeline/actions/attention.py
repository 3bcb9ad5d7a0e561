"""Attention: the one list of everything that needs an operator, each with the command that deals with it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Connection

from pipeline.broker.queues import ALL_QUEUES, WORKER_GROUPS
from pipeline.domain.attention import Kind, Matter, build_command
from pipeline.store.attention import read_matters

GROUPS = {queue: group for group, queues in WORKER_GROUPS.items() for queue in queues}


@dataclass(frozen=True, kw_only=True, slots=True)
class AttentionItem:
    """One line of the list."""

    matter: Matter
    command: str


def list_attention(
    c: Connection, silent: timedelta, within: Collection[UUID] | None = None
) -> Sequence[AttentionItem]:
    """Return the list. *silent*: how long a queue may be without a consumer. *within*: of these workspaces only."""
    return [*read_attention(c, silent, within)]


def read_attention(
    c: Connection,
    silent: timedelta,
    within: Collection[UUID] | None = None,
    kinds: Collection[Kind] = tuple(Kind),
    *,
    by_account: bool = False,
) -> Iterator[AttentionItem]:
    """Yield the items of these kinds as they are read."""
    for one in read_matters(
        c, queues=ALL_QUEUES, silent=silent, within=within, kinds=kinds, by_account=by_account
    ):
        yield AttentionItem(matter=one, command=build_command(one, GROUPS))
