"""The watchdog on real workers: a stalled one ends itself, a busy one does not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pipeline.broker.queues import PUBLISH, UPKEEP
from pipeline.domain.delivery import State
from pipeline.store.deliveries.claim import Message
from pipeline.worker.liveness import STALLED_EXIT_STATUS
from tests.crash_table import Crashes
from tests.forked_program import ForkedProgram
from tests.pipeline.core_fixture import CoreFixture
from tests.pipeline.worker.processes import Start, start_worker
from tests.stack import until


def start_hanging(start: Start, queue: str, hangs: Mapping[str, str]) -> ForkedProgram:
    """Start a worker with one slot for one queue that hangs at a failpoint."""
    return start_worker(start, queue, queue, slots=1, armed={"SLIPWAY_WORKER__DEAF": "4", **hangs})


def canary(core: CoreFixture, queue: str) -> None:
    core.context.dispatcher._app.send_task("canary", args=[queue], queue=queue)


def test_a_deaf_worker_ends_itself_and_a_busy_one_goes_on(
    core: CoreFixture, start: Start, tmp_path: Path, crashes: Crashes
) -> None:
    platform_queue = PUBLISH[next(p for p in PUBLISH if p == "tiktok")]
    busy = start_hanging(start, platform_queue, crashes.arm("publish.claimed", does="hang"))
    post = core.ledger.post([core.accounts["one"]], State.QUEUED)
    core.context.dispatcher.send_deliveries(
        [Message(delivery=post.deliveries[0], platform="tiktok", generation=0, fence=0)]
    )
    until(lambda: crashes.has_reached("publish.claimed"), 60)
    for _ in range(3):
        canary(core, platform_queue)  # from here on its queue is never empty, and its one slot never free

    deaf = start_hanging(start, UPKEEP, crashes.arm("worker.received", does="hang"))
    canary(core, UPKEEP)
    until(lambda: crashes.has_reached("worker.received"), 60)
    canary(core, UPKEEP)
    assert deaf.wait(60) == STALLED_EXIT_STATUS
    assert "this worker ends" in (tmp_path / "1.log").read_text()
    assert busy.poll() is None, "busy for longer than the other was deaf"
    assert core.messages(platform_queue) > 0
