"""The watchdog on real workers: a stalled one ends itself, a busy one does not, one that shuts down exits."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from config.settings import Settings
from pipeline.broker.queues import PUBLISH, UPKEEP
from pipeline.domain.delivery import State
from pipeline.store.deliveries.claim import Message
from pipeline.store.vault import Vault
from pipeline.wiring import build_context
from pipeline.worker.liveness import STALLED_EXIT_STATUS
from tests.crash_table import Crashes
from tests.pipeline.core_fixture import CoreFixture, make_core
from tests.pipeline.store.ledger import Ledger
from tests.stack import until

ROOT = Path(__file__).parents[3]
Start = Callable[[str, Mapping[str, str]], subprocess.Popen[bytes]]


@pytest.fixture
def core(settings: Settings, vault_key: str) -> Iterator[CoreFixture]:
    context = build_context(settings)
    ledger = Ledger(settings.store.url.get_secret_value(), Vault(vault_key))
    made = make_core(context, ledger)
    made.account("one")
    yield made
    ledger.database.close()
    context.database.close()


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Start a worker with one slot for one queue that hangs at a failpoint."""
    started: list[subprocess.Popen[bytes]] = []

    def starting(queue: str, hangs: Mapping[str, str]) -> subprocess.Popen[bytes]:
        more = {"SLIPWAY_WORKER__DEAF": "4", **hangs}
        with (tmp_path / f"{queue}.log").open("wb") as log:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "celery",
                    "-A",
                    "pipeline.worker.app",
                    "worker",
                    "-c",
                    "1",
                    "-Q",
                    queue,
                    "-n",
                    f"{queue}@%h",
                    "--without-gossip",
                    "--without-mingle",
                    "-l",
                    "WARNING",
                ],
                env={**environment, **more},
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        started.append(process)
        return process

    yield starting
    for process in started:
        process.kill()
        process.wait()


def canary(core: CoreFixture, queue: str) -> None:
    core.context.dispatcher._app.send_task("canary", args=[queue], queue=queue)


def test_a_deaf_worker_ends_itself_and_a_busy_one_goes_on(
    core: CoreFixture, start: Start, tmp_path: Path, crashes: Crashes
) -> None:
    platform_queue = PUBLISH[next(p for p in PUBLISH if p == "tiktok")]
    busy = start(platform_queue, crashes.arm("publish.claimed", does="hang"))
    post = core.ledger.post([core.accounts["one"]], State.QUEUED)
    core.context.dispatcher.send_deliveries(
        [Message(delivery=post.deliveries[0], platform="tiktok", generation=0, fence=0)]
    )
    until(lambda: crashes.has_reached("publish.claimed"), 60)
    for _ in range(3):
        canary(core, platform_queue)  # from here on its queue is never empty, and its one slot never free

    deaf = start(UPKEEP, crashes.arm("worker.received", does="hang"))
    canary(core, UPKEEP)
    until(lambda: crashes.has_reached("worker.received"), 60)
    canary(core, UPKEEP)
    assert deaf.wait(60) == STALLED_EXIT_STATUS
    assert "this worker ends" in (tmp_path / f"{UPKEEP}.log").read_text()
    assert busy.poll() is None, "busy for longer than the other was deaf"
    assert core.messages(platform_queue) > 0


def test_a_worker_that_takes_canaries_goes_on_until_it_is_told_to_end(
    core: CoreFixture, start: Start
) -> None:
    from pipeline.store.canaries import read_silences

    worker = start(UPKEEP, {})
    canary(core, UPKEEP)

    def taken() -> bool:
        with core.context.database.begin() as c:
            return UPKEEP in read_silences(c)

    until(taken, 60)
    assert worker.poll() is None
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(60) == 0
