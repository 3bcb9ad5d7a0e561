"""The sweep: release what is due whatever messages were lost, and send the messages of the slots of time to come."""

from __future__ import annotations

from datetime import timedelta

from pipeline.runtime.context import Context
from pipeline.stages.delay import release_due
from pipeline.store.deliveries.release import list_due_slots


def sweep(context: Context) -> int:
    """Release what is due and dispatch the slots within the horizon. Return how many deliveries were dispatched."""
    sent = release_due(context)
    delay = context.settings.delay
    with context.database.begin() as c:
        ends = list_due_slots(
            c,
            timedelta(seconds=min(delay.horizon, 2 * delay.sweep)),
            timedelta(seconds=delay.slot),
            timedelta(seconds=delay.look_slot),
        )
    context.dispatcher.send_slots(ends)
    return sent
