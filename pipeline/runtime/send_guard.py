"""The send guard: says whether anything may be sent, and keeps the epoch's ``until`` ahead of now.

``until`` works as a lease on time: nothing is sent at or after it, and every delivery is armed before it. It costs
nothing per post, only a small file and two commits every third of a lease, by whichever process is first:

1. the send guard compares the file with the database under a lock, and commits the next number in the database;
2. it replaces the epoch file;
3. it commits in the database that the file was written, and until when posts may be sent.

A process that dies after 1 or 2 leaves a number that the database knows, so there is no alarm. A restored database does
not know the number in the file: from then on nothing is released, claimed or armed until an operator has accepted the
restore (``recovery/restore.py``).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

from sqlalchemy import Connection

from pipeline.domain.restore import Epoch, EpochMatch, compare_epochs
from pipeline.runtime.epoch_file import EpochFile
from pipeline.runtime.failpoint import failpoint
from pipeline.store.database import Database
from pipeline.store.recovery import epoch as store
from pipeline.store.recovery.epoch import Doubt, EpochState, Intent

log = logging.getLogger("slipway.mark")

CACHE_SECONDS = 0.5
"""How long a process relies on its last answer; each statement that claims or arms asks the database again."""
NEXT_STEP = "`slipway restore status` says what to do"


class SendGuard:
    """The send guard of one process. Thread-safe.

    ``epoch_file`` None: other processes keep the file, and this one relies on the database alone. ``logs``: log each
    finding once; a command that reports by itself needs no log.
    """

    def __init__(
        self, database: Database, epoch_file: EpochFile | None, lease: timedelta, *, logs: bool = True
    ) -> None:
        self.epoch_file = epoch_file
        self.lease = lease
        self._database = database
        self._lock = threading.Lock()
        self._valid_until = float("-inf")
        self._logs, self._last_logged = logs, ""

    def may_send(self) -> bool:
        """Return True if anything may be sent; advances the epoch if its time has come. Raises Unreachable."""
        if time.monotonic() < self._valid_until:
            return True
        with self._lock:
            if time.monotonic() < self._valid_until:
                return True
            with self._database.once() as c:
                state = store.read(c)
            is_open = (
                self._is_fresh(state) or self._renew() or (state.is_open and state.stored.id is not None)
            )
            if is_open:  # also where the file cannot be written: one thread at a time waits for its lock
                self._valid_until = time.monotonic() + CACHE_SECONDS
            return is_open

    def try_reopen(self) -> bool:
        """Advance the epoch after a refused claim or arm. Raises Unreachable.

        Return True if the epoch was the reason of the refusal and no longer is, so that trying again makes sense.
        """
        with self._database.once() as c:
            was_closed = not store.read(c).is_open or store.has_brought_forward(c)
        return was_closed and self._renew()

    def find_doubt(self) -> Doubt | None:
        """Return the doubt that an operator has to accept before anything is sent; None without. Raises Unreachable."""
        if self.epoch_file is not None and self.may_send():
            return None
        with self._database.once() as c:
            return store.read(c).doubt

    def _is_fresh(self, state: EpochState) -> bool:
        age = state.age
        return state.is_open and age is not None and timedelta(0) <= age < self.lease / 3

    def _renew(self) -> bool:
        if self.epoch_file is None:
            self._log_once(
                log.error, "no process keeps the epoch file: one publish worker must (SLIPWAY_MARK__KEEP)"
            )
            return False
        try:
            return self._advance(self.epoch_file)
        except OSError as error:
            folder = self.epoch_file.folder
            self._log_once(
                log.error,
                f"the epoch file in {folder} cannot be read or written, so nothing is sent: {error}",
            )
            return False

    def _advance(self, epoch_file: EpochFile) -> bool:
        with self._database.begin_brief() as c:  # every other process waits for this lock
            intent = self._intend(c, epoch_file)
        if intent is None:
            return False
        failpoint("mark.intended")
        epoch_file.record_brought_forward(intent.forward, intent.at)
        if not epoch_file.advance(intent.epoch):
            return False
        failpoint("mark.advanced")
        with self._database.begin_brief() as c:
            return store.confirm(c, intent)

    def _intend(self, c: Connection, epoch_file: EpochFile) -> Intent | None:
        """Compare and commit the next number, under the lock of the database's row.

        A process that has written the file had committed its number before, so the lock makes the comparison exact.
        """
        state, in_file = store.lock(c), epoch_file.read()
        match = compare_epochs(state.stored, in_file)
        if match in (EpochMatch.RESTORED, EpochMatch.LOST):
            self._hold(c, state, match, in_file)
            return None
        if state.doubt is not None and state.doubt.why != EpochMatch.LOST:
            return None
        if state.doubt is not None:
            store.clear_hold(c)
            self._log_once(log.warning, "the lost epoch file is back")
        return store.intend(c, state.stored.id or uuid4(), self.lease)

    def _hold(self, c: Connection, state: EpochState, match: EpochMatch, in_file: Epoch | None) -> None:
        """Store the mismatch, so that no process sends anything until an operator accepts it."""
        if match is EpochMatch.LOST and state.is_open:
            self._log_once(
                log.error,
                "other processes keep an epoch file that this one does not see: SLIPWAY_MARK__FOLDER must be the same "
                "for all of them, or SLIPWAY_MARK__KEEP be false here",
            )
            return
        until = None if in_file is None else in_file.until
        if state.doubt is None or (in_file is not None and _extends(in_file, state, state.doubt)):
            store.hold(c, match, since=state.confirmed_at, until=until)
        self._log_once(
            log.critical,
            f"the database does not match the epoch file ({match}): nothing is sent; {NEXT_STEP}",
        )

    def _log_once(self, log_at: Callable[[str], None], sentence: str) -> None:
        """Log a sentence unless it is the last one logged: the guard is asked every second."""
        if self._logs and sentence != self._last_logged:
            log_at(sentence)
            self._last_logged = sentence


def _extends(in_file: Epoch, state: EpochState, doubt: Doubt) -> bool:
    """Return True if the file says that posts were sent later than the hold knows; another epoch's cannot know it."""
    return in_file.id == state.stored.id if doubt.until is None else doubt.until < in_file.until
