"""Celery tasks: three lines each. Arguments are ids and generations; all content is in the ledger."""

from __future__ import annotations

from uuid import UUID

from pipeline.maintenance import CHORES
from pipeline.maintenance.record_canary import take_canary
from pipeline.queues import REACHABILITY
from pipeline.stages import delay, publish, reachability, status
from pipeline.wiring import context
from pipeline.worker.app import app
from pipeline.worker.coalesce import Coalesced


@app.task(name="publish.step")
def publish_step(platform: str, deliveries: list[tuple[str, int]]) -> None:
    """One slice of each delivery."""
    publish.publish_all(context(), platform, [(UUID(d), generation) for d, generation in deliveries])


@app.task(name="status.look")
def status_look(deliveries: list[tuple[str, int, int]]) -> None:
    """One look at each delivery."""
    status.look_all(context(), [(UUID(d), generation, fence) for d, generation, fence in deliveries])


_slot = Coalesced(lambda: delay.slot(context()))
_sweep = Coalesced(lambda: delay.sweep(context()))


@app.task(name="delay.slot")
def delay_slot() -> None:
    """A slot of time has come."""
    _slot()


@app.task(name="delay.sweep")
def delay_sweep() -> None:
    """The 1 s net under lost doorbells."""
    _sweep()


@app.task(name="reachability.check")
def reachability_check(check: str) -> None:
    """One URL."""
    reachability.check(context(), UUID(check))


@app.task(name="reachability.pulse")
def reachability_pulse() -> None:
    """Somebody consumes this queue: requests may wait for a check."""
    context().liveness.beat(REACHABILITY)


@app.task(name="canary")
def canary(queue: str) -> None:
    """Somebody consumes this queue: `/readyz` may say so."""
    take_canary(context(), queue)


def _chore(name: str) -> None:
    chore = CHORES[name]

    @app.task(name=f"upkeep.{name}")
    def run() -> None:
        chore(context())


for _name in CHORES:
    _chore(_name)
