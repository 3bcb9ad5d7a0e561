"""After a database was put back from a backup: what is in doubt, and a person's word that lets sending go on.

While a restore is not accepted nothing is released, claimed, armed or looked at, and nothing that was taken before may
be changed; posts can be read and taken. Accepting is one transaction: what may have gone out becomes unknown, and a new
epoch begins outside the database and in it. A crash before its commit leaves everything as it was: accept it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from adapters.errors import OutcomeUnknown
from pipeline.context import Context
from pipeline.domain.epoch import Judgement, Mark
from pipeline.failpoint import failpoint
from pipeline.recovery.epoch_file import Outside
from pipeline.recovery.send_guard import NEXT, SendGuard
from pipeline.stages.post_request import Refusal
from pipeline.store.deliveries.moves import error_fields
from pipeline.store.recovery import epoch as marks
from pipeline.store.recovery import restores as store
from pipeline.store.recovery.epoch import Doubt
from pipeline.store.recovery.restores import Doubtful, Span

IN_DOUBT = (
    "The database was restored from a backup, and nobody has accepted yet what may have gone out since: "
    "nothing is sent, and nothing that was there before can be changed"
)
_MAY_BE_OUT = OutcomeUnknown(
    "The database was restored from a backup, and this may have gone out since.",
    code="restored",
    next_action="It is looked at; where the platform cannot tell, look at the account and say so.",
)


class CannotAccept(Exception):
    """Nothing is in doubt, or something has to be said with it; the message says which."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Word:
    """What a person says when they accept. ``until`` is needed where the mark was lost."""

    until: datetime | None = None
    nothing_sent: str | None = None
    """Why they know that nothing was sent since the backup; None: they do not know that."""
    taken_since: bool = True
    """Whether due posts that were taken since the restore are held to be repeats until somebody has looked."""


def refuse_in_doubt(context: Context) -> None:
    """Raises Refusal 503 while a restore is not accepted."""
    if context.send_guard.doubt() is not None:
        raise Refusal(503, "unavailable", f"{IN_DOUBT}. Repeat it later.")


def said_in_doubt(context: Context) -> str | None:
    """The same for an operator, with the next step; None: nothing is in doubt."""
    return None if context.send_guard.doubt() is None else f"{IN_DOUBT}: {NEXT}."


def span_of(doubt: Doubt, outside: Outside, word: Word) -> Span | None:
    """The time in doubt, and what was brought forward in it; None while nobody can say until when. Raises OSError."""
    until = max((moment for moment in (doubt.until, word.until) if moment is not None), default=None)
    if until is None:
        return None
    return Span(
        since=doubt.since, until=until, forward=outside.noted(doubt.since), taken_since=word.taken_since
    )


def declare(context: Context, outside: Outside, *, since: datetime, until: datetime | None) -> Doubt:
    """A person says that the database is older than what was sent: where the mark went back with it, only they know.

    ``until`` None: until what the mark says, else until now. Raises OSError.
    """
    found = outside.read()
    with context.database.begin() as c:
        now = marks.lock(c).now
        told = until or max(now, found.until if found else now)
        marks.hold(c, "declared", since=since, until=told)
        doubt = marks.read(c).doubt
    if doubt is None:
        raise LookupError("The doubt that was stored is not there.")
    return doubt


def accept(context: Context, outside: Outside, word: Word) -> Sequence[Doubtful]:
    """Turns what may have gone out into unknown, begins a new epoch; what was turned. Raises CannotAccept, OSError."""
    send_guard = SendGuard(
        context.database, outside, timedelta(seconds=context.settings.mark.lease), logs=False
    )
    send_guard.open()  # whether there still is a mismatch, and until when
    epoch = uuid4()
    with context.database.begin() as c:
        doubt = marks.lock(c).doubt
        if doubt is None:
            raise CannotAccept("Nothing is in doubt: the database and the mark are in step.")
        if doubt.why == Judgement.RESTORED and outside.read() is None:
            raise CannotAccept(f"There is no mark in {outside.folder}: run this where the workers' is.")
        span = span_of(doubt, outside, word)
        if span is None and word.nothing_sent is None:
            raise CannotAccept(
                "There is no mark, so nobody knows until when posts were sent: say it with --until, or say with "
                "--nothing-sent how you know that this database lacks nothing."
            )
        found = [] if span is None or word.nothing_sent is not None else store.find(c, span)
        now = marks.begin_epoch(c, epoch)
        sent = None if word.nothing_sent is not None else span
        store.note(c, epoch, doubt.why, sent, word.nothing_sent)
        if found and span is not None:
            store.turn(
                c,
                found,
                span,
                epoch,
                error=error_fields(_MAY_BE_OUT),
                said="it may have gone out since the backup",
                deadline=span.until + timedelta(seconds=context.settings.publish.slice),
            )
        # no later than what is in doubt: if the commit fails, this is what the next comparison finds
        outside.begin(Mark(epoch=epoch, n=1, until=span.until if span is not None else now))
        failpoint("restore.begun")
    send_guard.open()
    context.dispatcher.now()
    return found
