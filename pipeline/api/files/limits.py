"""Threads and concurrency limits for uploads and downloads of one server process."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.api.http.bulkhead import Bulkhead, ConcurrencyLimit

MAX_UPLOADS, MAX_DOWNLOADS = 32, 256


@dataclass(frozen=True, kw_only=True, slots=True)
class FileTransfers:
    """A bulkhead that runs one short step of a transfer at a time, and the limits of concurrent transfers.

    The bulkhead's queue has room for a step of every transfer that the limits admit.
    """

    bulkhead: Bulkhead
    uploads: ConcurrencyLimit
    downloads: ConcurrencyLimit


def build_file_transfers() -> FileTransfers:
    """Return the parts for one server process."""
    return FileTransfers(
        bulkhead=Bulkhead("filing", threads=16, limit=4 * (MAX_UPLOADS + MAX_DOWNLOADS)),
        uploads=ConcurrencyLimit(MAX_UPLOADS, per_owner=8, owner="workspace", operations="uploads"),
        downloads=ConcurrencyLimit(MAX_DOWNLOADS, per_owner=64, owner="workspace", operations="downloads"),
    )
