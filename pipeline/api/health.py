"""Whether this process lives and can do its work. No key is asked for: bind to loopback or keep it behind a proxy."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial

from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.http.envelope import failure, success
from pipeline.api.metrics import CONTENT_TYPE
from pipeline.api.state import Site, site_of
from pipeline.queues import ALL, REACHABILITY
from pipeline.recovery.restore import IN_DOUBT
from pipeline.recovery.send_guard import NEXT
from pipeline.store import canaries
from pipeline.store.database import Unreachable
from pipeline.store.recovery import epoch as marks


async def healthz(_request: Request) -> Response:
    """The process is up; says nothing about its parts, so that a restart is not the answer to their outage."""
    return success("Alive", {})


async def readyz(request: Request) -> Response:
    """Each part and whether it answers, and how long ago a canary was taken out of each queue, in seconds.

    503 without the database, for then nothing can be done; when a restore of it is not accepted yet, or nobody keeps
    the mark, for then nothing is sent; and when a queue that was once consumed no longer is. Posts are taken then all
    the same: who only wants to know whether to send requests here asks ``healthz``.
    """
    site = site_of(request)
    parts, silences, kept = await site.knowing.run(partial(_known, site))
    if silences is None or kept is None:
        return failure(503, "unavailable", "The database cannot be reached.", more={"parts": parts})
    queues = {queue: _seconds(silences.get(queue)) for queue in ALL}
    limit = site.context.settings.worker.silent
    if closed := _closed(kept, timedelta(seconds=limit)):
        return failure(503, "unavailable", closed, more={"parts": parts, "queues": queues})
    if silent := [
        f"{queue} ({age:.0f} s)" for queue, age in queues.items() if age is not None and age > limit
    ]:
        said = f"Nobody takes messages out of {', '.join(silent)}."
        return failure(503, "unavailable", said, more={"parts": parts, "queues": queues})
    return success("Ready", {"parts": parts, "queues": queues})


async def metrics(request: Request) -> Response:
    """Counts for Prometheus, of all workspaces together."""
    return Response(await site_of(request).metrics.text(), media_type=CONTENT_TYPE)


def _known(site: Site) -> tuple[dict[str, bool], Mapping[str, timedelta] | None, marks.Kept | None]:
    silences, kept = _ledger(site)
    parts = {
        "database": silences is not None,
        "broker": _broker(site),
        # Away: posts are still taken, with a warning, and go out when a worker is back.
        "workers": site.context.liveness.alive(REACHABILITY),
        "mark": kept is not None and kept.open,
    }
    return parts, silences, kept


def _ledger(site: Site) -> tuple[Mapping[str, timedelta] | None, marks.Kept | None]:
    """None: the database does not answer."""
    try:
        with site.context.database.once() as c:
            return canaries.silences(c), marks.read(c)
    except Unreachable:
        return None, None


def _closed(kept: marks.Kept, limit: timedelta) -> str | None:
    """Why nothing is sent, when that is not only for a moment."""
    if kept.doubt is not None:
        return f"{IN_DOUBT}: {NEXT}."
    over = None if kept.inside.until is None else kept.now - kept.inside.until
    if over is not None and over > limit:
        return f"Nobody has kept the mark for {over.total_seconds():.0f} s, so nothing is sent: see the workers' logs."
    return None


def _seconds(silence: timedelta | None) -> float | None:
    return None if silence is None else round(silence.total_seconds(), 1)


def _broker(site: Site) -> bool:
    try:
        return bool(site.broker.ping())
    except (RedisError, OSError):
        return False
