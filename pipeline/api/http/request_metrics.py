"""Counts and durations of this server's requests, of all its processes.

Several processes share a folder of files that ``prometheus_client`` maps into memory (its multiprocess mode). The
supervisor names the folder in the environment before it starts them, because the library reads that once, when it is
imported. A restart of the server begins at zero, which Prometheus expects of a counter.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache

from prometheus_client import CollectorRegistry, Histogram, disable_created_metrics, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.types import Scope

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable of ``prometheus_client``."""
BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds."""
FAST_PATH = "slipway.fast_path"
"""The key in a request's scope that names its path, where no router names its route."""
NO_ROUTE = "none"
"""The label of requests for a path without a route: paths are a client's, and labels may not be without number."""
CLIENT_LEFT = 499
"""The status of a request that was never answered; nginx writes it for a client that left."""
_CONVERTOR = re.compile(r":\w+\}")

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each, which nothing reads
_registry = CollectorRegistry()
_durations = Histogram(
    "slipway_http_request_duration_seconds",
    "Seconds from a request's headers to the end of its response, by method, route and status. Its count is that of "
    "the requests.",
    ["method", "route", "status"],
    registry=_registry,
    buckets=BOUNDS,
)
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def record_request(method: str, route: str, status: int, seconds: float) -> None:
    """Count a request that has ended, and how long it took. ``route``: as of ``find_route``."""
    _get_child(method, route, status).observe(seconds)


def collect_requests() -> bytes:
    """Return the requests of all processes of this server in Prometheus' text format."""
    if FOLDER not in os.environ:
        return generate_latest(_registry)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def find_route(scope: Scope) -> str:
    """Return the path of the request's route, or ``NO_ROUTE``."""
    path = getattr(scope.get("route"), "path", None) or scope.get(FAST_PATH)
    return (
        NO_ROUTE if path is None else _strip(scope.get("root_path", "") + path)
    )  # a mounted application's prefix


@lru_cache(maxsize=500)
def _strip(path: str) -> str:
    """Return the path of a route without its convertors: ``/posts/{post_id}``."""
    return _CONVERTOR.sub("}", path)


@lru_cache(maxsize=2000)
def _get_child(method: str, route: str, status: int) -> Histogram:
    return _durations.labels(method if method in _METHODS else "other", route, str(status))
