"""Celery tasks, a line or two each. Arguments are ids and generations; all content is in the ledger.

Ticks, canaries, imports and maintenance jobs send no events, so that the tasks that Flower keeps are those of posts.

Repeated calls are coalesced: one run serves every caller that asked before it began. The results are for an operator
who watches Flower; the ledger has the truth.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from threading import Lock
from uuid import UUID

from pipeline.actions.steer_step import run_steering_step
from pipeline.api.posts.schema import build_post_format
from pipeline.broker.queues import REACHABILITY
from pipeline.domain.verdict import Verdict
from pipeline.imports.step import SLICE, run_step
from pipeline.imports.validate import PostFormat
from pipeline.maintenance import JOBS
from pipeline.stages import delay, publish, reachability, status
from pipeline.stages.delay import sweep
from pipeline.store.canaries import record_canary
from pipeline.webhooks.send_webhooks import send_webhooks
from pipeline.wiring import get_context
from pipeline.worker.app import app

NOTHING = "nothing stored"
"""Another worker has the delivery, the message is stale, or nothing may be sent now."""


def summarize(verdicts: Iterable[Verdict | None]) -> str:
    """Return how many deliveries are in which state, with the error's class: ``published 2, failed 1 Rejected``."""
    counts = Counter(_describe(verdict) for verdict in verdicts)
    return ", ".join(f"{state} {n} {error}".rstrip() for (state, error), n in counts.items())


def _describe(verdict: Verdict | None) -> tuple[str, str]:
    if verdict is None:
        return NOTHING, ""
    return verdict.state, type(verdict.error).__name__ if verdict.error else ""


MAX_SHARE = 4
"""A run is followed by a pause of three times its length: runs take at most a quarter of one thread's time."""
MAX_PAUSE = 1.0
"""Seconds; the sweep runs as often, however long a run takes."""


class Coalescer:
    """Runs one call at a time in this process, and drops calls that arrive while another one waits for its turn.

    Slot messages are such calls. Under more load than the workers can take they pile up, and each of them would look
    for due deliveries again and take time from the work itself. The call that waits begins after all the dropped ones
    arrived, so it sees what they were about. If this process dies, the next sweep does the work.
    """

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._waiting = Lock()
        self._running = Lock()
        self._free_at = 0.0

    def __call__(self) -> bool:
        """Run the work and return True, or return False if a waiting call does it. Raises what the work raises."""
        if not self._waiting.acquire(blocking=False):
            return False
        try:
            self._running.acquire()
            # the pause limits the rate; the lock above is the synchronisation
            time.sleep(max(0.0, self._free_at - time.monotonic()))
        finally:
            self._waiting.release()  # before the work begins: a later call may be about something it does not see
        try:
            began = time.monotonic()
            self._work()
        finally:
            took = time.monotonic() - began
            self._free_at = time.monotonic() + min(took * (MAX_SHARE - 1), MAX_PAUSE)
            self._running.release()
        return True


@app.task(name="publish.step")
def publish_step(platform: str, deliveries: list[tuple[str, int]]) -> str:
    """Do one slice of work on each delivery; the result counts their new states."""
    items = [(UUID(d), generation) for d, generation in deliveries]
    return summarize(publish.publish_batch(get_context(), platform, items))


@app.task(name="status.look")
def status_look(deliveries: list[tuple[str, int, int]]) -> str:
    """Look at each delivery once; the result counts their new states."""
    items = [(UUID(d), generation, fence) for d, generation, fence in deliveries]
    return summarize(status.look_batch(get_context(), items))


_slot = Coalescer(lambda: delay.release_due(get_context()))
_sweep = Coalescer(lambda: sweep(get_context()))


@app.task(name="delay.slot", send_events=False)
def delay_slot() -> None:
    """Release due deliveries at the end of a slot of time."""
    _slot()


@app.task(name="delay.sweep", send_events=False)
def delay_sweep() -> None:
    """Release due deliveries and send the next slots' messages; every second, whatever messages were lost."""
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
    """Record that the queue has a consumer, for `/readyz`. A canary that an outage has delayed proves as much."""
    context = get_context()
    with context.database.once() as c:
        record_canary(c, queue, context.level)


def _register_job(name: str) -> None:
    job = JOBS[name]

    @app.task(name=f"upkeep.{name}", send_events=False)
    def run() -> None:
        job(get_context())


for _name in JOBS:
    _register_job(_name)
