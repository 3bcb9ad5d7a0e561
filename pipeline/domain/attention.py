"""Attention: the kinds of things that need an operator, what they are called, and the command that deals with each."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from pipeline.domain.delivery import Reason
from pipeline.domain.delivery_error import MEDIA_FAULTS, NOT_TRIED
from pipeline.domain.hold import Hold

OVERDUE = timedelta(minutes=1)
"""How late a delivery that is not sent yet is overdue, here and for the alert ``SlipwayOverdue``."""
HELD = timedelta(days=1)
"""The same for one that is held."""
ENDING = timedelta(days=3)
"""How long before its end a grant is listed. Renewable grants are renewed earlier (``list_due_refreshes``)."""

NOTICES = "notices"
"""What is paused, if it is no webhook of a customer but a target of notices."""


class Kind(StrEnum):
    """The kinds of things that need an operator, the most urgent first."""

    UNREAD = "unread"  #: a kind that took too long to read: a table is locked, or the database overloaded
    RESTORE = "restore"  #: nothing is sent until an operator has accepted a restore
    SILENT_QUEUE = "silent_queue"  #: no worker takes messages from a queue
    NEWER_WORKER = "newer_worker"  #: deliveries that no running worker understands whole
    ALARM = "alarm"  #: something happened within a day that must not
    UNKNOWN = "unknown"  #: deliveries whose outcome is not known yet
    BLOCKED = "blocked"  #: deliveries that wait for an operator
    RECONNECT = "reconnect"  #: accounts that have to be connected again
    PAUSED = "paused"  #: pauses, an automatic one of a platform included
    APPROVAL = "approval"  #: posts that wait for an approval
    HELD = "held"  #: deliveries that should be sent since a day and are not
    OVERDUE = "overdue"  #: deliveries that should be sent since a minute and are not
    DEAD_LETTERS = "dead_letters"  #: deliveries that failed, neither replayed nor discarded
    GRANT_ENDING = "grant_ending"  #: accounts whose grant ends soon
    WEBHOOK_PAUSED = "webhook_paused"  #: webhooks whose server does not take events, or whose key was revoked
    DELETION = "deletion"  #: deletions of workspaces of which nothing moved for an hour


@dataclass(frozen=True, kw_only=True, slots=True)
class Matter:
    """Things of one kind and cause that need an operator."""

    kind: Kind
    platform: str | None = None
    state: str | None = None
    reason: str | None = None
    """The reason of blocked deliveries, the hold of late ones; a queue, the scope of pauses or ``lock``; the kind of
    alarms, and of what could not be read.

    For webhooks, why they are paused, or ``NOTICES``.
    """
    error_class: str | None = None
    code: str | None = None
    count: int = 1
    is_capped: bool = False
    """More were not counted."""
    oldest: datetime | None = None
    account_id: UUID | None = None
    """The one account that they are of; this field and those below only where they are listed by account."""
    posts: Sequence[UUID] = ()
    """The first two."""
    due_at: datetime | None = None
    """Of an account to reconnect: when the first is due, or was."""
    next_due: datetime | None = None
    """The same of the first that is still to come."""
    words: str | None = None
    """What the platform said of one of them."""
    message: str | None = None
    """What we said of it."""
    fault: str | None = None
    """Whose fault it was: customer, platform or us."""


REFUSED = "refused"
"""The cause of failed posts that would be refused again as they are."""
CARDS: Mapping[str, frozenset[str]] = {
    "Nothing goes out": frozenset({Kind.RESTORE, Kind.SILENT_QUEUE, Kind.NEWER_WORKER}),
    "Access withdrawn": frozenset({Reason.RECONNECT}),
    "Refused by the platform": frozenset({REFUSED}),
    "Did not come through": frozenset({Kind.DEAD_LETTERS}),
    "Not sure yet": frozenset({Kind.UNKNOWN}),
    "Is it live?": frozenset({Reason.IS_IT_LIVE}),
    "Needs you": frozenset({Reason.PERSON_NEEDED}),
    "Waits for an approval": frozenset({Kind.APPROVAL}),
    "Late": frozenset({Kind.HELD, Kind.OVERDUE}),
    "Access ends soon": frozenset({Kind.GRANT_ENDING}),
    "For the operator at the server": frozenset(
        {Kind.UNREAD, Kind.ALARM, Kind.WEBHOOK_PAUSED, Kind.DELETION}
    ),
}
"""Titles of the page's cards, the most urgent first -> their causes: kinds, reasons of blocked ones, ``REFUSED``.

``Kind.RECONNECT`` and ``Reason.RECONNECT`` are one word.
"""
LATE = CARDS["Late"]
AT_THE_SERVER = CARDS["Nothing goes out"] | CARDS["For the operator at the server"]
"""Matters that only the operator at the server can deal with: the page shows the command."""


def name_cause(matter: Matter) -> str:
    """Return the cause of a matter, as ``CARDS`` has it."""
    if matter.kind is Kind.BLOCKED:
        return matter.reason or ""
    return REFUSED if matter.kind is Kind.DEAD_LETTERS and not _may_help(matter) else matter.kind


def _may_help(matter: Matter) -> bool:
    """Return True if another try of failed deliveries can succeed without an edit (`explanation._find_failure`)."""
    return matter.fault != "customer" or matter.code in MEDIA_FAULTS | NOT_TRIED


_STOPPED = (Hold.LOCKED, Hold.PAUSED, Hold.BREAKER)
_LATE_OPTIONS = ("state", "held_for", "platform")
_COMMANDS: Mapping[tuple[Kind, str | None], tuple[str, Sequence[str]]] = {
    (Kind.UNREAD, None): ("slipway attention", ()),
    (Kind.RESTORE, None): ("slipway restore status", ()),
    **dict.fromkeys(
        [(Kind.NEWER_WORKER, None), (Kind.HELD, Hold.NEWER_WORKER), (Kind.OVERDUE, Hold.NEWER_WORKER)],
        ("slipway worker publish", ()),
    ),
    (Kind.ALARM, None): ("slipway doctor", ()),
    (Kind.ALARM, "app_refused"): ("slipway pause list", ()),
    **dict.fromkeys(
        [(Kind.ALARM, "late_proof"), (Kind.ALARM, "remote_id_taken")],
        ("slipway delivery list --reason is_it_live", ()),
    ),
    (Kind.UNKNOWN, None): ("slipway delivery list --state unknown", ("platform",)),
    (Kind.BLOCKED, None): ("slipway delivery list --state blocked", ("reason", "platform")),
    (Kind.BLOCKED, Reason.PERSON_NEEDED): ("slipway dead-letter list", ("platform", "error_class", "code")),
    (Kind.RECONNECT, None): ("slipway account list", ()),
    (Kind.PAUSED, None): ("slipway pause list", ()),
    (Kind.APPROVAL, None): ("slipway post list --held-for approval", ("platform",)),
    (Kind.HELD, None): ("slipway delivery list --late ..-1d", _LATE_OPTIONS),
    (Kind.OVERDUE, None): ("slipway delivery list --late -1d..-1m", _LATE_OPTIONS),
    **dict.fromkeys(
        [(kind, hold) for kind in (Kind.HELD, Kind.OVERDUE) for hold in _STOPPED],
        ("slipway pause list", ()),
    ),
    **dict.fromkeys([(Kind.HELD, Hold.VAULT), (Kind.OVERDUE, Hold.VAULT)], ("slipway doctor", ())),
    **dict.fromkeys([(Kind.HELD, Hold.EPOCH), (Kind.OVERDUE, Hold.EPOCH)], ("slipway restore status", ())),
    (Kind.DEAD_LETTERS, None): ("slipway dead-letter list", ("platform", "error_class", "code")),
    (Kind.GRANT_ENDING, None): ("slipway account list", ()),
    (Kind.WEBHOOK_PAUSED, None): ("slipway webhook list --paused", ()),
    (Kind.WEBHOOK_PAUSED, NOTICES): ("slipway notice list", ()),
    (Kind.DELETION, None): ("slipway workspace delete --status", ()),
}
"""Kind, and a reason that has a command of its own -> the command, and which fields are its options."""


def build_command(matter: Matter, groups: Mapping[str, str]) -> str:
    """Return the command that deals with it. *groups*: the worker group of each queue."""
    if matter.kind is Kind.SILENT_QUEUE:
        return f"slipway worker {groups[matter.reason or '']} --queues {matter.reason}"
    command, names = _COMMANDS.get((matter.kind, matter.reason)) or _COMMANDS[matter.kind, None]
    values = {**asdict(matter), "held_for": matter.reason or "none"}
    given = ((name.replace("_", "-"), values[name]) for name in names)
    return " ".join([command, *(f"--{name} {shlex.quote(value)}" for name, value in given if value)])
