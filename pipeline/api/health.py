"""Health endpoints and metrics. They need no key: bind the server to loopback or keep them behind a proxy."""

from __future__ import annotations

from asyncio import gather
from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial

from pydantic import Field
from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.http.envelope import SuccessResponse, failure, success
from pipeline.api.http.representation import NegotiatedResponse
from pipeline.api.http.response_models import Failure, ResponseModel
from pipeline.api.metrics import CONTENT_TYPE
from pipeline.api.openapi.introduction import SERVER
from pipeline.api.openapi.operation import REQUEST_ID_HEADER, Routes, error_responses
from pipeline.api.state import AppState, LedgerHealth, get_app_state
from pipeline.broker.queue_liveness import BEAT, BEAT_TTL, QueueLiveness
from pipeline.broker.queues import ALL_QUEUES, DELAY, REACHABILITY
from pipeline.recovery.restore import IN_DOUBT
from pipeline.runtime.send_guard import NEXT_STEP
from pipeline.store.recovery import epoch

_NO_DISK = "A disk does not answer."
_NO_DATABASE = "The database cannot be reached."
_NO_BROKER = "The broker takes no messages: posts are accepted, and sent when it is back."
_PROBE_KEY = "pulse:readyz"


class Liveness(ResponseModel):
    """Empty: that there is a response is the message."""


class Parts(ResponseModel):
    """The parts, and whether each answers."""

    database: bool
    disk: bool = Field(
        description="Whether the disks of uploaded files and of the epoch file take this server's writes."
    )
    broker: bool = Field(description="Whether it takes messages.")
    workers: bool
    mark: bool = Field(
        description="Whether anything may be sent; false after a restore, and without workers."
    )
    beat: bool = Field(
        description="Whether beat runs, for information: the workers send the periodic tasks too. False without broker."
    )


class Readiness(ResponseModel):
    """All parts, and for each queue the seconds since a worker last took a message; null: never yet."""

    parts: Parts
    queues: dict[str, float | None]


class NotReady(Failure):
    """The database or the broker is unreachable, a disk takes no writes, nothing may be sent, or a queue is silent."""

    parts: Parts
    queues: dict[str, float | None] | None = None


routes = Routes(tag=SERVER, path="", base="")
_NOT_READY = error_responses(
    "internal_error",
    unavailable="the database or the broker is unreachable, a disk takes no writes, nothing is sent, or a queue is not "
    "consumed; the message names the part at fault",
)
_NOT_READY[503]["model"] = NotReady


@routes.add("GET", "/healthz", "Alive.", "internal_error", needs_key=False)
async def healthz(_request: Request) -> SuccessResponse[Liveness]:
    """Answer that the process is up. Its parts are left out, because a restart would not repair their outage."""
    return success("Alive", Liveness())


@routes.add(
    "GET",
    "/readyz",
    "Posts are accepted and sent; the parts are listed.",
    needs_key=False,
    errors=_NOT_READY,
)
async def readyz(request: Request) -> SuccessResponse[Readiness] | Response:
    """Report the state of each part, and the seconds since a worker last took a message from each queue.

    503, with a message that names the part at fault: when the database or the broker is unreachable; when the disk of
    uploaded files or of the epoch file takes no writes; when nothing is sent, because a restored database is not
    accepted yet or the epoch file is not renewed; and when a queue that was consumed before no longer is. Posts are
    still accepted unless it is the database, so a load balancer should ask ``healthz``.
    """
    app_state = get_app_state(request)
    ledger, disk = await gather(app_state.ledger_health.read(), app_state.disk_faults.read())
    disk_faults = [_NO_DISK] if disk is None else disk
    parts = await app_state.health_bulkhead.run(partial(_check, app_state, ledger, disk_faults))
    queues = None if ledger is None else _to_ages(ledger.silences)
    silent = timedelta(seconds=app_state.context.settings.worker.silent)
    faults = [*_list_faults(ledger, silent, has_broker=parts["broker"]), *disk_faults]
    if queues is None or faults:
        more = {"parts": parts} | ({} if queues is None else {"queues": queues})
        return failure(503, "unavailable", " ".join(faults), more=more)
    message = "Ready" if parts["beat"] else "Ready; beat does not run, and the workers do without it"
    return success(message, Readiness(parts=Parts(**parts), queues=queues))


@routes.add(
    "GET",
    "/metrics",
    "Metrics in the text format of Prometheus.",
    "internal_error",
    response_class=Response,
    needs_key=False,
    responses={
        200: {
            "description": "The metrics.",
            "content": {"text/plain": {"schema": {"type": "string"}}},
            "headers": REQUEST_ID_HEADER,
        }
    },
)
async def metrics(request: Request) -> Response:
    """Return counts over all workspaces for Prometheus."""
    return NegotiatedResponse(await get_app_state(request).metrics.render(), media_type=CONTENT_TYPE)


def _check(
    app_state: AppState, ledger: LedgerHealth | None, disk_faults: Sequence[str]
) -> Mapping[str, bool]:
    """Return each part, and whether it answers. *ledger* None: the database is unreachable."""
    silences = None if ledger is None else ledger.silences
    has_broker = _is_broker_writable(app_state)
    liveness = QueueLiveness(app_state.broker)
    return {
        "database": ledger is not None,
        "disk": not disk_faults,
        "broker": has_broker,
        # without workers posts are still accepted, with a warning, and go out when a worker is back
        "workers": has_broker and (_is_recent(silences, REACHABILITY) or liveness.is_alive(REACHABILITY)),
        "mark": ledger is not None and ledger.epoch_state.is_open,
        "beat": has_broker and liveness.is_alive(BEAT),
    }


def _is_recent(silences: Mapping[str, timedelta] | None, queue: str) -> bool:
    """Return True if the queue was consumed within ``BEAT_TTL``: its pulse may wait behind a backlog."""
    silence = (silences or {}).get(queue)
    return silence is not None and silence.total_seconds() <= BEAT_TTL


def _is_broker_writable(app_state: AppState) -> bool:
    """Return True if the broker takes a key: one that is full, or a replica, answers a ping and takes no message."""
    try:
        return bool(app_state.broker.set(_PROBE_KEY, 1, ex=BEAT_TTL))
    except (RedisError, OSError):
        return False


def _list_faults(ledger: LedgerHealth | None, limit: timedelta, *, has_broker: bool) -> list[str]:
    """Describe each part that is at fault in a sentence, and leave out what only follows from another fault."""
    no_broker = [] if has_broker else [_NO_BROKER]
    if ledger is None:
        return [_NO_DATABASE, *no_broker]
    doubt = [f"{IN_DOUBT}: {NEXT_STEP}."] if ledger.epoch_state.doubt is not None else []
    if no_broker:  # without it no queue is consumed, and no worker renews the epoch
        return [*doubt, *no_broker]
    silent = {q: age for q, age in ledger.silences.items() if q in ALL_QUEUES and age > limit}
    ages = ", ".join(f"{queue} ({age.total_seconds():.0f} s)" for queue, age in silent.items())
    faults = [*doubt, f"No worker takes messages from {ages}."] if silent else doubt
    # the workers that consume `delay` renew the epoch
    late = None if doubt or DELAY in silent else _describe_late_epoch(ledger.epoch_state, limit)
    return [*faults, late] if late else faults


def _describe_late_epoch(state: epoch.EpochState, limit: timedelta) -> str | None:
    """Say that the epoch is not renewed, unless it is for less than *limit*."""
    late = None if state.stored.until is None else state.now - state.stored.until
    if late is None or late <= limit:
        return None
    return (
        f"The epoch file has not been renewed for {late.total_seconds():.0f} s, so nothing is sent. "
        "See the workers' logs."
    )


def _to_ages(silences: Mapping[str, timedelta]) -> dict[str, float | None]:
    """Return the age of each queue in seconds; None: it was never consumed."""
    return {
        queue: round(silences[queue].total_seconds(), 1) if queue in silences else None
        for queue in ALL_QUEUES
    }
