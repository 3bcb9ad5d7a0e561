"""The coalescer: few runs serve many callers, and each call is followed by a run that began after it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.worker.tasks import MAX_SHARE, Coalescer
from tests.stack import until

WAIT = 30.0


def test_one_at_a_time_runs_and_one_waits_for_all_who_came_meanwhile() -> None:
    entered, leave = threading.Semaphore(0), threading.Semaphore(0)

    def work() -> None:
        entered.release()
        assert leave.acquire(timeout=WAIT)

    coalescer = Coalescer(work)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(coalescer)
        assert entered.acquire(timeout=WAIT)
        second = pool.submit(coalescer)
        until(lambda: coalescer._waiting.locked() or None, WAIT, lambda: "the second does not wait")
        assert not coalescer(), "nobody else has to"
        assert not second.done(), "two ran at once"
        leave.release(2)
        assert first.result(WAIT)
        assert second.result(WAIT)
        assert entered.acquire(blocking=False), "the second ran after the first"


def test_whatever_was_there_when_somebody_asked_is_seen() -> None:
    """A run sees what was there when it began; with many callers, nothing is left unseen."""
    there, seen = 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal seen
        seen = there

    coalescer = Coalescer(work)

    def call() -> None:
        nonlocal there
        for _ in range(200):
            with lock:
                there += 1
            coalescer()

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(call) for _ in range(8)]:
            done.result(WAIT)
    assert (there, seen) == (1600, 1600)


def test_runs_take_a_share_of_the_time_however_often_they_are_asked_for() -> None:
    spent = 0.0

    def work() -> None:
        nonlocal spent
        began = time.monotonic()
        time.sleep(0.01)  # the work takes time: that is what is shared out
        spent += time.monotonic() - began

    coalescer = Coalescer(work)
    began = time.monotonic()
    assert all(coalescer() for _ in range(20))
    assert spent <= (time.monotonic() - began) / MAX_SHARE * 1.5


def test_work_that_fails_says_so_and_is_done_again() -> None:
    fails = True

    def work() -> None:
        if fails:
            raise ConnectionError("away")

    coalescer = Coalescer(work)
    with pytest.raises(ConnectionError):
        coalescer()
    fails = False
    assert coalescer()
