"""The deliveries that are to be sent, and what was sent in the last 24 hours, for a forecast of their release."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Connection

from adapters.contract import Platform
from pipeline.domain.delivery import WAITING, State
from pipeline.domain.post import NO_TIME
from pipeline.domain.release_forecast import Waiting
from pipeline.store.database import read_all
from pipeline.store.deliveries.daily_quota import SENT_WITHIN_A_DAY
from pipeline.store.deliveries.holds import IS_PAUSED, IS_UNAPPROVED, quote

_TO_RELEASE = quote(WAITING | {State.ACCEPTED, State.QUEUED, State.PREPARING})


class Sent(NamedTuple):
    """A delivery that was armed, and may have been sent."""

    account: UUID
    platform: Platform
    drafts: bool
    at: datetime


def list_to_release(
    c: Connection, accounts: Collection[UUID], apps: Collection[Platform], until: datetime | None
) -> list[Waiting]:
    """Return what these accounts, and all accounts of the platforms *apps*, are to send; due before *until*."""
    return read_all(
        c,
        Waiting,
        f"""SELECT d.account_id AS account, d.platform, d.due_at AS due, d.inbox_draft AS drafts,
                   CASE WHEN {IS_PAUSED} THEN 'pause' WHEN {IS_UNAPPROVED} THEN 'approval' ELSE '' END AS hold,
                   false AS is_new
            FROM post_deliveries d
            WHERE (d.account_id = ANY(CAST(:accounts AS uuid[])) OR d.platform = ANY(CAST(:apps AS text[])))
              AND d.state IN ({_TO_RELEASE}) AND d.due_at < coalesce(CAST(:until AS timestamptz), :none)""",
        none=NO_TIME,
        accounts=list(accounts),
        apps=list(apps),
        until=until,
    )


def list_sent(c: Connection, accounts: Collection[UUID], apps: Collection[Platform]) -> list[Sent]:
    """Return what these accounts, and all accounts of the platforms *apps*, sent in the last 24 hours, in order."""
    return read_all(
        c,
        Sent,
        f"""SELECT x.id AS account, x.platform, a.inbox_draft AS drafts, a.armed_at AS at
            FROM accounts x JOIN attempts a ON a.account_id = x.id
            WHERE (x.id = ANY(CAST(:accounts AS uuid[])) OR x.platform = ANY(CAST(:apps AS text[])))
              AND {SENT_WITHIN_A_DAY} ORDER BY a.armed_at""",
        accounts=list(accounts),
        apps=list(apps),
    )
