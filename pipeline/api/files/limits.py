"""What transfers of files need of a server process: threads of their own, and a count of who is under way."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.api.http.concurrency_limit import Turnstile
from pipeline.api.http.worker_lane import Lane

UPLOADS, DOWNLOADS = 32, 256


@dataclass(frozen=True, kw_only=True, slots=True)
class Filing:
    """``lane`` takes one short step of a transfer at a time, and has room for a step of every transfer that may be."""

    lane: Lane
    uploads: Turnstile
    downloads: Turnstile


def filing() -> Filing:
    """For one server process."""
    return Filing(
        lane=Lane("filing", threads=16, line=4 * (UPLOADS + DOWNLOADS)),
        uploads=Turnstile(UPLOADS, each=8),
        downloads=Turnstile(DOWNLOADS, each=64),
    )
