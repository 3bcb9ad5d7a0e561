"""Celery tasks, a line or two each. Arguments are ids and generations; all content is in the ledger.

Ticks, canaries, imports and maintenance jobs send no events, so that the tasks that Flower keeps are those of posts.
"""

from __future__ import annotations

from functools import cache
from uuid import UUID

from pipeline.actions.steer_step import run_steering_step
from pipeline.api.imports.post_format import build_post_format
from pipeline.broker.queues import REACHABILITY
from pipeline.imports.judge import PostFormat
from pipeline.imports.step import SLICE, run_step
from pipeline.maintenance import JOBS
from pipeline.maintenance.record_canary import record_canary
from pipeline.stages import delay, publish, reachability, status
from pipeline.stages.sweep import sweep
from pipeline.webhooks.send_webhooks import send_webhooks
from pipeline.wiring import get_context
from pipeline.worker.app import app
from pipeline.worker.coalesce import Coalescer
from pipeline.worker.task_result import summarize


@app.task(name="publish.step")
def publish_step(platform: str, deliveries: list[tuple[str, int]]) -> str:
    """Do one slice of work on each delivery; the result says what became of them."""
    items = [(UUID(d), generation) for d, generation in deliveries]
    return summarize(publish.publish_batch(get_context(), platform, items))


@app.task(name="status.look")
def status_look(deliveries: list[tuple[str, int, int]]) -> str:
    """Look at each delivery once; the result says what became of them."""
    items = [(UUID(d), generation, fence) for d, generation, fence in deliveries]
    return summarize(status.look_batch(get_context(), items))


_slot = Coalescer(lambda: delay.release_due(get_context()))
_sweep = Coalescer(lambda: sweep(get_context()))


@app.task(name="delay.slot", send_events=False)
def delay_slot() -> None:
    """Release what is due at the end of a slot of time."""
    _slot()


@app.task(name="delay.sweep", send_events=False)
def delay_sweep() -> None:
    """Release what is due and send the next slots' messages; every second, whatever messages were lost."""
    _sweep()


@app.task(name="reachability.check")
def reachability_check(_check: str) -> None:
    """Check the URLs that are due; the message names the one that was opened last."""
    reachability.run_due_checks(get_context())


@app.task(name="reachability.pulse", send_events=False)
def reachability_pulse() -> None:
    """Record that the reachability queue has a consumer, so that requests may wait for a check."""
    get_context().liveness.record_beat(REACHABILITY)


@cache
def _build_post_format() -> PostFormat:
    return build_post_format(get_context().settings)


@app.task(name="imports.step", send_events=False)
def imports_step(import_id: str) -> None:
    """Do the next chunks of rows of an import."""
    run_step(get_context(), UUID(import_id), _build_post_format(), seconds=SLICE)


@app.task(name="steering.step", send_events=False)
def steering_step(job_id: str) -> None:
    """Do the next step of a steering job."""
    run_steering_step(get_context(), UUID(job_id))


@app.task(name="webhooks.send", send_events=False)
def webhooks_send() -> None:
    """Send due events to webhooks for a slice of time."""
    send_webhooks(get_context())


@app.task(name="canary", send_events=False)
def canary(queue: str) -> None:
    """Record that the queue has a consumer, for `/readyz`."""
    record_canary(get_context(), queue)


def _register_job(name: str) -> None:
    job = JOBS[name]

    @app.task(name=f"upkeep.{name}", send_events=False)
    def run() -> None:
        job(get_context())


for _name in JOBS:
    _register_job(_name)
