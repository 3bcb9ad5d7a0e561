"""Whether this process lives and can do its work. No key is asked for: bind to loopback or keep it behind a proxy."""

from __future__ import annotations

from functools import partial

from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import Response

from pipeline.api.envelope import failure, success
from pipeline.api.metrics import CONTENT_TYPE
from pipeline.api.site import Site, site_of
from pipeline.queues import REACHABILITY
from pipeline.store.database import Unreachable
from pipeline.store.reading import answers


async def healthz(_request: Request) -> Response:
    """The process is up; says nothing about its parts, so that a restart is not the answer to their outage."""
    return success("Alive", {})


async def readyz(request: Request) -> Response:
    """Each part and whether it answers. Only without the database nothing can be done: 503."""
    site = site_of(request)
    parts = await site.knowing.run(partial(_parts, site))
    if not parts["database"]:
        return failure(503, "unavailable", "The database cannot be reached.", more={"parts": parts})
    return success("Ready", {"parts": parts})


async def metrics(request: Request) -> Response:
    """Counts for Prometheus, of all workspaces together."""
    return Response(await site_of(request).metrics.text(), media_type=CONTENT_TYPE)


def _parts(site: Site) -> dict[str, bool]:
    return {
        "database": _database(site),
        "broker": _broker(site),
        # Away: posts are still taken, with a warning, and go out when a worker is back.
        "workers": site.core.pulse.alive(REACHABILITY),
    }


def _database(site: Site) -> bool:
    try:
        with site.core.database.begin() as c:
            return answers(c)
    except Unreachable:
        return False


def _broker(site: Site) -> bool:
    try:
        return bool(site.broker.ping())
    except (RedisError, OSError):
        return False
