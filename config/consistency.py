"""Rules between settings, and what breaks when one is broken."""

from __future__ import annotations

import re
from datetime import timedelta
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from config.settings import Settings


SETTLE_TIME = timedelta(seconds=2)
"""Time allowed for storing the answer of a call after it has arrived."""


def find_inconsistencies(s: Settings) -> list[str]:
    """Return a sentence for each broken rule, with both settings and their values."""
    rules = [
        (
            s.delay.horizon * 4 <= s.broker.visibility_timeout,
            f"SLIPWAY_DELAY__HORIZON ({s.delay.horizon:g} s) must be at most a quarter of "
            f"SLIPWAY_BROKER__VISIBILITY_TIMEOUT ({s.broker.visibility_timeout:g} s): "
            "a message with a longer ETA is delivered again and again",
        ),
        (
            s.delay.sweep <= s.delay.horizon,
            f"SLIPWAY_DELAY__SWEEP ({s.delay.sweep:g} s) must not be over SLIPWAY_DELAY__HORIZON "
            f"({s.delay.horizon:g} s): slots between two sweeps would get no message",
        ),
        (
            s.publish.lease >= 2 * s.publish.slice,
            f"SLIPWAY_PUBLISH__LEASE ({s.publish.lease:g} s) must be at least twice SLIPWAY_PUBLISH__SLICE "
            f"({s.publish.slice:g} s): a slice could outlive its claim",
        ),
        (
            s.publish.call < s.publish.slice,
            f"SLIPWAY_PUBLISH__CALL ({s.publish.call:g} s) must be under SLIPWAY_PUBLISH__SLICE "
            f"({s.publish.slice:g} s): one call could outlive its slice",
        ),
        (
            s.publish.call + SETTLE_TIME.total_seconds() <= s.worker.shutdown,
            f"SLIPWAY_WORKER__SHUTDOWN ({s.worker.shutdown:g} s) must be at least {SETTLE_TIME.total_seconds():g} s "
            f"over SLIPWAY_PUBLISH__CALL ({s.publish.call:g} s): a stopping worker would cut off a visible call",
        ),
        (
            s.reachability.wait + SETTLE_TIME.total_seconds() <= s.api.shutdown,
            f"SLIPWAY_API__SHUTDOWN ({s.api.shutdown} s) must be at least {SETTLE_TIME.total_seconds():g} s over "
            f"SLIPWAY_REACHABILITY__WAIT ({s.reachability.wait:g} s): a stopping server would cut off requests",
        ),
        (
            max(s.api.max_body, s.api.max_batch_body) * 4 <= s.api.max_body_sum,
            f"SLIPWAY_API__MAX_BODY_SUM ({s.api.max_body_sum}) must be at least four times SLIPWAY_API__MAX_BODY "
            f"({s.api.max_body}) and SLIPWAY_API__MAX_BATCH_BODY ({s.api.max_batch_body}): a key may have a quarter "
            "of it, and the largest body would never be accepted",
        ),
        (
            s.publish.slice * 2 < s.broker.visibility_timeout,
            f"SLIPWAY_PUBLISH__SLICE ({s.publish.slice:g} s) must be under half of "
            f"SLIPWAY_BROKER__VISIBILITY_TIMEOUT ({s.broker.visibility_timeout:g} s): "
            "messages of running slices would be delivered again",
        ),
        (
            s.reachability.lease >= 2 * s.reachability.slice,
            f"SLIPWAY_REACHABILITY__LEASE ({s.reachability.lease:g} s) must be at least twice "
            f"SLIPWAY_REACHABILITY__SLICE ({s.reachability.slice:g} s): a check could outlive its claim",
        ),
        (
            s.reachability.slice * 2 < s.broker.visibility_timeout,
            f"SLIPWAY_REACHABILITY__SLICE ({s.reachability.slice:g} s) must be under half of "
            f"SLIPWAY_BROKER__VISIBILITY_TIMEOUT ({s.broker.visibility_timeout:g} s)",
        ),
        (
            re.fullmatch(r"https?://[^/@?#\s]+[^?#\s]*", s.files_url) is not None,
            f"SLIPWAY_FILES__PUBLIC_URL, or else SLIPWAY_API__PUBLIC_URL ({s.files_url}), must be like "
            "https://files.example.com: it is the start of the URLs of uploaded files",
        ),
        (
            not s.tracing.endpoint or _has_tracing(),
            "SLIPWAY_TRACING__ENDPOINT is set, and the packages that send traces are not installed: install "
            "slipway[otel], or leave it empty",
        ),
        (
            s.files.store != "s3" or bool(s.files.bucket),
            "SLIPWAY_FILES__STORE is s3 and SLIPWAY_FILES__BUCKET is empty: there is no bucket to store files in",
        ),
        (
            s.publish.backoff <= s.publish.backoff_cap,
            f"SLIPWAY_PUBLISH__BACKOFF ({s.publish.backoff:g} s) must not be over SLIPWAY_PUBLISH__BACKOFF_CAP "
            f"({s.publish.backoff_cap:g} s)",
        ),
        (
            s.publish.outage_cap < min(s.publish.patience, s.publish.media_patience),
            f"SLIPWAY_PUBLISH__OUTAGE_CAP ({s.publish.outage_cap:g} s) must be under SLIPWAY_PUBLISH__PATIENCE "
            f"({s.publish.patience:g} s) and SLIPWAY_PUBLISH__MEDIA_PATIENCE ({s.publish.media_patience:g} s): "
            "a delivery would fail between two tries",
        ),
    ]
    return [sentence for holds, sentence in rules if not holds]


def _has_tracing() -> bool:
    """Return True if the extra ``otel`` is installed."""
    try:
        return find_spec("opentelemetry.exporter.otlp.proto.http") is not None
    except ModuleNotFoundError:  # of a parent package
        return False
