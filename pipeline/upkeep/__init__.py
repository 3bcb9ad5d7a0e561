"""What keeps it honest while nobody looks: one chore a file, named by what it does. Running one twice does nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pipeline.core import Core
from pipeline.upkeep.append_receipts import append_receipts
from pipeline.upkeep.expire_files import expire_files
from pipeline.upkeep.fill_urls import fill_urls
from pipeline.upkeep.fold_counts import fold_counts
from pipeline.upkeep.recheck_media import recheck_media
from pipeline.upkeep.refresh_credentials import refresh_credentials
from pipeline.upkeep.rescue_dropped import rescue_dropped
from pipeline.upkeep.resume_blocked import resume_blocked
from pipeline.upkeep.ring_checks import ring_checks

CHORES: Mapping[str, Callable[[Core], int]] = {
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
