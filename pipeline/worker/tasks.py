"""Celery tasks: three lines each. Arguments are ids and generations; all content is in the ledger."""

from __future__ import annotations

from uuid import UUID

from pipeline.bootstrap import core
from pipeline.queues import REACHABILITY
from pipeline.stages import delay, publish, reachability, status
from pipeline.upkeep import CHORES
from pipeline.worker.app import app


@app.task(name="publish.step")
def publish_step(delivery: str, generation: int) -> None:
    """One slice of one delivery."""
    publish.publish(core(), UUID(delivery), generation)


@app.task(name="status.look")
def status_look(delivery: str, generation: int, fence: int) -> None:
    """One look at one delivery."""
    status.look(core(), UUID(delivery), generation, fence)


@app.task(name="delay.slot")
def delay_slot() -> None:
    """A slot of time has come."""
    delay.slot(core())


@app.task(name="delay.sweep")
def delay_sweep() -> None:
    """The 1 s net under lost doorbells."""
    delay.sweep(core())


@app.task(name="reachability.check")
def reachability_check(check: str) -> None:
    """One URL."""
    reachability.check(core(), UUID(check))


@app.task(name="reachability.pulse")
def reachability_pulse() -> None:
    """Somebody consumes this queue: requests may wait for a check."""
    core().pulse.beat(REACHABILITY)


def _chore(name: str) -> None:
    chore = CHORES[name]

    @app.task(name=f"upkeep.{name}")
    def run() -> None:
        chore(core())


for _name in CHORES:
    _chore(_name)
