"""Stop a publish worker at a failpoint past its lease; let it go on while the next holder stands at a failpoint too.

Where the worker has armed the delivery, the next holder claims it because a person, who sees nothing live, decides to
publish it again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import psycopg

from pipeline.actions.resolve import CannotResolve, publish_again
from pipeline.store.database import Unreachable
from tests.actors import TESTER
from tests.chaos.plan import AIMED_SITES, Aim
from tests.chaos.system import SystemUnderTest

FIND = 20.0
"""Seconds in which a delivery has to come by the first failpoint."""
ASK = 0.3
"""Seconds between two reads of what is due."""
FOLLOW = 40.0
"""Seconds in which the next holder has to come by the second: a lease of 6, a rescue, a decision, two queues."""
TOGETHER = 0.3
"""Seconds between the worker that goes on and the next holder: shorter than a visible call (``LATENCY_MS``)."""
BEFORE_KILL = 2.5
"""Seconds that the worker has to store its result before the next holder is killed."""
DECIDE = 1.0
"""Seconds between two decisions of the person."""
MET, ALONE, NONE = "next holder there", "no next holder", "no delivery"
"""Outcomes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A thread that waits at a failpoint until *file* is removed."""

    file: Path
    delivery: UUID
    part: str


@dataclass(frozen=True, kw_only=True)
class AimedPause:
    """One pause. *stop*, *resume* and *kill* signal a worker, by its name."""

    system: SystemUnderTest
    aim: Aim
    stop: Callable[[str], None]
    resume: Callable[[str], None]
    kill: Callable[[str], None]

    def run(self) -> Generator[None, None, str]:
        """Pause and continue, one step a tick, and return the outcome; release every thread in any case."""
        try:
            first = yield from self._find_first()
            if first is None:
                return NONE
            self.stop(first.part)
            try:
                second = yield from self._await_next_holder(first)
            finally:
                first.file.unlink(missing_ok=True)
                self.resume(first.part)
            if second is None:
                return ALONE
            yield from _wait(BEFORE_KILL if self.aim.is_deadly else TOGETHER)
            if self.aim.is_deadly:
                self.kill(second.part)
            return MET
        finally:
            for file in self.system.held.iterdir():
                file.unlink(missing_ok=True)

    def _find_first(self) -> Generator[None, None, Waiting | None]:
        """Hold the first failpoint for all deliveries that are due soon, until one comes by."""
        asked: set[UUID] = set()
        end, ask = time.monotonic() + FIND, 0.0
        while time.monotonic() < end:
            if time.monotonic() > ask:
                ask = time.monotonic() + ASK
                asked |= (new := self._list_due() - asked)
                for delivery in new:
                    self._hold(self.aim.first, delivery)
            yield
            if found := self._list_waiting(self.aim.first):
                for file in self.system.held.iterdir():
                    if file != found[0].file:
                        file.unlink(missing_ok=True)
                return found[0]
        return None

    def _await_next_holder(self, first: Waiting) -> Generator[None, None, Waiting | None]:
        self._hold(self.aim.second, first.delivery)
        end, decide = time.monotonic() + FOLLOW, time.monotonic()
        while time.monotonic() < end:
            yield
            for other in self._list_waiting(self.aim.second):
                if other.delivery == first.delivery and other.part != first.part:
                    return other
            if self.aim.is_armed and time.monotonic() > decide:
                decide = time.monotonic() + DECIDE
                self._decide(first.delivery)
        return None

    def _list_due(self) -> set[UUID]:
        try:
            return set(self.system.list_due(AIMED_SITES))
        except psycopg.OperationalError:
            return set()

    def _decide(self, delivery: UUID) -> None:
        """Decide to publish it again, as a person may who sees nothing live once nothing can appear any more.

        It may be live: a next holder is not met if another fault kills it, or if it runs in the part of the stopped
        worker, killed meanwhile.
        """
        with suppress(CannotResolve, Unreachable, psycopg.OperationalError):
            if not self.system.is_live(delivery):
                publish_again(self.system.stack.context, TESTER, delivery)

    def _hold(self, point: str, delivery: UUID) -> None:
        (self.system.held / f"{point}[{delivery}]").touch()

    def _list_waiting(self, point: str) -> list[Waiting]:
        """Return the threads that wait at this failpoint, in parts that run; ``runtime.failpoint`` names the files."""
        parts = {p.pid: name for name, p in self.system.stack.parts.items() if p.poll() is None}
        found = []
        for file in sorted(self.system.held.glob("*@*")):
            where, _, pid = file.name.rpartition("@")
            name, _, delivery = where.rstrip("]").partition("[")
            if name == point and int(pid) in parts:
                found.append(Waiting(file=file, delivery=UUID(delivery), part=parts[int(pid)]))
        return found


def _wait(seconds: float) -> Generator[None, None, None]:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        yield
