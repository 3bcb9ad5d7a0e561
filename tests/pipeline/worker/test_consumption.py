"""What counts as consumed: a queue whose message was taken, and every queue of a worker that is full and at work."""

from __future__ import annotations

from pipeline.worker.liveness import Consumption

QUEUES = ["delay", "status"]
LONG = 3600.0


def test_a_queue_counts_once_for_each_time_it_was_consumed() -> None:
    consumption = Consumption(QUEUES, is_full=lambda: False, limit=LONG)
    assert consumption.collect() == frozenset()
    consumption.record_message("delay")
    consumption.record_message("delay")
    consumption.record_message("another worker's")
    assert consumption.collect() == {"delay"}
    assert consumption.collect() == frozenset()


def test_a_full_worker_consumes_all_of_its_queues_until_its_work_takes_too_long() -> None:
    working = Consumption(QUEUES, is_full=lambda: True, limit=LONG)
    assert working.collect() == frozenset(), "it has taken nothing yet"
    working.record_message("delay")
    assert working.collect() == set(QUEUES)
    assert working.collect() == set(QUEUES), "its slots are still busy"
    hung = Consumption(QUEUES, is_full=lambda: True, limit=0)
    hung.record_message("delay")
    assert hung.collect() == {"delay"}
