"""Fault hooks of the state machine: crash, pause, or lose the database at a named point, within this process."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Connection

from pipeline.broker.dispatch import BrokerMessage, Dispatcher
from pipeline.runtime import failpoint as points
from pipeline.stages import deadline
from pipeline.store.database import Database, Unreachable


class Died(BaseException):
    """A simulated SIGKILL of the worker: product code must not catch it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FaultPlan:
    """The fault of one piece of work. ``at``: a failpoint's name, or the number of a transaction (from 1)."""

    at: str | int = ""
    how: str = ""
    """At a failpoint ``dies`` or ``pauses``; at a transaction ``dies after``, ``refused`` or ``answer lost``."""


NO_FAULT = FaultPlan()


class Worker:
    """A piece of work in its own thread. One worker runs at a time, until its end or the fault of its plan.

    So two workers can be in the middle of the same delivery, and the state machine chooses which one continues.
    """

    def __init__(self, what: str, work: Callable[[], object]) -> None:
        self.what = what
        self.plan = NO_FAULT
        self._work = work
        self._error: BaseException | None = None
        self._is_over = False
        self._paused, self._resumed = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def run(self, plan: FaultPlan) -> bool:
        """Run until the work ends (True) or pauses (False); raise its error."""
        self.plan = plan
        if self._thread.ident is None:
            self._thread.start()
        else:
            self._resumed.release()
        assert self._paused.acquire(timeout=300), f"{self.what} hangs"
        if self._is_over:
            self._thread.join(120)
            if self._error is not None:
                raise self._error
        return self._is_over

    def reach(self, name: str) -> None:
        """Handle a failpoint, in the worker's thread."""
        if self.plan.at != name:
            return
        how, self.plan = self.plan.how, NO_FAULT
        if how == "dies":
            raise Died(name)
        self._paused.release()
        self._resumed.acquire()
        if self.plan is KILL:
            raise Died(name)

    def _run(self) -> None:
        _LOCAL.worker = self
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001  raised again in run()
            self._error = error
        self._is_over = True
        self._paused.release()


KILL = FaultPlan(how="ends")
_LOCAL = threading.local()


class FailpointHook:
    """Replacement of ``failpoint`` in every module that calls it."""

    def __init__(self) -> None:
        self.met: set[str] = set()

    def __call__(self, name: str, *_: UUID) -> None:
        self.met.add(name)
        worker: Worker | None = getattr(_LOCAL, "worker", None)
        if worker is not None:
            worker.reach(name)


class FaultyDatabase(Database):
    """The real database, whose connection can be lost before or after one transaction."""

    def __init__(self, real: Database) -> None:
        self.engine = real.engine
        self._autocommit, self._reads = real._autocommit, real._reads
        self.plan = NO_FAULT
        self.number = 0

    def inject(self, plan: FaultPlan) -> None:
        """Set the fault and start counting transactions."""
        self.plan, self.number = plan, 0

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        with self._inject(), super().begin() as connection:
            yield connection

    @contextmanager
    def once(self) -> Iterator[Connection]:
        with self._inject(), super().once() as connection:
            yield connection

    @contextmanager
    def _inject(self) -> Iterator[None]:
        self.number += 1
        if self.plan.at != self.number:
            yield
            return
        how, self.plan = self.plan.how, NO_FAULT
        if how == "refused":
            raise Unreachable(how)
        yield
        if how == "dies after":
            raise Died(how)
        raise Unreachable(how)


class Clock:
    """Replacement of ``time`` in ``deadline``; the state machine advances it."""

    CLOCK_BOOTTIME = time.CLOCK_BOOTTIME

    def __init__(self) -> None:
        self.ahead = 0.0

    def clock_gettime(self, which: int) -> float:
        return time.clock_gettime(which) + self.ahead

    def time(self) -> float:
        return time.time() + self.ahead


Message = tuple[str, tuple[Any, ...]]


class RecordingDispatcher(Dispatcher):
    """A broker that keeps every message, so that each can be delivered never, late, twice, in any order."""

    def __init__(self) -> None:
        self.messages: dict[Message, None] = {}

    def _send(self, messages: Iterable[BrokerMessage]) -> bool:
        for message in messages:
            self.messages[message.task, _freeze(message.args)] = None
        return True

    def send_slots(self, ends: Iterable[datetime]) -> bool:
        """Record one message for all slots: SQL decides which slot is due."""
        return self.send_slot_now() if list(ends) else True


def _freeze(value: Any) -> Any:
    return tuple(map(_freeze, value)) if isinstance(value, list | tuple) else value


@contextmanager
def install_hooks(failpoint_hook: FailpointHook, clock: Clock) -> Iterator[None]:
    """Replace ``failpoint`` in every module that imports it, and the clock of deadlines."""
    real = points.failpoint
    with pytest.MonkeyPatch.context() as patch:
        for name, module in list(sys.modules.items()):
            if (
                name.startswith("pipeline.")
                and getattr(module, "failpoint", None) is real
                and module is not points
            ):
                patch.setattr(module, "failpoint", failpoint_hook)
        patch.setattr(deadline, "time", clock)
        yield


def clock_columns(rows: Iterable[Any]) -> Mapping[str, list[str]]:
    """Return table -> columns that hold a time, from rows of information_schema."""
    found: dict[str, list[str]] = {}
    for r in rows:
        found.setdefault(r.table_name, []).append(r.column_name)
    return found
