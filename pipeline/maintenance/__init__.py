"""What keeps it honest while nobody looks: one chore a file, named by what it does. Running one twice does nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pipeline.context import Context
from pipeline.maintenance.append_receipts import append_receipts
from pipeline.maintenance.compact_rollups import fold_counts
from pipeline.maintenance.expire_files import expire_files
from pipeline.maintenance.fill_urls import fill_urls
from pipeline.maintenance.recheck_media import recheck_media
from pipeline.maintenance.redispatch_checks import ring_checks
from pipeline.maintenance.refresh_credentials import refresh_credentials
from pipeline.maintenance.rescue_expired_leases import rescue_dropped
from pipeline.maintenance.resume_blocked import resume_blocked

CHORES: Mapping[str, Callable[[Context], int]] = {
    "rescue": rescue_dropped,
    "checks": ring_checks,
    "urls": fill_urls,
    "credentials": refresh_credentials,
    "resume": resume_blocked,
    "recheck": recheck_media,
    "files": expire_files,
    "counts": fold_counts,
    "receipts": append_receipts,
}
"""Task name -> chore; each answers how many rows it helped."""
