"""Keeps the mark ahead of now, first outside the database, then in it; and says whether anything may be sent.

A lease on time: a mark outside says that nothing was sent at or after ``until``, and what is armed is armed before it.
So it costs nothing per post, only a small file and two commits every third of a lease, by whoever comes first:

1. the database learns the next number (committed), after the number outside was found to be one that it knows;
2. the file outside is replaced;
3. the database learns that it was, and until when it may send.

A process that dies after 1 or 2 leaves a number that the database knows: no alarm. A database that was restored does
not know the number outside: from then on nothing is released, claimed or armed until a person has accepted it
(``stages/restore.py``).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

from sqlalchemy import Connection

from pipeline.domain.epoch import Judgement, Mark, judge
from pipeline.failpoint import failpoint
from pipeline.recovery.epoch_file import Outside
from pipeline.store.database import Database
from pipeline.store.recovery import epoch as store
from pipeline.store.recovery.epoch import Doubt, Intent, Kept

log = logging.getLogger("slipway.mark")

SURE = 0.5
"""Seconds a process believes that the mark is open; each statement that sends asks for itself."""


class SendGuard:
    """One a process. ``outside`` None: others keep the mark, and this one only goes by what the database says.

    ``logs``: what it finds, once; whoever tells a person by itself needs no log.
    """

    def __init__(
        self, database: Database, outside: Outside | None, lease: timedelta, *, logs: bool = True
    ) -> None:
        self.outside = outside
        self.lease = lease
        self._database = database
        self._lock = threading.Lock()
        self._sure_until = float("-inf")
        self._logs, self._said = logs, ""

    def open(self) -> bool:
        """Whether anything may be sent; advances the mark when it is time to. Raises Unreachable."""
        if time.monotonic() < self._sure_until:
            return True
        with self._lock:
            if time.monotonic() < self._sure_until:
                return True
            with self._database.once() as c:
                kept = store.read(c)
            if self._is_fresh(kept) or self._renew():
                self._sure_until = time.monotonic() + SURE
                return True
            return kept.open and kept.inside.epoch is not None

    def reopened(self) -> bool:
        """For who was refused: whether the mark stood in the way, and no longer does. Raises Unreachable."""
        with self._database.once() as c:
            waits = not store.read(c).open or store.any_brought_forward(c)
        return waits and self._renew()

    def doubt(self) -> Doubt | None:
        """What a person has to accept before anything is sent; None: nothing is in doubt. Raises Unreachable."""
        if self.outside is not None and self.open():
            return None
        with self._database.once() as c:
            return store.read(c).doubt

    def _is_fresh(self, kept: Kept) -> bool:
        age = kept.age
        return kept.open and age is not None and timedelta(0) <= age < self.lease / 3

    def _renew(self) -> bool:
        if self.outside is None:
            self._say(log.error, "nobody keeps the mark: one publish worker must (SLIPWAY_MARK__KEEP)")
            return False
        try:
            return self._advance(self.outside)
        except OSError as error:
            self._say(
                log.error, f"the mark cannot be kept in {self.outside.folder}, so nothing is sent: {error}"
            )
            return False

    def _advance(self, outside: Outside) -> bool:
        with self._database.begin() as c:
            intent = self._intend(c, outside)
        if intent is None:
            return False
        failpoint("mark.intended")
        outside.note(intent.forward, intent.at)
        if not outside.advance(intent.mark):
            return False
        failpoint("mark.advanced")
        with self._database.begin() as c:
            return store.confirm(c, intent)

    def _intend(self, c: Connection, outside: Outside) -> Intent | None:
        """The comparison, under the lock of the database's half: whoever wrote outside had committed its number."""
        kept, found = store.lock(c), outside.read()
        judgement = judge(kept.inside, found)
        if judgement in (Judgement.RESTORED, Judgement.LOST):
            self._found(c, kept, judgement, found)
            return None
        if kept.doubt is not None and kept.doubt.why != Judgement.LOST:
            return None
        if kept.doubt is not None:
            store.let_go(c)
            self._say(log.warning, "the mark outside the database is there again")
        return store.intend(c, kept.inside.epoch or uuid4(), self.lease)

    def _found(self, c: Connection, kept: Kept, judgement: Judgement, found: Mark | None) -> None:
        if judgement is Judgement.LOST and kept.open:
            self._say(
                log.error,
                "others keep a mark, and this process does not see it: SLIPWAY_MARK__FOLDER must be the same for all "
                "that keep it, or SLIPWAY_MARK__KEEP be false here",
            )
            return
        until = None if found is None else found.until
        if kept.doubt is None or (
            until is not None and kept.doubt.until is not None and kept.doubt.until < until
        ):
            store.hold(c, judgement, since=kept.marked_at, until=until)
        self._say(
            log.critical, f"the database does not go with the mark ({judgement}): nothing is sent, {NEXT}"
        )

    def _say(self, how: Callable[[str], None], sentence: str) -> None:
        """Once, not every second."""
        if self._logs and sentence != self._said:
            how(sentence)
            self._said = sentence


NEXT = "`slipway restore status` says what to do"
