"""Health endpoints and metrics. They need no key: bind the server to loopback or keep them behind a proxy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from pydantic import Field
from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from pipeline.api.http.envelope import SuccessResponse, failure, success
from pipeline.api.http.response_models import Failure, ResponseModel
from pipeline.api.metrics import CONTENT_TYPE
from pipeline.api.openapi.error_codes import error_responses
from pipeline.api.openapi.introduction import SERVER
from pipeline.api.openapi.operation import Operation
from pipeline.api.state import AppState, get_app_state
from pipeline.queues import ALL_QUEUES, REACHABILITY
from pipeline.recovery.restore import IN_DOUBT
from pipeline.recovery.send_guard import NEXT_STEP
from pipeline.store import canaries
from pipeline.store.database import Unreachable
from pipeline.store.recovery import epoch


class Liveness(ResponseModel):
    """Empty: that there is a response is the message."""


class Parts(ResponseModel):
    """Whether each part answers."""

    database: bool
    broker: bool
    workers: bool
    mark: bool = Field(
        description="Whether anything may be sent; false after a restore, and without workers."
    )


class Readiness(ResponseModel):
    """All parts, and for each queue the seconds since a worker last took a message; null: never yet."""

    parts: Parts
    queues: dict[str, float | None]


class NotReady(Failure):
    """The database is unreachable, nothing may be sent, or a queue is not consumed."""

    parts: Parts
    queues: dict[str, float | None] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Health:
    """``silences`` and ``epoch_state`` are None when the database is unreachable."""

    parts: Mapping[str, bool]
    silences: Mapping[str, timedelta] | None
    epoch_state: epoch.EpochState | None


async def healthz(_request: Request) -> SuccessResponse[Liveness]:
    """Answer that the process is up. Its parts are left out, because a restart would not repair their outage."""
    return success("Alive", Liveness())


async def readyz(request: Request) -> SuccessResponse[Readiness] | Response:
    """Report the state of each part, and the seconds since a worker last took a canary from each queue.

    503 when the database is unreachable; when nothing is sent, because a restored database is not accepted yet or the
    epoch file is not renewed; and when a queue that was consumed before no longer is. Posts are still accepted in the
    last two cases, so a load balancer should ask ``healthz``.
    """
    app_state = get_app_state(request)
    health = await app_state.lookup_bulkhead.run(partial(_check, app_state))
    if health.silences is None or health.epoch_state is None:
        return failure(503, "unavailable", "The database cannot be reached.", more={"parts": health.parts})
    queues = {queue: _to_seconds(health.silences.get(queue)) for queue in ALL_QUEUES}
    limit = app_state.context.settings.worker.silent
    problem = _describe_closed(health.epoch_state, timedelta(seconds=limit)) or _describe_silent(
        queues, limit
    )
    if problem is not None:
        return failure(503, "unavailable", problem, more={"parts": health.parts, "queues": queues})
    return success("Ready", Readiness(parts=Parts(**health.parts), queues=queues))


async def metrics(request: Request) -> Response:
    """Return counts over all workspaces for Prometheus."""
    return Response(await get_app_state(request).metrics.render(), media_type=CONTENT_TYPE)


def _check(app_state: AppState) -> _Health:
    silences, epoch_state = _read_database(app_state)
    parts = {
        "database": silences is not None,
        "broker": _ping_broker(app_state),
        # without workers posts are still accepted, with a warning, and go out when a worker is back
        "workers": app_state.context.liveness.is_alive(REACHABILITY),
        "mark": epoch_state is not None and epoch_state.is_open,
    }
    return _Health(parts=parts, silences=silences, epoch_state=epoch_state)


def _read_database(app_state: AppState) -> tuple[Mapping[str, timedelta] | None, epoch.EpochState | None]:
    try:
        with app_state.context.database.once() as c:
            return canaries.read_silences(c), epoch.read(c)
    except Unreachable:
        return None, None


def _ping_broker(app_state: AppState) -> bool:
    try:
        return bool(app_state.broker.ping())
    except (RedisError, OSError):
        return False


def _describe_closed(state: epoch.EpochState, limit: timedelta) -> str | None:
    """Say why nothing is sent, unless it is for less than *limit*."""
    if state.doubt is not None:
        return f"{IN_DOUBT}: {NEXT_STEP}."
    late = None if state.stored.until is None else state.now - state.stored.until
    if late is not None and late > limit:
        return (
            f"The epoch file has not been renewed for {late.total_seconds():.0f} s, so nothing is sent. "
            "See the workers' logs."
        )
    return None


def _describe_silent(queues: Mapping[str, float | None], limit: float) -> str | None:
    """Say which queues no worker consumes any more."""
    silent = [f"{queue} ({age:.0f} s)" for queue, age in queues.items() if age is not None and age > limit]
    return f"No worker takes messages from {', '.join(silent)}." if silent else None


def _to_seconds(silence: timedelta | None) -> float | None:
    return None if silence is None else round(silence.total_seconds(), 1)


_NOT_READY = error_responses(
    unavailable="the database is unreachable, or nothing is sent; the message says why"
)
_NOT_READY[503]["model"] = NotReady

OPERATIONS = (
    Operation(
        id="healthz",
        method="GET",
        path="/healthz",
        handler=healthz,
        tag=SERVER,
        returns="Alive.",
        needs_key=False,
    ),
    Operation(
        id="readyz",
        method="GET",
        path="/readyz",
        handler=readyz,
        tag=SERVER,
        returns="The database answers; the other parts are listed.",
        needs_key=False,
        errors=_NOT_READY,
    ),
    Operation(
        id="metrics",
        method="GET",
        path="/metrics",
        handler=metrics,
        tag=SERVER,
        returns="Metrics in the text format of Prometheus.",
        response_class=PlainTextResponse,
        needs_key=False,
    ),
)
