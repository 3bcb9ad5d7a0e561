"""Attention: the one list of everything that needs an operator, each with the command that deals with it.

And the API versions that this installation sends, with the dates when vendors retire them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform
from adapters.live_check import Finding, check_version
from pipeline.broker.queues import ALL_QUEUES, WORKER_GROUPS
from pipeline.domain.attention import Kind, Matter, build_command
from pipeline.runtime.context import Context
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
) -> Iterator[AttentionItem]:
    """Yield the items of these kinds as they are read."""
    for one in read_matters(c, queues=ALL_QUEUES, silent=silent, within=within, kinds=kinds):
        yield AttentionItem(matter=one, command=build_command(one, GROUPS))


def check_versions(context: Context, today: date) -> Mapping[Platform, Finding]:
    """Return a finding for each platform whose API has versions: whether the one that is set soon retires."""
    return {
        platform: check_version(context.platform_settings[platform].version, retirements, today)
        for platform, adapter in context.adapters.items()
        if (retirements := adapter.capabilities.retirements)
    }


def list_retirements(context: Context) -> Mapping[tuple[Platform, str], date]:
    """Return when each version that is set retires; a version without a known date counts as retired on day one."""
    return {
        (platform, version): retirements.get(version, date(1970, 1, 1))
        for platform, adapter in context.adapters.items()
        if (retirements := adapter.capabilities.retirements)
        and (version := context.platform_settings[platform].version)
    }
