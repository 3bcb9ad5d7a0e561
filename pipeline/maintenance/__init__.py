"""Maintenance jobs, one a file, run by ticks on the queue ``upkeep``. Running one twice is harmless."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pipeline.maintenance.append_receipts import append_receipts
from pipeline.maintenance.compact_rollups import compact_rollups
from pipeline.maintenance.expire_audit import expire_audit
from pipeline.maintenance.expire_files import expire_files
from pipeline.maintenance.expire_imports import expire_imports
from pipeline.maintenance.expire_webhook_events import expire_webhook_events
from pipeline.maintenance.export_moves import export_moves
from pipeline.maintenance.fill_urls import fill_urls
from pipeline.maintenance.recheck_media import recheck_media
from pipeline.maintenance.redispatch_checks import redispatch_checks
from pipeline.maintenance.redispatch_jobs import redispatch_imports, redispatch_steering
from pipeline.maintenance.refresh_credentials import refresh_credentials
from pipeline.maintenance.rescue_expired_leases import rescue_expired_leases
from pipeline.maintenance.resume_blocked import resume_blocked
from pipeline.maintenance.set_covers import set_covers
from pipeline.runtime.context import Context

JOBS: Mapping[str, Callable[[Context], int]] = {
    "rescue": rescue_expired_leases,
    "checks": redispatch_checks,
    "urls": fill_urls,
    "covers": set_covers,
    "credentials": refresh_credentials,
    "resume": resume_blocked,
    "recheck": recheck_media,
    "files": expire_files,
    "audit": expire_audit,
    "imports": redispatch_imports,
    "import-files": expire_imports,
    "steering": redispatch_steering,
    "webhooks": expire_webhook_events,
    "counts": compact_rollups,
    "receipts": append_receipts,
    "export": export_moves,
}
"""Task name without its prefix ``upkeep.`` -> job. A job returns how many rows it changed or dispatched."""
