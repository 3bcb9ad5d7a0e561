"""Accept a restore: after a database was restored from a backup, decide what may have been sent since and go on.

Until an operator accepts the restore, nothing is released, claimed, armed or looked at, and no post from before it may
be changed; posts can be read and created. Accepting is one transaction: unresolved deliveries become unknown, and a
new epoch begins in the database and in the epoch file. A crash before its commit changes nothing: accept it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from adapters.errors import OutcomeUnknown
from pipeline.domain.audit import Actor
from pipeline.domain.delivery_error import RESTORED
from pipeline.domain.restore import Epoch, EpochMatch
from pipeline.runtime.context import Context
from pipeline.runtime.epoch_file import EpochFile
from pipeline.runtime.failpoint import failpoint
from pipeline.runtime.send_guard import NEXT_STEP, SendGuard
from pipeline.stages.post_request import Refusal
from pipeline.store.audit import record_change
from pipeline.store.deliveries.error_fields import error_to_dict
from pipeline.store.recovery import epoch as epochs
from pipeline.store.recovery import restores as store
from pipeline.store.recovery.epoch import Doubt
from pipeline.store.recovery.restores import Doubtful, Span

IN_DOUBT = (
    "The database was restored from a backup, and the restore is not accepted yet: "
    "nothing is sent, and nothing that was there before can be changed"
)
_MAY_BE_LIVE = OutcomeUnknown(
    f"{RESTORED} The platform was not asked yet.",
    code="restored",
    next_action="Slipway asks the platform. What it cannot prove, an operator decides.",
)


class CannotAccept(Exception):
    """Nothing is unresolved, or an option is missing; the message says which."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Acceptance:
    """The statements of an operator who accepts. ``until`` is needed if the epoch file was lost."""

    until: datetime | None = None
    nothing_sent: str | None = None
    """How they know that nothing was sent since the backup; None if they do not know that."""
    taken_since: bool = True
    """True if due posts that were created since the restore count as unresolved too: they may repeat lost ones."""


def refuse_unresolved(context: Context) -> None:
    """Raise Refusal 503 while a restore is not accepted."""
    if context.send_guard.find_doubt() is not None:
        raise Refusal(503, "unavailable", f"{IN_DOUBT}. Repeat it later.")


def explain_doubt(context: Context) -> str | None:
    """Return the sentence for an operator, with the next step; None if nothing is unresolved."""
    return None if context.send_guard.find_doubt() is None else f"{IN_DOUBT}: {NEXT_STEP}."


def find_span(doubt: Doubt, epoch_file: EpochFile, acceptance: Acceptance) -> Span | None:
    """Return the unresolved time, with deliveries brought forward in it; None: its end is not known. Raises OSError."""
    until = max((instant for instant in (doubt.until, acceptance.until) if instant is not None), default=None)
    if until is None:
        return None
    return Span(
        since=doubt.since,
        until=until,
        forward=epoch_file.list_brought_forward(doubt.since),
        taken_since=acceptance.taken_since,
    )


def declare(
    context: Context, actor: Actor, epoch_file: EpochFile, *, since: datetime, until: datetime | None
) -> Doubt:
    """Make the time from *since* unresolved: an operator says that database and epoch file were restored together.

    *until* None: until the epoch file's time, else now. Raises OSError.
    """
    in_file = epoch_file.read()
    with context.database.begin() as c:
        now = epochs.lock(c).now
        end = until or max(now, in_file.until if in_file else now)
        epochs.hold(c, "declared", since=since, until=end)
        doubt = epochs.read(c).doubt
        record_change(c, actor, "declare", "restore", None, after={"since": since, "until": end})
    if doubt is None:
        raise LookupError("The doubt that was stored is not there.")
    return doubt


def accept(
    context: Context, actor: Actor, epoch_file: EpochFile, acceptance: Acceptance
) -> Sequence[Doubtful]:
    """Make the unresolved deliveries unknown and begin a new epoch. Return them. Raises CannotAccept, OSError."""
    send_guard = SendGuard(
        context.database, epoch_file, timedelta(seconds=context.settings.mark.lease), logs=False
    )
    send_guard.may_send()  # compares again: is there still a mismatch, and until when
    epoch = uuid4()
    with context.database.begin() as c:
        doubt = epochs.lock(c).doubt
        if doubt is None:
            raise CannotAccept("Nothing is unresolved: the database and the epoch file are in step.")
        if doubt.why == EpochMatch.RESTORED and epoch_file.read() is None:
            raise CannotAccept(
                f"There is no epoch file in {epoch_file.folder}: run this with the workers' SLIPWAY_MARK__FOLDER."
            )
        span = find_span(doubt, epoch_file, acceptance)
        if span is None and acceptance.nothing_sent is None:
            raise CannotAccept(
                "There is no epoch file, so it is not known until when posts were sent: give that time with --until, "
                "or say with --nothing-sent how you know that this database lacks nothing."
            )
        found = [] if span is None or acceptance.nothing_sent is not None else store.find_doubtful(c, span)
        now = epochs.begin_epoch(c, epoch)
        in_doubt = None if acceptance.nothing_sent is not None else span
        store.record_restore(c, epoch, doubt.why, in_doubt, acceptance.nothing_sent)
        if found and span is not None:
            store.mark_unknown(
                c,
                found,
                span,
                epoch,
                error=error_to_dict(_MAY_BE_LIVE),
                why="it may have gone out since the backup",
                deadline=span.until + timedelta(seconds=context.settings.publish.slice),
            )
        record_change(
            c, actor, "accept", "restore", epoch, after={**asdict(acceptance), "deliveries": len(found)}
        )
        # no later than the unresolved time: if the commit fails, this is what the next comparison finds
        epoch_file.begin(Epoch(id=epoch, number=1, until=span.until if span is not None else now))
        failpoint("restore.begun")
    send_guard.may_send()
    context.dispatcher.send_slot_now()
    return found
