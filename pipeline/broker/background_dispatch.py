"""Dispatch on a thread of its own, so that a request is answered without waiting for the broker.

Messages wait in a bounded queue in memory. What does not fit, fails, or dies with the process is dispatched by
maintenance: a due delivery by the next sweep, a check by the job that dispatches checks again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable
from itertools import islice
from threading import Condition, Thread

from celery import Celery

from pipeline.broker.dispatch import BrokerMessage, Dispatcher
from pipeline.limits.circuit_breaker import CircuitBreaker

log = logging.getLogger("slipway.dispatch")

MAX_WAITING = 10_000
"""Messages that wait for the thread: a second's worth under a load that no process reaches."""
MAX_ROUND_TRIP = 500
"""Messages that are sent together."""
STALL = 0.2
"""Seconds after which a broker that has not taken the messages counts as unresponsive."""
DRAIN = 2.0
"""Seconds in which a process that ends sends what waits."""


class BackgroundDispatcher(Dispatcher):
    """A dispatcher whose methods return at once; True stands for "queued", not for "sent".

    A message that waits already is not queued again: whatever receives it reads the database after both commits.
    """

    def __init__(self, app: Celery) -> None:
        super().__init__(app)
        self._breaker = CircuitBreaker()
        self._waiting: dict[str, BrokerMessage] = {}
        self._changed = Condition()
        self._is_closed = False
        self._sending_since: float | None = None
        self._dropped = 0
        self._thread = Thread(target=self._run, name="dispatch", daemon=True)
        self._thread.start()

    def is_responsive(self) -> bool:
        """Return True if the broker takes messages: not after a failure, nor while it lets the thread wait."""
        since = self._sending_since
        return not self._breaker.is_open() and (since is None or time.monotonic() - since < STALL)

    def close(self) -> None:
        """Refuse new messages, and send the waiting ones for up to ``DRAIN`` seconds."""
        with self._changed:
            self._is_closed = True
            self._changed.notify()
        self._thread.join(DRAIN)
        if lost := len(self._waiting):
            log.warning(
                "%s messages were not dispatched before the end; the next sweep makes up for them", lost
            )

    def _send(self, messages: Iterable[BrokerMessage]) -> bool:
        """Queue the messages. Return False, and queue none, if they do not fit or the circuit is open."""
        new = {repr(message): message for message in messages}
        if not new:
            return True
        with self._changed:
            fits = len(self._waiting) + len(new) <= MAX_WAITING
            if self._is_closed or not fits or not self._breaker.may_call():
                self._dropped += len(new)
                return False
            self._waiting.update(new)
            self._changed.notify()
        return True

    def _run(self) -> None:
        while batch := self._take_batch():
            if self._send_batch(batch):
                self._breaker.record_success()
                self._report_recovery()
            else:
                self._breaker.record_failure()
                self._forget_waiting(len(batch))

    def _take_batch(self) -> list[BrokerMessage]:
        """Wait for messages and return those to send together; none once the dispatcher is closed and empty."""
        with self._changed:
            self._sending_since = None
            while not self._waiting and not self._is_closed:
                self._changed.wait()
            keys = list(islice(self._waiting, MAX_ROUND_TRIP))
            batch = [self._waiting.pop(key) for key in keys]
            self._sending_since = time.monotonic() if batch else None
        return batch

    def _send_batch(self, batch: list[BrokerMessage]) -> bool:
        try:
            return super()._send(batch)
        except Exception:  # the thread has to go on: without it, every message would wait for the sweep
            log.exception("unexpected error in dispatch")
            return False

    def _forget_waiting(self, failed: int) -> None:
        """Drop what waits: the sweep is faster than a broker that has to come back first."""
        with self._changed:
            self._dropped += failed + len(self._waiting)
            self._waiting.clear()
        self._checks.clear()

    def _report_recovery(self) -> None:
        with self._changed:
            dropped, self._dropped = self._dropped, 0
        if dropped:
            log.warning("the broker takes messages again; %s were left to the sweep until then", dropped)
