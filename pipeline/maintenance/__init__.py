"""Maintenance jobs, run by ticks on the queue ``upkeep``. Running one twice is harmless."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pipeline.maintenance.erasure import erase_workspaces
from pipeline.maintenance.expire import expire_audit, expire_files, expire_imports, expire_webhook_events
from pipeline.maintenance.finish_published import fill_urls, follow_up
from pipeline.maintenance.prepare_ahead import recheck_media, refresh_credentials
from pipeline.maintenance.read_moves import append_receipts, compact_rollups, export_moves, index_texts
from pipeline.maintenance.rescue_expired_leases import (
    redispatch_checks,
    redispatch_imports,
    redispatch_steering,
    rescue_expired_leases,
    resume_blocked,
)
from pipeline.runtime.context import Context
from pipeline.webhooks.notices import make_notices

JOBS: Mapping[str, Callable[[Context], int]] = {
    "rescue": rescue_expired_leases,
    "checks": redispatch_checks,
    "urls": fill_urls,
    "follow-ups": follow_up,
    "credentials": refresh_credentials,
    "resume": resume_blocked,
    "recheck": recheck_media,
    "files": expire_files,
    "audit": expire_audit,
    "imports": redispatch_imports,
    "import-files": expire_imports,
    "steering": redispatch_steering,
    "webhooks": expire_webhook_events,
    "notices": make_notices,
    "counts": compact_rollups,
    "receipts": append_receipts,
    "export": export_moves,
    "texts": index_texts,
    "deletions": erase_workspaces,
}
"""Task name without its prefix ``upkeep.`` -> job. A job returns how many rows it changed or dispatched."""
